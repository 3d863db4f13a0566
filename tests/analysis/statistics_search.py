"""A search in seconds that asks for every part of the statistics: two selections of one detector in pseudo-data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.cli import parser
from analysis.commands import build_run
from analysis.context import SearchRun
from analysis.pipeline import run_until
from analysis.plots import saving, style
from analysis.samples.writers import write_events
from tests.analysis.conftest import dijet_events, search_of, write_search

INCLUSIVE, LOOSE, TIGHT = "hidden-inclusive", "hidden-cwola-0.2", "hidden-cwola-0.05"
BANDS = "hidden-cwola-bands"
MASS, FAR, WIDTH = 3500.0, 4400.0, 0.03


def inclusive_search(events_folder: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Return a search for a bump in the inclusive spectrum of the background alone, its top-level keys changed."""
    search = statistics_search(events_folder, folder)
    for key in ("mixtures", "detectors", "validation"):
        del search[key]
    spectrum = {**search["spectrum"], "parameters": 3}
    plain = {"name": "plain", "data": "background", "spectrum": spectrum, "limits": {"masses": [MASS], "width": WIDTH}}
    return {**search, **plain, "efficiencies": [], **changes}


def run_of(folder: Path, search: dict[str, Any], *options: str, data: Path | None = None) -> SearchRun:
    """Return a search as it runs, writing to out/ in a folder; `data` keeps events that are processed already."""
    path = write_search(folder / f"{search['name']}.yaml", search)
    where = ["--out", str(folder / "out"), "--data", str(data or folder / "data")]
    return build_run(parser().parse_args(["run", str(path), *where, "--executor", "iterative", *options]))


def finished_run(folder: Path, search: dict[str, Any], *, data: Path) -> SearchRun:
    """Return a search that ran to its report, over events that another search has processed.

    Its figures are there as small PNG files alone: PDF and resolution take most of the time of drawing, and searches by
    the command line have both.
    """
    made = run_of(folder, search, data=data)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(saving._METADATA, "pdf")
        patch.setitem(style._STYLE, "savefig.dpi", 30)
        for _ in run_until(made, "report"):
            pass
    return made


def again(run: SearchRun, folder: Path, *options: str) -> SearchRun:
    """Return a finished search with other options, in a copy of what it wrote: only what they change is redone."""
    shutil.copytree(run.out, folder / "out", ignore=shutil.ignore_patterns("figures", ".lock"))
    search = run.search.model_dump(mode="json", exclude_none=True)
    return run_of(folder, search, *options, data=run.catalogue.directory)


def write_signals(folder: Path) -> None:
    """Write resonance.root (300 events at 3.5 TeV, more than any mixture takes) and other.root (background)."""
    for name, truth, events in (
        ("resonance", 1, dijet_events(300, seed=20, resonance=MASS)),
        ("other", 0, dijet_events(1000, seed=21)),
    ):
        write_events(folder / f"{name}.root", [events], format="root", truth=truth, metadata={"index": 0})


def statistics_search(events_folder: Path, folder: Path) -> dict[str, Any]:
    """Return a search whose data and signals lie in two folders, and which doubts everything."""
    search = search_of([])
    detector = search["detectors"]["cwola"]
    detector["settings"]["features"] = ["j1_m", "j1_tau21", "j2_m", "j2_tau21"]
    families = [{"family": "dijet", "parameters": 3}, {"family": "ua2", "parameters": 3}]
    return {
        **search,
        "name": "everything",
        "datasets": {
            "background": {"files": [str(file) for file in sorted(events_folder.glob("*.root"))]},
            "resonance": {"files": [str(folder / "resonance.root")], "role": "signal"},
            "other": {"files": [str(folder / "other.root")], "role": "simulation"},
        },
        "mixtures": {"hidden": {"background": "background", "signal": "resonance", "fraction": 0.01}},
        "data": "hidden",
        "simulation": "other",
        "efficiencies": [0.2, 0.05],
        "spectrum": {**search["spectrum"], "parameters": "f-test", "order": {"candidates": [2, 3, 4]}},
        "bump_hunt": {"masses": {"start": 3000, "stop": 4500, "step": 100}, "widths": [WIDTH], "toys": 100},
        "validation": {
            "selections": [1, 0.2],
            "goodness_toys": 50,
            "bias": {"families": families, "masses": [MASS], "injected": [0, 2], "toys": 40},
            "spurious_signal": {"template": "simulation"},
            "injection": {"mass": MASS, "strengths": [0, 3], "toys": 40},
        },
        "limits": {
            "masses": [MASS, FAR],
            "width": WIDTH,
            "systematics": {"normalisation": {"tagging": 0.2}, "scale": 0.01, "resolution": 0.1, "luminosity": 0.05},
            "exclude": [[3300, 3700]],
            "cross_section": {
                "luminosity": 1.0, "signals": {MASS: "resonance"}, "injected": [0, 0.01, 0.05], "combine": True,
            },
        },
    }  # fmt: skip
