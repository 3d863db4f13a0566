"""The HTML report and its template."""

from analysis.report.figures import ReportFigure
from analysis.report.render import render_report

__all__ = ["ReportFigure", "render_report"]
