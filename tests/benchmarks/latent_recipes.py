"""What can be known of a recipe for the latent space without labels: do its members agree, does it shape the spectrum?

Run as `python -m tests.benchmarks.latent_recipes EVENTS…`, on Parquet columns of the dijet processor or on HDF5 files
of the LHC Olympics (features or particles), which are processed as a search does. For every combination of settings an
ensemble is trained on all events; its row of the Markdown table holds for each score

- agreement: mean and, in brackets, smallest rank correlation between members. A score whose sign is open has members
  that contradict one another, and an ensemble of them averages to nothing;
- alignment: mean correlation of the members' coordinates with the features that point to anomalies;
- mass: rank correlation with the dijet mass;
- divergence: Jensen–Shannon divergence in nats between the dijet masses of the 10% with the largest score and of all
  events, in 50 bins with as many events each.

`--steps` takes several values, since criteria may change along a training. No truth is read, and the seed is fixed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from coffea.processor import IterativeExecutor
from scipy.stats import rankdata

from ml import Sample
from ml.divergence import jensen_shannon
from ml.latent_scores import SCORES
from ml.latent_settings import RECIPES, LatentVAESettings, ScalingName
from ml.latent_vae import LatentVAE
from ml.tagger import DEFAULT_FEATURES
from processors import DijetProcessor, read_parts, run_files
from processors.lhco import find_layout

SEED = 1
COMPARED = 20_000  # events whose ranks are compared
BINS = 50  # of the spectra
COMPARED_SETTINGS: dict[str, dict[str, Sequence[Any]]] = {
    "robust": {"scaling": get_args(ScalingName), "contrast": (1.1, 1.25, 1.5, 2, 3, 6, 50)},
    "paper": {},
}
"""Recipe → what is tried in place of its own settings."""


def study(sample: Sample, settings: LatentVAESettings, scores: Sequence[str]) -> dict[str, str]:
    """Cells of the row of one recipe, by the title of their column."""
    detector = LatentVAE(settings)
    history = detector.fit({"data": sample}, window=None, seeds=np.random.SeedSequence(SEED))
    cells = {"recipe": described(settings), "steps kept": f"{np.mean(history.facts['kept_steps']):,.0f}"}
    blocks = list(detector.member_scores(sample))
    known = detector.orientation
    members = {n: np.concatenate([block[n] for block in blocks], axis=1)[known.counted(n)] for n in scores}
    mass = rankdata(sample.mass)
    for name, values in members.items():
        ranks = rankdata(values[:, :COMPARED], axis=1)
        between = np.corrcoef(ranks)[np.triu_indices(len(values), 1)]
        cells[f"{name}: agreement (smallest)"] = f"{between.mean():.3f} ({between.min():.3f})"
        if name == "coordinate":
            cells["alignment"] = f"{known.alignment[known.known].mean():.3f}"
        mean = values.mean(axis=0)
        cells[f"{name}: mass"] = f"{np.corrcoef(rankdata(mean), mass)[0, 1]:.3f}"
        cells[f"{name}: divergence [nats]"] = f"{divergence(sample.mass, mean):.4f}"
    return cells


def divergence(mass: np.ndarray, score: np.ndarray) -> float:
    """Jensen–Shannon divergence (nats) between the spectrum of the 10% selection and that of all events, (n,) each."""
    edges = np.quantile(mass, np.linspace(0, 1, BINS + 1))
    selected, inclusive = (np.histogram(one, edges)[0] for one in (mass[score > np.quantile(score, 0.9)], mass))
    return jensen_shannon(selected, inclusive)


def described(settings: LatentVAESettings) -> str:
    """The settings that recipes differ in."""
    full = settings.resolved
    stretch = f", stretch {full.stretch:g}" if full.scaling == "oriented" else ""
    weight = f"contrast {full.contrast:g}" if full.alpha is None else f"α = {full.alpha:g}"
    return f"{full.scaling}{stretch}, {weight}, {full.optimizer}, {full.stopping}, {full.steps:,} steps"


def sample_of(files: Sequence[Path], events: int) -> Sample:
    """Features and dijet mass of so many events, chosen at random, or of all that there are."""
    names = [*DEFAULT_FEATURES, "mjj", "fold"]
    tables = [columns_of(file).select(names) for file in files]
    columns = {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in names}
    count = len(columns["mjj"])
    chosen = np.sort(np.random.default_rng(SEED).permutation(count)[:events])
    columns = {name: values[chosen] for name, values in columns.items()}
    fold, mass = columns.pop("fold"), columns.pop("mjj")
    return Sample(columns=columns, mass=mass, weight=np.ones(len(mass)), fold=fold, event_id=chosen)


def columns_of(file: Path) -> pa.Table:
    """Columns of the dijet processor: read, or made of a file of the LHC Olympics with the default cuts."""
    if not h5py.is_hdf5(file):
        return pq.read_table(file)
    with h5py.File(file) as content:
        jets = "FatJet" if find_layout(content).kind == "features" else "PFCands"
    with tempfile.TemporaryDirectory() as folder:
        processor = DijetProcessor(jets=jets, columns_directory=folder)
        output = run_files({"events": [str(file)]}, processor, format="lhco", executor=IterativeExecutor(status=False))
        return read_parts(output.results["parts"]["events"]["nominal"])


def recipes(options: argparse.Namespace) -> Iterator[LatentVAESettings]:
    """Every combination that differs from those before it: a recipe with its own α has no contrast."""
    asked = {
        "scaling": options.scalings,
        "contrast": options.contrasts,
        "steps": options.steps,
        "stretch": options.stretches,
    }
    tried = {**COMPARED_SETTINGS[options.recipe], **{name: values for name, values in asked.items() if values}}
    seen = set()
    for values in itertools.product(*tried.values()):
        given = dict(zip(tried, values, strict=True))
        own = RECIPES[options.recipe]
        if "alpha" in own:
            given.pop("contrast", None)
        if given.get("scaling", own["scaling"]) != "oriented":
            given.pop("stretch", None)
        settings = LatentVAESettings(
            recipe=options.recipe, members=options.members, **_with_point(given, own=own["point"])
        )
        if settings not in seen:
            seen.add(settings)
            yield settings


def _with_point(given: dict[str, Any], *, own: int) -> dict[str, Any]:
    """Let a short training be looked at once, at its end."""
    return {**given, "point": given["steps"]} if given.get("steps", own) < own else given


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--max-events", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--recipe", choices=list(RECIPES), default="robust")
    parser.add_argument("--steps", nargs="+", type=int, help="most steps of a member; those of the recipe by default")
    parser.add_argument("--scalings", nargs="+", choices=get_args(ScalingName))
    parser.add_argument("--contrasts", nargs="+", type=float)
    parser.add_argument("--stretches", nargs="+", type=float, help="of `scaling: oriented`")
    parser.add_argument("--scores", nargs="+", choices=SCORES, default=["coordinate", "kl", "reconstruction"])
    options = parser.parse_args()
    if options.members < 2:
        parser.error("--members: one member agrees with nobody, take two or more")
    return options


def main() -> None:
    """Print a Markdown table with one row per recipe."""
    options = arguments()
    sample = sample_of(options.files, options.max_events)
    print(f"{len(sample):,} events, {options.members} members, seed {SEED}\n")
    for index, settings in enumerate(recipes(options)):
        row = study(sample, settings, options.scores)
        for cells in (row, ["---"] * len(row)) if index == 0 else ():
            print(f"| {' | '.join(cells)} |")
        print(f"| {' | '.join(row.values())} |", flush=True)


if __name__ == "__main__":
    main()
