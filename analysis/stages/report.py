"""The HTML report of a search, and its log."""

from __future__ import annotations

from pathlib import Path

from analysis.context import SearchRun, read_json
from analysis.report.render import render_report
from analysis.stages.figures import draw_figures
from analysis.store import library_versions


def report(run: SearchRun) -> Path:
    """Write report/index.html from results.json and the figures; return its path."""
    log = run.out / "log.txt"
    return render_report(
        read_json(run.out / "results.json"),
        draw_figures(run),
        directory=run.out,
        settings=run.search.model_dump(mode="json"),
        versions=library_versions(),
        log=log.read_text() if log.is_file() else "",
    )
