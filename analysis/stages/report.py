"""The HTML report of a search, and its log."""

from __future__ import annotations

from pathlib import Path

from analysis.context import SearchRun
from analysis.files import read_json, write_atomically
from analysis.logs import own_lines
from analysis.report.render import render_report
from analysis.stages.figures import draw_figures, figures_key
from analysis.store import code_key, content_key


def outdated(run: SearchRun) -> str | None:
    """Say that the results on disk were made from other settings than the run's; None where they were not."""
    try:
        made_from = read_json(run.out / "results.json").get("config_key")
    except (OSError, ValueError):
        return None
    if made_from == run.config_key:
        return None
    return f"results.json and the report in {run.out} are of other settings than these: `report` makes them anew"


def report(run: SearchRun) -> Path:
    """Write report/index.html from results.json and the figures unless it shows the same already; return its path."""
    results = read_json(run.out / "results.json")
    settings = run.search.model_dump(mode="json")
    key = content_key(results, figures_key(run), settings, code_key("analysis"))
    page, made_from = run.out / "report" / "index.html", run.out / "report" / ".key"
    if page.is_file() and made_from.is_file() and made_from.read_text() == key:
        return page
    made_from.unlink(missing_ok=True)
    log = run.out / "log.txt"
    page = render_report(
        results,
        draw_figures(run),
        directory=run.out,
        settings=settings,
        log=own_lines(log.read_text(errors="replace")) if log.is_file() else "",
    )
    write_atomically(made_from, key)
    return page
