"""Bands of ROC curves hold what the members say, and nothing that cannot be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from analysis.plots.roc import RocCurve, roc_figure, sic_figure
from ml.metrics import roc

EFFICIENCY = np.linspace(0, 1, 2001)


def curve(*members: np.ndarray, n_background: int = 100_000, repeated: bool = False) -> RocCurve:
    """A diagonal with members of other background efficiencies (2001,)."""
    each = [(EFFICIENCY, one) for one in members]
    return RocCurve("one", EFFICIENCY, EFFICIENCY, 1000, n_background, each, repeated=repeated)


def band(figure: Figure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal efficiencies, and lower and upper end of the band there."""
    (found,) = (one for one in figure.axes[0].collections if isinstance(one, PolyCollection))
    points = found.get_paths()[0].vertices
    x = np.unique(points[:, 0])
    ends = [[function(points[points[:, 0] == one, 1]) for one in x] for function in (np.min, np.max)]
    return x, np.array(ends[0]), np.array(ends[1])


GOOD, BAD = EFFICIENCY**4, 1 - (1 - EFFICIENCY) ** 4
LEAST: tuple[tuple[Callable[..., Figure], Callable[[np.ndarray], np.ndarray]], ...] = (
    (roc_figure, np.ones_like),  # all background is selected
    (sic_figure, lambda x: x),
)


@pytest.mark.parametrize(("draw", "least"), LEAST, ids=["roc", "sic"])
def test_members_of_two_kinds_have_no_band_below_what_is_possible(
    draw: Callable[..., Figure], least: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Half of the members rank signal first, half of them last: their standard deviation is as large as their mean."""
    x, low, high = band(draw(curve(*[GOOD] * 5, *[BAD] * 5)))
    power = 1.0 if draw is roc_figure else 0.5
    assert (low >= least(x) * (1 - 1e-9)).all()
    middle = (x > 0.3) & (x < 0.9)
    for values, ends in ((BAD, low), (GOOD, high)):
        at = np.interp(x[middle], EFFICIENCY, values)
        expected = 1 / at if power == 1.0 else x[middle] / np.sqrt(at)
        np.testing.assert_allclose(ends[middle], expected, rtol=1e-3)


def test_the_band_holds_the_central_68_percent_of_members() -> None:
    powers = np.linspace(1, 3, 101)
    for repeated in (False, True):
        x, low, high = band(roc_figure(curve(*[EFFICIENCY**power for power in powers], repeated=repeated)))
        some = x > 0.2
        np.testing.assert_allclose(low[some], x[some] ** -(1 + 2 * 0.16), rtol=1e-2)
        np.testing.assert_allclose(high[some], x[some] ** -(1 + 2 * 0.84), rtol=1e-2)


def test_two_members_are_the_ends_of_the_band_and_one_is_both() -> None:
    x, low, high = band(roc_figure(curve(EFFICIENCY**2, EFFICIENCY**3)))
    some = x > 0.2
    np.testing.assert_allclose(low[some], x[some] ** -2, rtol=1e-2)
    np.testing.assert_allclose(high[some], x[some] ** -3, rtol=1e-2)
    _, low, high = band(roc_figure(curve(EFFICIENCY**2)))
    np.testing.assert_array_equal(low, high)


@pytest.mark.parametrize(("draw", "least"), LEAST, ids=["roc", "sic"])
def test_a_statistical_band_ends_where_all_background_is_selected(
    draw: Callable[..., Figure], least: Callable[[np.ndarray], np.ndarray]
) -> None:
    x, low, _ = band(draw(curve(n_background=30), minimum_background=1))
    assert (low >= least(x) * (1 - 1e-9)).all()
    assert low[-2] == pytest.approx(least(x)[-2])


@pytest.mark.parametrize(
    ("members", "repeated", "text"),
    [
        (0, False, r"statistical $\pm 1\sigma$"),
        (2, False, "range of single members"),
        (3, False, "16–84% of single members"),
        (3, True, "16–84% of repeats"),
    ],
)
def test_the_legend_says_what_a_band_is(members: int, repeated: bool, text: str) -> None:
    figure = roc_figure(curve(*[GOOD] * members, repeated=repeated))
    assert figure.axes[0].get_legend().get_title().get_text() == f"At least 20 background events\nBands: {text}"


def test_a_legend_of_several_bands_has_short_lines() -> None:
    figure = roc_figure([curve(*[GOOD] * 3), curve(GOOD, GOOD), curve(*[GOOD] * 3, repeated=True)])
    lines = figure.axes[0].get_legend().get_title().get_text().split("\n")
    assert lines[1:] == ["Bands: 16–84% of repeats,", "16–84% of single members,", "range of single members"]
    assert max(map(len, lines)) <= 46


def plateau(share: float) -> RocCurve:
    """A diagonal whose highest `share` of the events, of either kind, have one score."""
    scores, truth = np.minimum(np.tile(EFFICIENCY[1:], 2), 1 - share), np.repeat([1, 0], len(EFFICIENCY) - 1)
    found = roc(scores, truth)
    return RocCurve("one", found.signal, found.background, 2000, 2000)


@pytest.mark.parametrize("draw", [roc_figure, sic_figure])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_curve_ends_where_all_that_is_left_has_one_score(draw: Callable[..., Figure], share: float) -> None:
    """A straight line from there to nothing selected would be a selection that no threshold makes."""
    axes = draw(plateau(share)).axes[0]
    (line,) = (one for one in axes.get_lines() if one.get_label() == "one")
    assert line.get_xdata()[0] == pytest.approx(max(share, 20 / 2000), abs=0.006)  # or 20 background events
    ends = [one.get_xdata()[0] for one in axes.get_lines() if one.get_marker() == "o"]
    assert ends == ([line.get_xdata()[0]] if share else [])


def test_a_mean_of_repeats_ends_where_one_of_them_does() -> None:
    members = [(one.signal_efficiency, one.background_efficiency) for one in (plateau(0.0), plateau(0.3))]
    for repeated, start in ((True, 0.3), (False, 0.01)):
        whole = dataclasses.replace(plateau(0.0), members=members, repeated=repeated)
        (line,) = (one for one in roc_figure(whole).axes[0].get_lines() if one.get_label() == "one")
        assert line.get_xdata()[0] == pytest.approx(start, abs=0.006)
        assert np.isfinite(line.get_ydata()).all()


def test_the_legend_gives_the_area_with_its_uncertainty() -> None:
    with_area = dataclasses.replace(curve(), auc=(0.91234, 0.0123))
    (text, _) = roc_figure(with_area).axes[0].get_legend().get_texts()
    assert text.get_text() == "one, AUC 0.912 ± 0.012"
