"""Every figure of a search, as PNG and PDF."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from analysis.context import SearchRun, datasets_of
from analysis.figures.abcd import abcd_figures
from analysis.figures.adversarial import adversarial_figures
from analysis.figures.data import data_figures
from analysis.figures.detectors import detector_figures
from analysis.figures.hunts import hunt_figures
from analysis.figures.images import image_figures
from analysis.figures.jet_examined import jet_examined_figures
from analysis.figures.jet_tagging import jet_tagging_figures
from analysis.figures.latent import latent_figures
from analysis.figures.limits import limit_figures
from analysis.figures.salad import salad_figures
from analysis.figures.selected import selected_figures
from analysis.figures.validation import validation_figures
from analysis.figures.windows import window_figures
from analysis.files import read_json, write_json
from analysis.plots import Label, save
from analysis.report.figures import ReportFigure
from analysis.stages.abcd import abcd
from analysis.stages.bands import band_limits
from analysis.stages.combined import combined
from analysis.stages.direct import direct
from analysis.stages.hunt import hunt
from analysis.stages.jet_examined import examined
from analysis.stages.jet_networks import jet_networks
from analysis.stages.latent import latent
from analysis.stages.limit import limited
from analysis.stages.networks import networks
from analysis.stages.reweighting import reweighting
from analysis.stages.sculpting import background_sculpting
from analysis.stages.searched import searched
from analysis.stages.train import train
from analysis.stages.trajectories import trajectories
from analysis.stages.validate import background_orders, validate
from analysis.store import code_key, content_key


def draw_figures(run: SearchRun) -> list[ReportFigure]:
    """Draw every figure of a search into figures/ unless they show the same already; return them in order."""
    return list(run.once("figures", lambda: _draw(run)))


def figures_key(run: SearchRun) -> str:
    """Return a key of everything that the figures show."""
    return content_key(
        run.config_key,
        [searched(run, name).key for name in run.search.data],
        [found.key for found in train(run).values()],
        [found.key for found in hunt(run).values()],
        [found.key for found in abcd(run).values()],
        [found.key for found in reweighting(run).values()],
        [found.key for found in direct(run).values()],
        [found.key for found in latent(run).values()],
        [one.to_dict() for found in trajectories(run).values() for one in found],
        combined(run),
        background_orders(run),
        validate(run),
        background_sculpting(run),
        [(found.entries, found.profile) for found in limited(run).values()],
        band_limits(run),
        [found.key for found in networks(run).values()],
        [found.key for found in jet_networks(run).values()],
        [found.key for found in examined(run).values()],
        code_key("analysis"),
    )


def _draw(run: SearchRun) -> list[ReportFigure]:
    key = figures_key(run)
    index = run.out / "figures" / "index.json"
    done = read_json(index) if index.is_file() else {}
    figures = [ReportFigure(**entry) for entry in done.get("figures", [])] if done.get("key") == key else []
    if figures and all((run.out / figure.path).is_file() for figure in figures):
        return [_below(run.out, figure) for figure in figures]
    figures = []
    with run.bar("figures") as progress:
        for section, name, caption, figure in _all(run, label_of(run)):
            figures.append(_saved(run.out, section, name, caption, figure))
            if progress is not None:
                progress(len(figures), None)
    _remove_others(run.out / "figures", {figure.name for figure in figures})
    write_json(
        index, {"key": key, "figures": [json.loads(json.dumps(asdict(figure), default=str)) for figure in figures]}
    )
    return [_below(run.out, figure) for figure in figures]


def _saved(out: Path, section: str, name: str, caption: str, figure: object) -> ReportFigure:
    paths = save(figure, out / "figures", name)  # type: ignore[arg-type]
    return ReportFigure(section, name, str(paths["png"].relative_to(out)), caption)


def _below(out: Path, figure: ReportFigure) -> ReportFigure:
    return ReportFigure(figure.section, figure.name, out / figure.path, figure.caption)


def _all(run: SearchRun, label: Label) -> Iterator[tuple[str, str, str, object]]:
    yield from data_figures(run, label)
    yield from detector_figures(run, label)
    yield from selected_figures(run, label)
    yield from image_figures(run, label)
    yield from salad_figures(run, label)
    yield from latent_figures(run, label)
    yield from window_figures(run, label)
    yield from hunt_figures(run, label)
    yield from abcd_figures(run, label)
    yield from validation_figures(run, label)
    yield from limit_figures(run, label)
    yield from adversarial_figures(run, label)
    yield from jet_examined_figures(run, label)
    yield from jet_tagging_figures(run, label)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove figures of earlier settings, which the report would no longer explain."""
    for file in folder.glob("*.*"):
        if file.suffix in {".png", ".pdf"} and file.stem not in names:
            file.unlink()


def label_of(run: SearchRun) -> Label:
    """Return what stands above a figure: simulation where every data set is generated, and the collision energy."""
    entries = [run.catalogue.entry(name) for name in datasets_of(run.search)]
    luminosities = {entry.luminosity for entry in entries if entry.role == "data"} - {None}
    return Label(
        status="simulation" if all(entry.recipe is not None for entry in entries) else "",
        sqrt_s=entries[0].sqrt_s,
        luminosity=luminosities.pop() if len(luminosities) == 1 else None,
    )
