"""Peak memory of processing LHC Olympics files: it must not grow with the number of events.

``python -m tests.benchmarks.memory`` writes 5,000 and 50,000 events (the same ones again and again, about 150 MB on
disk), processes each file in a process of its own at the same chunk size and prints the peaks.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

EVENTS = (5_000, 50_000)
CHUNK_SIZE = 2_500
TOLERANCE = 0.2
_DISTINCT = 500
_CHILD = """
import sys
from pathlib import Path
from coffea.processor import IterativeExecutor
from processors import DijetProcessor, HDF5Runner
from tests.benchmarks.memory import peak_memory

path, chunksize = sys.argv[1], int(sys.argv[2])
processor = DijetProcessor(columns_directory=Path(path).with_suffix(""), constituents=20)
output = HDF5Runner(IterativeExecutor(status=False), chunksize=chunksize)({"lhco": [path]}, processor)
print(output["cutflow"]["lhco"]["nominal"]["all"]["events"], peak_memory())
"""


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # the kernel's resource usage would count the parent's memory too
        return next(float(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def write_events(path: Path, n_events: int, *, seed: int = 0) -> None:
    """Write events of about 200 particles in two sprays, in the LHC Olympics layout, Blosc-compressed."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((_DISTINCT, 2101))
    for row in rows:
        n_particles = int(rng.integers(100, 300))
        jet = rng.integers(0, 2, n_particles)
        pt = np.sort(rng.dirichlet(np.full(n_particles, 0.5)) * 3000)[::-1] + 1e-3
        row[0 : 3 * n_particles : 3] = pt
        row[1 : 3 * n_particles : 3] = rng.normal(0, 0.3, n_particles)
        row[2 : 3 * n_particles : 3] = jet * np.pi - np.pi / 2 + rng.normal(0, 0.3, n_particles)
    columns = np.arange(rows.shape[1])
    with h5py.File(path, "w") as file:
        group = file.create_group("df")
        for name, values in {"axis0": columns, "axis1": np.arange(n_events), "block0_items": columns}.items():
            group.create_dataset(name, data=values)
        values = group.create_dataset(
            "block0_values", (n_events, rows.shape[1]), "f8", chunks=(7, rows.shape[1]), **hdf5plugin.Blosc()
        )
        for start in range(0, n_events, _DISTINCT):
            values[start : start + _DISTINCT] = rows[: n_events - start]


def measure(path: Path, *, chunksize: int = CHUNK_SIZE) -> float:
    """Peak memory in MB of a process that makes columns and histograms of all events of a file."""
    command = [sys.executable, "-c", _CHILD, str(path), str(chunksize)]
    project = Path(__file__).resolve().parents[2]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=project).stdout
    return float(output.split()[-1])


def main(events: Sequence[int] = EVENTS) -> dict[int, float]:
    """Print and return the peak memory in MB by number of events; raise AssertionError where it grows."""
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for n_events in events:
            path = Path(folder) / f"{n_events}.h5"
            write_events(path, n_events)
            peaks[n_events] = measure(path)
            print(f"{n_events:7d} events, {CHUNK_SIZE} at a time: peak memory {peaks[n_events]:.0f} MB", flush=True)
    ratio = max(peaks.values()) / min(peaks.values())
    print(f"largest / smallest: {ratio:.3f} (flat within {TOLERANCE:.0%} is asked for)")
    assert ratio <= 1 + TOLERANCE, f"peak memory grows with the number of events: {peaks}"
    return peaks


if __name__ == "__main__":
    main()
