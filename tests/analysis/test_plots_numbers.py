"""Numbers beside mathematics in figures: every sign is one that the fonts have, and bounds read as bounds."""

from __future__ import annotations

import logging
from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.numbers import NARROW_SPACE, format_uncertain
from analysis.plots.goodness import ToyStatistic, goodness_figure
from analysis.plots.injections import InjectedSignals, SpuriousScan, injection_figure, spurious_figure
from analysis.plots.mathtext import in_mathtext, p_text
from analysis.plots.profiling import RankedNuisance, ranking_figure
from analysis.plots.scans import MassScan, p0_figure
from analysis.plots.scores import mean_profile, profile_figure

TINY = 1e-310


def texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def ranking() -> Figure:
    return ranking_figure([RankedNuisance("a", 0.5, 1.0, (-20.0, 30.0))], strength=1460.3, error=231.0)


def injected() -> Figure:
    one = np.array([0.0, 10_000.0])
    pulls = [one / 1e4] * 3
    line = {"slope": 1.0, "slope_error": 0.1, "offset": 12_345.0, "offset_error": 678.0, "p": TINY}
    return injection_figure(InjectedSignals(3500.0, one, one, one + 1, one + 1, *pulls, threshold=0.5, **line))


def profile() -> Figure:
    mass = np.random.default_rng(1).uniform(2000, 4000, 20_000)
    return profile_figure(mean_profile("one", mass, mass / 1000, edges=np.linspace(2000, 4000, 11)))


def goodness() -> Figure:
    return goodness_figure(ToyStatistic(1234.5, np.linspace(0, 50, 11), np.full(10, 1000), 20, TINY))


def scan() -> Figure:
    return p0_figure(MassScan("one", np.array([3000.0, 3500.0]), np.array([0.1, TINY])))


@pytest.mark.parametrize("draw", [ranking, injected, profile, goodness, scan], ids=lambda draw: draw.__name__)
def test_every_sign_has_a_glyph_and_no_value_is_equal_to_a_bound(
    draw: Callable[[], Figure], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="matplotlib"):
        written = texts(draw())
    assert [record.getMessage() for record in caplog.records if "glyph" in record.getMessage()] == []
    for text in written:
        assert "= $<" not in text
        assert "$" not in text or NARROW_SPACE not in text
    if draw is not ranking:
        assert any("$p$ $< 10^{-300}$" in text or "$p_0$ $< 10^{-300}$" in text for text in written)
    else:
        assert any(r"1$\,$460 ± 230" in text for text in written)


def test_numbers_beside_mathematics() -> None:
    assert in_mathtext(format_uncertain(1460.3, 231.0)) == r"1$\,$460 ± 230"
    assert in_mathtext(format_uncertain(2.5e7, 3e6)) == "(2.50 ± 0.30) × 10$^{7}$"
    assert in_mathtext("0.5") == "0.5"


@pytest.mark.parametrize(
    ("p", "bound", "text"),
    [
        (0.25, False, "$p$ = 0.25"),
        (0.001, True, "$p$ < 0.0010"),
        (1e-5, False, r"$p$ = $1.0 \times 10^{-5}$"),
        (0.0, False, "$p$ $< 10^{-300}$"),
        (0.0, True, "$p$ $< 10^{-300}$"),
    ],
)
def test_p_values_and_bounds_on_them(p: float, bound: bool, text: str) -> None:
    assert p_text(p, bound=bound) == text


def test_the_accepted_spurious_signal_is_in_the_legend_that_covers_no_points() -> None:
    masses, error = np.linspace(3000, 6000, 31), np.linspace(20, 5, 31)
    scan_ = SpuriousScan(masses, error * np.cos(masses / 400), error, error / 10, limit=0.2, function="dijet4")
    figure = spurious_figure(scan_)
    main, panel = figure.axes
    legend = main.get_legend()
    assert panel.get_legend() is None
    assert [text.get_text() for text in legend.get_texts()][-1] == r"accepted: $\pm$0.2$\,\sigma_S$"
    figure.canvas.draw()
    box = legend.get_window_extent()
    for place in zip(masses, np.asarray(scan_.yields + scan_.template_errors), strict=True):
        assert main.transData.transform(place)[1] < box.y0
