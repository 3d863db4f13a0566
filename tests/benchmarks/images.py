"""Batches of jet images beside a loop over jets with NumPy, and the memory of going through a sample in batches.

``python -m tests.benchmarks.images`` makes the same images of the same jets both ways, in turns, and compares them;
then goes through 1 and 4 times as many jets in processes of their own. It fails where images differ, the batches are
not 20 times as fast, or the memory that they take grows with the number of jets.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processors.image_kernels import ON_AXIS
from processors.images import JetImages
from tests.benchmarks.memory import peak_memory

WANTED = 20  # times as fast as the loop
SCALES = (1, 4)  # samples whose memory is compared
TOLERANCE_MB = 10.0  # growth of the peak that passes as flat; images of the jets added would take a gigabyte
PIXELS, HALF_WIDTH = 40, 0.7
_BATCH = 256
_CHILD = "import sys; from tests.benchmarks.images import go_through; print(*go_through(int(sys.argv[1])))"


def synthetic_jets(n_jets: int, *, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Offsets, pt, eta, phi of jets of one to three prongs and about 55 constituents, hardest first."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(55, n_jets) + 1
    offsets = np.concatenate([[0], np.cumsum(counts)])
    jet = np.repeat(np.arange(n_jets), counts)
    prong = rng.integers(0, rng.integers(1, 4, n_jets)[jet])
    axes = rng.normal(0, 0.25, (2, n_jets, 3))
    width, angle = rng.exponential(0.08, len(jet)), rng.uniform(0, 2 * np.pi, len(jet))
    eta = rng.uniform(-2, 2, n_jets)[jet] + axes[0, jet, prong] + width * np.cos(angle)
    phi = rng.uniform(-np.pi, np.pi, n_jets)[jet] + axes[1, jet, prong] + width * np.sin(angle)
    pt = rng.exponential(25.0, len(jet)) + 0.1
    order = np.lexsort((-pt, jet))
    phi = (phi[order] + np.pi) % (2 * np.pi) - np.pi
    return offsets, pt[order].astype(np.float32), eta[order].astype(np.float32), phi.astype(np.float32)


def image_in_numpy(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """The image of one jet (hardest of its constituents first) with NumPy, as one writes it in a notebook."""
    pt, eta, phi = (values.astype(np.float64) for values in (pt, eta, phi))
    phi = (phi - phi[0] + np.pi) % (2 * np.pi) - np.pi
    x, y = eta - np.average(eta, weights=pt), phi - np.average(phi, weights=pt)
    _, vectors = np.linalg.eigh(np.cov(x, y, aweights=pt, ddof=0))
    x, y = vectors.T @ np.stack([x, y])  # ascending eigenvalues: the principal axis is the second
    x, y = (np.where(np.abs(values) < ON_AXIS, 0.0, values) for values in (x, y))
    x, y = (-x if x[x != 0][0] > 0 else x), (-y if y[y != 0][0] < 0 else y)
    # bins of histogram2d own their lower edge, so the horizontal axis is reversed for the same pixels
    bins = np.linspace(-HALF_WIDTH, HALF_WIDTH, PIXELS + 1)
    image = np.histogram2d(y, -x, bins=(bins, bins), weights=pt)[0][::-1, ::-1]
    return (image / image.sum()).astype(np.float32)


def images_in_numpy(offsets: np.ndarray, *arrays: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The images of these rows, one jet after another."""
    return np.stack([image_in_numpy(*(a[offsets[row] : offsets[row + 1]] for a in arrays)) for row in rows])


def compare_speed(n_jets: int, repeats: int) -> float:
    """Print and return how many times as fast batches are, median over turns; AssertionError if images differ."""
    jets = synthetic_jets(n_jets)
    images = JetImages(*jets)
    images(np.arange(2))  # compile
    rows = np.random.default_rng(1).permutation(n_jets)
    batches = [rows[start : start + _BATCH] for start in range(0, n_jets, _BATCH)]
    ratios, seconds = [], []
    for _ in range(repeats):
        start = time.process_time()
        slow = images_in_numpy(*jets, rows=rows)
        middle = time.process_time()
        fast = [images(batch) for batch in batches]
        seconds.append((middle - start, time.process_time() - middle))
        ratios.append(seconds[-1][0] / seconds[-1][1])
        np.testing.assert_allclose(np.concatenate(fast), slow, atol=2e-6)
    loop, batched = (statistics.median(column) / n_jets * 1e6 for column in zip(*seconds, strict=True))
    ratio = statistics.median(ratios)
    print(
        f"{n_jets} jets of {len(jets[1]) / n_jets:.0f} constituents, {_BATCH} at a time: {batched:.2f} µs per image, "
        f"loop with NumPy {loop:.0f} µs: {ratio:.0f} times ({min(ratios):.0f} to {max(ratios):.0f}; wanted: {WANTED}); "
        "images agree",
        flush=True,
    )
    return ratio


def go_through(n_jets: int) -> tuple[float, float, float]:
    """Memory in MB: resident with the constituents loaded, peak while going through all images, of the constituents."""
    images = JetImages(*synthetic_jets(n_jets))
    images(np.arange(2))
    _forget_peak()
    before, total = _resident(), 0.0
    for start in range(0, n_jets, _BATCH):
        total += float(images(np.arange(start, min(start + _BATCH, n_jets))).sum())
    assert abs(total - n_jets) < 1e-4 * n_jets
    size = sum(array.nbytes for array in (images.offsets, images.pt, images.eta, images.phi))
    return before, peak_memory(), size / 1024**2


def _resident() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_memory()
    return next(float(line.split()[1]) for line in status.read_text().splitlines() if "VmRSS" in line) / 1024


def _forget_peak() -> None:
    """Start the kernel's record of the largest memory again, where that is possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def compare_memory(n_jets: int, scales: Sequence[int] = SCALES) -> list[float]:
    """Print and return by how many MB going through all images raised the memory; AssertionError where it grows."""
    growth = []
    for scale in scales:
        command = [sys.executable, "-c", _CHILD, str(scale * n_jets)]
        project = Path(__file__).resolve().parents[2]
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=project).stdout
        before, peak, size = (float(word) for word in output.split())
        growth.append(peak - before)
        stored = scale * n_jets * PIXELS**2 * 4 / 1024**2
        print(
            f"{scale * n_jets:7d} jets: constituents {size:.0f} MB; going through all images adds "
            f"{peak - before:.1f} MB to {before:.0f} MB (images stored: {stored:.0f} MB)",
            flush=True,
        )
    assert max(growth) - growth[0] <= TOLERANCE_MB, f"the memory of images grows with the number of jets: {growth} MB"
    return growth


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jets", type=int, default=10_000)
    parser.add_argument("--memory-jets", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    ratio = compare_speed(options.jets, options.repeats)
    compare_memory(options.memory_jets)
    assert ratio >= WANTED, f"batches are {ratio:.1f} times as fast as the loop, {WANTED} are wanted"


if __name__ == "__main__":
    main()
