"""What can be known of a recipe for the latent space without labels: do its members agree, does it shape the spectrum?

Run as `python -m tests.benchmarks.latent_recipes EVENTS.parquet…` on columns of the dijet processor, or with an HDF5
file of features. For every scaling and contrast an ensemble is trained on all events; one line per score holds

- agreement: mean and smallest rank correlation between members. A score whose sign is open has members that
  contradict one another, and an ensemble of them averages to nothing;
- alignment: correlation of the coordinate with the features that point to anomalies;
- mass: rank correlation with the dijet mass, and the Jensen–Shannon divergence of the 10% selection's spectrum.

No truth is read.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import rankdata

from ml import Sample
from ml.latent_scores import SCORES
from ml.latent_settings import LatentVAESettings
from ml.latent_vae import LatentVAE
from ml.tagger import DEFAULT_FEATURES

SEED = 1
COMPARED = 20_000  # events whose ranks are compared


def study(sample: Sample, settings: LatentVAESettings) -> dict[str, dict[str, float]]:
    """Criterion by criterion for every score."""
    ranks, alignment, members = _ranks(sample, settings)
    mass = rankdata(sample.mass[:COMPARED])
    found = {}
    for name in SCORES:
        between = np.corrcoef(members[name])[np.triu_indices(settings.members, 1)]
        found[name] = {
            "agreement": float(between.mean()),
            "lowest": float(between.min()),
            "alignment": float(alignment.mean()) if name == "coordinate" else float("nan"),
            "mass": float(np.corrcoef(ranks[name][:COMPARED], mass)[0, 1]),
            "divergence": _divergence(sample.mass, ranks[name]),
        }
    return found


def _ranks(
    sample: Sample, settings: LatentVAESettings
) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray]]:
    detector = LatentVAE(settings)
    detector.fit({"data": sample}, window=None, seeds=np.random.SeedSequence(SEED))
    blocks = list(detector.member_scores(sample))
    known = detector.orientation
    scores = {n: np.concatenate([block[n] for block in blocks], axis=1)[known.counted(n)] for n in SCORES}
    ranks = {name: rankdata(one.mean(axis=0)) for name, one in scores.items()}
    members = {name: rankdata(one[:, :COMPARED], axis=1) for name, one in scores.items()}
    return ranks, known.alignment[known.known], members


def _divergence(mass: np.ndarray, ranks: np.ndarray) -> float:
    """Jensen–Shannon divergence (base 2) between the spectrum of the 10% selection and that of all events."""
    edges = np.quantile(mass, np.linspace(0, 1, 51))
    selected = ranks > np.quantile(ranks, 0.9)
    p, q = (np.histogram(one, edges)[0] + 1e-9 for one in (mass[selected], mass))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(sum(0.5 * np.sum(one * np.log2(one / middle)) for one in (p, q)))


def sample_of(files: list[Path], events: int) -> Sample:
    """Features and dijet mass of the first events of Parquet files."""
    parts = [pq.read_table(file, columns=[*DEFAULT_FEATURES, "mjj", "fold"]) for file in files]
    columns = {n: np.concatenate([part[n].to_numpy() for part in parts])[:events] for n in parts[0].column_names}
    fold, mass = columns.pop("fold"), columns.pop("mjj")
    count = len(mass)
    return Sample(columns=columns, mass=mass, weight=np.ones(count), fold=fold, event_id=np.arange(count))


def main() -> None:
    """Print one line per scaling, contrast and score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--contrasts", nargs="+", type=float, default=[1.1, 1.25, 1.5, 2, 3, 6, 50])
    parser.add_argument("--scalings", nargs="+", default=["maxabs", "standard", "normal"])
    options = parser.parse_args()
    sample = sample_of(options.files, options.events)
    print(f"{len(sample):,} events, {options.members} members")
    for scaling, contrast in itertools.product(options.scalings, options.contrasts):
        settings = LatentVAESettings(members=options.members, scaling=scaling, contrast=contrast)
        for name, row in study(sample, settings).items():
            cells = " ".join(f"{key} {value:6.3f}" for key, value in row.items())
            print(f"{scaling:9s} contrast {contrast:5g} {name:14s} {cells}", flush=True)


if __name__ == "__main__":
    main()
