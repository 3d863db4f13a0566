"""results.json and figures to one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.files import write_atomically
from analysis.report import (
    abcd_tables,
    adversarial_tables,
    data_tables,
    fixed_tables,
    jet_tagging_tables,
    latent_tables,
    limit_tables,
    replica_tables,
    result_tables,
    salad_tables,
    sculpting_tables,
    stability_tables,
    validation_tables,
    window_tables,
)
from analysis.report.doubts import warnings
from analysis.report.figures import ReportFigure
from analysis.report.quantities import part
from analysis.report.summary import summary
from analysis.report.table import Table

_FOLDER = Path(__file__).parent
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """One section of the page: its anchor, title, tables and figures with their data URIs."""

    anchor: str
    title: str
    tables: Sequence[Table]
    figures: Sequence[tuple[ReportFigure, str]]


_TABLES: dict[str, tuple[str, tuple[Callable[[Results], Table | list[Table] | None], ...]]] = {
    "data": (
        "Data",
        (data_tables.datasets_table, data_tables.cutflow_tables, data_tables.mixtures_table),
    ),
    "detectors": ("Detectors", (data_tables.detectors_table, stability_tables.stability_table)),
    "scan": ("Sensitivity against S/B", (salad_tables.scan_tables,)),
    "latent": ("Latent space", (latent_tables.scores_table, latent_tables.pulls_table, latent_tables.decoder_table)),
    "reweighting": ("Simulation corrected to data", (salad_tables.correction_table, salad_tables.closure_table)),
    "direct": ("Background predicted by simulation", (salad_tables.direct_tables,)),
    "selections": (
        "Selections and bump hunt",
        (
            window_tables.window_tables,
            result_tables.hunt_table,
            result_tables.combined_table,
            fixed_tables.fixed_table,
            result_tables.background_table,
            result_tables.selections_table,
        ),
    ),
    "replicas": ("Over replicas", (replica_tables.replica_tables,)),
    "abcd": ("Background from two scores", (abcd_tables.abcd_tables,)),
    "validation": (
        "Doubting the background",
        (
            validation_tables.order_table,
            validation_tables.goodness_table,
            sculpting_tables.background_fit_table,
            validation_tables.bias_table,
            validation_tables.spurious_table,
            validation_tables.injection_table,
        ),
    ),
    "limits": (
        "Limits",
        (
            limit_tables.limits_table,
            limit_tables.cross_section_table,
            limit_tables.toy_limits_table,
            limit_tables.simple_table,
            limit_tables.profile_table,
        ),
    ),
    "networks": (
        "Robustness against smearing",
        (
            adversarial_tables.robustness_table,
            adversarial_tables.compared_table,
            adversarial_tables.training_table,
            adversarial_tables.signals_table,
            adversarial_tables.contamination_table,
        ),
    ),
    "jets_examined": ("Jets reconstructed and generated", (jet_tagging_tables.distances_table,)),
    "jets_found": ("Jets found", (jet_tagging_tables.areas_table,)),
    "jets_decorrelated": (
        "Independence of the jet mass",
        (jet_tagging_tables.sculpting_table, jet_tagging_tables.decorrelated_table),
    ),
    "jets_held_out": ("Beside a classifier, on jets that neither has seen", ()),
    "figures_of_merit": ("Figures of merit", (result_tables.merit_table,)),
}


def render_report(
    results: Results,
    figures: Sequence[ReportFigure],
    *,
    directory: str | Path,
    settings: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    log: str | Sequence[str] = (),
    log_lines: int = 60,
) -> Path:
    """Write `<directory>/report/index.html`: self-contained, without scripts, the same for the same input.

    Args:
        results: the contents of results.json; parts that are missing leave their section out.
        figures: what is shown, in order within each section; one whose PNG is missing becomes a warning.
        directory: output folder of the search.
        settings: the resolved search, shown as YAML.
        versions: versions of the packages used; without them those that results.json names.
        log: the log as text or lines; its last `log_lines` are shown.

    Returns:
        Path of the page, which appears whole or not at all.

    Raises:
        OSError: the page cannot be written.
    """
    shown = [(figure, uri) for figure in figures if (uri := figure.data_uri()) is not None]
    missing = [figure.name for figure in figures if figure.data_uri() is None]
    lines = log.splitlines() if isinstance(log, str) else [str(line).rstrip("\n") for line in log]
    name = str(results.get("search", "search"))
    page = _template().render(
        title=str((settings or {}).get("title") or name),
        name=name,
        version=results.get("version"),
        config_key=results.get("config_key"),
        style=Markup((_FOLDER / "style.css").read_text(encoding="utf-8")),
        summary=summary(results),
        warnings=warnings(results, missing_figures=missing),
        sections=_sections(results, shown),
        settings=_yaml(settings),
        catalogue=_yaml(part(results, "catalogue")),
        versions=versions or part(results, "versions") or part(results, "libraries"),
        log="\n".join(lines[-log_lines:]),
    )
    return write_atomically(Path(directory) / "report" / "index.html", page)


def _sections(results: Results, figures: Sequence[tuple[ReportFigure, str]]) -> list[Section]:
    sections = []
    for anchor, (title, builders) in _TABLES.items():
        tables: list[Table] = []
        for builder in builders:
            built = builder(results)
            tables += built if isinstance(built, list) else [built] if built is not None else []
        sections.append(Section(anchor, title, tables, [f for f in figures if f[0].section == anchor]))
    other = [figure for figure in figures if figure[0].section not in _TABLES]
    sections.append(Section("further", "Further figures", (), other))
    return [section for section in sections if section.tables or section.figures]


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    return environment.get_template("template.html")


def unbroken(text: str) -> str:
    """Keep numbers together with their units and powers when lines break."""
    for glue in (" × ", " ± ", " TeV", " GeV", " = ", " < ", " > "):
        text = text.replace(glue, glue.replace(" ", "\u00a0"))
    return text


def _yaml(settings: Mapping[str, Any] | None) -> str:
    return yaml.safe_dump(_plain(settings), sort_keys=False, allow_unicode=True) if settings else ""


def _plain(value: Any) -> Any:
    """Settings as what YAML can write: mappings, lists, numbers and text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)
