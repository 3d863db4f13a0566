"""Results for other programs: histograms for ROOT and UHI readers, pyhf workspaces, HEPData submissions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hist
import numpy as np
import uhi.io.json
import uproot

from analysis.context import SearchRun, datasets_of
from analysis.errors import StageError
from analysis.files import whole, write_atomically
from analysis.published import describe_search, published_limits, published_selections
from analysis.stages.abcd import abcd, abcd_workspaces
from analysis.stages.bands import band_workspaces
from analysis.stages.hunt import hunt
from analysis.stages.limit import limited
from analysis.stages.process import processed
from analysis.stages.smeared_limits import smeared_workspaces
from stats.limits import SELECTED


def write_histograms(run: SearchRun) -> list[Path]:
    """Write every histogram of a search to histograms.root (TH1) and histograms.json (UHI); return both paths.

    Files that hold the same already are left alone.
    """
    histograms = {**_processor_histograms(run), **_spectra(run)}
    content = json.dumps(histograms, default=uhi.io.json.default)
    as_root, as_json = run.out / "histograms.root", run.out / "histograms.json"
    if not (as_root.is_file() and as_json.is_file() and as_json.read_text() == content):
        # the ROOT file first and the JSON file not before it is whole: what the one says then holds for both
        as_json.unlink(missing_ok=True)
        _write_root(as_root, histograms)
        write_atomically(as_json, content)
    return [as_root, as_json]


def _processor_histograms(run: SearchRun) -> dict[str, hist.Hist]:
    """Return the processors' histograms with all data sets of the search on one axis, by variable."""
    merged: dict[str, hist.Hist] = {}
    for name in datasets_of(run.search):
        for variable, histogram in processed(run, name).histograms().items():
            merged[variable] = merged[variable] + histogram if variable in merged else histogram
    return merged


def _spectra(run: SearchRun) -> dict[str, hist.Hist]:
    """Return the observed spectrum and the fitted background of every selection."""
    spectra: dict[str, hist.Hist] = {}
    for identifier, hunted in hunt(run).items():
        axis = hist.axis.Variable(hunted.spectrum.edges, name="mjj", label="m_jj [GeV]")
        observed = hist.Hist(axis, storage=hist.storage.Double())
        observed[:] = hunted.spectrum.counts
        fitted = hist.Hist(axis, storage=hist.storage.Weight())
        fitted[:] = np.stack([hunted.fit["expected"], np.square(hunted.fit["error"])], axis=-1)
        spectra |= {f"spectrum/{identifier}": observed, f"background/{identifier}": fitted}
    return spectra


def _write_root(path: Path, histograms: dict[str, Any]) -> Path:
    """Write TH1s, one per data set, variation and variable; the file appears whole or not at all."""
    with whole(path) as temporary, uproot.recreate(temporary) as file:
        for name, histogram in histograms.items():
            if histogram.ndim == 1:
                file[name] = histogram
                continue
            for dataset in histogram.axes["dataset"]:
                for variation in histogram.axes["variation"]:
                    file[f"{dataset}/{variation}/{name}"] = histogram[dataset, variation, :]
    return path


def write_workspaces(run: SearchRun) -> list[Path]:
    """Copy the pyhf workspaces of all selections into workspaces/, and those of no other; return their paths."""
    folder = run.out / "workspaces"
    sources = [
        *(found.workspaces for found in limited(run).values()),
        *band_workspaces(run),
        *smeared_workspaces(run),
        *(abcd_workspaces(run, found) for found in abcd(run).values()),
    ]
    wanted = {folder / file.name: file.read_bytes() for source in sources for file in sorted(source.glob("*.json"))}
    for path in folder.glob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, content in wanted.items():
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
    return list(wanted)


def export_results(run: SearchRun, what: str) -> list[Path]:
    """Write one kind of export and return what was written."""
    if what == "histograms":
        return write_histograms(run)
    if what == "workspaces":
        return write_workspaces(run)
    return write_hepdata(run)


def write_hepdata(run: SearchRun) -> list[Path]:
    """Write a HEPData submission to hepdata/ and submission.tar.gz: spectra, p-values and limits of all selections.

    Raises StageError where the search hunts for no bump, StatisticsError where hepdata-validator refuses the tables.
    """
    from stats.hepdata import limits_table, p0_table, spectrum_table
    from stats.submission import write_submission

    selections = published_selections(run)
    if not selections:
        raise StageError(
            f"The search {run.search.name!r} has nothing for HEPData: give it a `spectrum` and a `bump_hunt`."
        )
    tables = [spectrum_table(one, location=f"Figure spectrum-{one.name} of the report") for one in selections]
    tables.append(p0_table(selections, location=_figures("p0", run.search.data)))
    level = run.search.limits.level if run.search.limits else 0.05
    for unit, found in published_limits(run).items():
        suffix = "" if unit == SELECTED else f"-{unit}"
        location = _figures("limit", [f"{selection.name}{suffix}" for selection in found])
        table = limits_table(found, level=level, location=location)
        table.name = "Upper limits" if unit == SELECTED else f"Upper limits in {unit}"
        tables.append(table)
    return write_submission(
        run.out / "hepdata", run.out / "submission.tar.gz", tables=tables, comment=describe_search(run)
    )


def _figures(kind: str, names: Sequence[str]) -> str:
    """Name the figures that show a table; HEPData takes 256 characters."""
    plural = "s" if len(names) > 1 else ""
    text = f"Figure{plural} {', '.join(f'{kind}-{name}' for name in names)} of the report"
    return text if len(text) <= 256 else f"Figures {kind}-* of the report"
