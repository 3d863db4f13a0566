"""Particles to jets to N-subjettiness: events per second beside plain C++ FastJet, on the same events.

Run ``python -m tests.benchmarks.features``. The C++ baseline (``features_fastjet.cc`` in the folder that the
environment variable DARKHORSE_BASELINES names, else ../shared/baselines) needs a compiler and FastJet's headers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import awkward as ak
import numpy as np

from processors.jets import cluster_jets

PROJECT = Path(__file__).resolve().parents[2]
BASELINES = Path(os.environ.get("DARKHORSE_BASELINES", PROJECT.parent / "shared" / "baselines"))
TESTDATA = Path(os.environ.get("DARKHORSE_TESTDATA", PROJECT.parent / "shared" / "data"))
MIN_PT = 200.0  # the baseline's


def real_events() -> ak.Array | None:
    """The raw LHC Olympics events, where they are present."""
    try:
        import h5py
        import hdf5plugin  # noqa: F401  (registers Blosc)

        with h5py.File(TESTDATA / "lhco_rnd_tiny.h5") as file:
            raw = file["df/block0_values"][:, :2100].astype(np.float32).reshape(-1, 700, 3)
    except (ImportError, OSError):
        return None
    real = raw[:, :, 0] > 0
    return _events(raw[real], real.sum(axis=1))


def synthetic_events(n: int = 1000, *, seed: int = 0) -> ak.Array:
    """Two back-to-back sprays of about 60 particles and 50 soft ones anywhere."""
    rng = np.random.default_rng(seed)
    multiplicity = rng.poisson(170, n)
    total, event = int(multiplicity.sum()), np.repeat(np.arange(n), multiplicity)
    spray = rng.choice([-1, 0, 1], total, p=[0.35, 0.3, 0.35])
    spread, angle = rng.exponential(0.2, total), rng.uniform(0, 2 * np.pi, total)
    eta = np.where(spray == 0, rng.uniform(-2.5, 2.5, total), rng.uniform(-1, 1, n)[event] * spray)
    phi = np.where(spray == 0, rng.uniform(-np.pi, np.pi, total), rng.uniform(-np.pi, np.pi, n)[event])
    phi = phi + np.where(spray == 1, np.pi, 0) + np.where(spray == 0, 0, spread * np.sin(angle))
    eta = eta + np.where(spray == 0, 0, spread * np.cos(angle))
    pt = rng.exponential(np.where(spray == 0, 2.0, 25.0)) + 0.1
    phi = np.remainder(phi + np.pi, 2 * np.pi) - np.pi
    return _events(np.stack([pt, eta, phi], axis=1).astype(np.float32), multiplicity)


def _events(flat: np.ndarray, multiplicity: np.ndarray) -> ak.Array:
    pt, eta, phi = np.ascontiguousarray(flat.T)
    return ak.unflatten(ak.zip({"pt": pt, "eta": eta, "phi": phi, "mass": np.zeros_like(pt)}), multiplicity)


def write_for_baseline(events: ak.Array, path: Path) -> None:
    """int32 n, n × int32 multiplicity, then float32 (pt, eta, phi) per particle."""
    columns = [ak.to_numpy(ak.flatten(events[name])) for name in ("pt", "eta", "phi")]
    with path.open("wb") as file:
        np.array([len(events)], np.int32).tofile(file)
        ak.to_numpy(ak.num(events)).astype(np.int32).tofile(file)
        np.stack(columns, axis=1).astype(np.float32).tofile(file)


def compile_baseline(folder: Path) -> Path | str:
    """The compiled baseline, or why there is none."""
    source, compiler = BASELINES / "features_fastjet.cc", shutil.which("c++") or shutil.which("g++")
    if not source.is_file():
        return f"{source} is missing (set DARKHORSE_BASELINES)"
    if compiler is None:
        return "no C++ compiler"
    program = folder / "features_fastjet"
    command = [compiler, "-O3", "-march=native", str(source), "-o", str(program), "-lfastjet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return program if done.returncode == 0 else "it does not compile: FastJet's headers (libfastjet-dev) are needed"


def run_baseline(program: Path, events: Path) -> tuple[float, float]:
    """Events per second as the baseline counts them, without reading the file; processor seconds of the whole run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run([str(program), str(events)], capture_output=True, text=True, check=True).stdout
    found = re.search(r"([\d.]+) events/s", output)
    if found is None:
        raise RuntimeError(f"no rate in the baseline's output: {output!r}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(found[1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def features(events: ak.Array) -> float:
    """The step that is timed: two jets with τ1, τ2, τ3 from particles. Returns a checksum."""
    jets = cluster_jets(events, min_pt=MIN_PT)
    return float(np.nansum(jets.tau) + np.nansum(jets.mass))


def run_own(events: ak.Array) -> tuple[float, float]:
    """Events per second of wall clock, and processor seconds."""
    start, processor = time.perf_counter(), time.process_time()
    features(events)
    return len(events) / (time.perf_counter() - start), time.process_time() - processor


def compare_with_baseline(events: ak.Array, repeats: int) -> None:
    """Baseline and own code turn by turn, so that both see the same machine."""
    with tempfile.TemporaryDirectory() as folder:
        path, program = Path(folder) / "events.bin", compile_baseline(Path(folder))
        write_for_baseline(events, path)
        own, baseline = [], []
        for _ in range(repeats):
            if isinstance(program, Path):
                baseline.append(run_baseline(program, path))
            own.append(run_own(events))
    _print_rates("features", own)
    if isinstance(program, Path):
        _print_rates("C++ FastJet", baseline)
        ratio = _median(own, 0) / _median(baseline, 0)
        print(f"features / C++ FastJet per core: {ratio:.2f} (wanted: at least 0.70; 1 is the aim)")
        ratio = _median(baseline, 1) / _median(own, 1)
        print(f"  in processor time, which other load disturbs less: {ratio:.2f} (the baseline's includes reading)")
    else:
        print(f"features / C++ FastJet per core: skipped, {program}")


def _median(runs: list[tuple[float, float]], which: int) -> float:
    return statistics.median(run[which] for run in runs)


def _print_rates(name: str, runs: list[tuple[float, float]]) -> None:
    rates = [run[0] for run in runs]
    print(f"{name}, one core: {_median(runs, 0):.0f} events/s (from {min(rates):.0f} to {max(rates):.0f})")


def compare_workers(events: ak.Array, repeats: int) -> None:
    """The same chunks over one process and over two."""
    chunks = [events[k : k + 500] for k in range(0, len(events), 500)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as one, context.Pool(2) as two:
        rates: dict[int, list[float]] = {1: [], 2: []}
        for pool, warm in ((one, 1), (two, 4)):
            pool.map(features, chunks[:1] * warm, chunksize=1)
        for _ in range(repeats):
            for workers, pool in ((1, one), (2, two)):
                start = time.perf_counter()
                pool.map(features, chunks, chunksize=1)
                rates[workers].append(len(events) / (time.perf_counter() - start))
    ratio = statistics.median(rates[2]) / statistics.median(rates[1])
    print(f"two workers / one: {ratio:.2f} (wanted: at least 1.80; {os.cpu_count()} cores here)")


def main(arguments: list[str] | None = None) -> None:
    """Print the rates and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--events", type=int, default=4000)
    options = parser.parse_args(arguments)
    real = real_events()
    base = synthetic_events() if real is None else real
    copies = -(-options.events // len(base))
    events = ak.to_packed(ak.concatenate([base] * copies)[: options.events])
    kind = "synthetic" if real is None else f"real LHC Olympics (1,000 different, {copies} times)"
    print(f"{len(events)} {kind} events, {ak.mean(ak.num(events)):.0f} particles each")
    features(events[:100])  # compile
    compare_with_baseline(events, options.repeats)
    compare_workers(events, options.repeats)


if __name__ == "__main__":
    main()
