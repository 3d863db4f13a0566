"""Figures of single jets show the numbers that they were given."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.plots.correlations import Pair, correlation_figure
from analysis.plots.decorrelation import DecorrelationPoint, decorrelation_figure
from analysis.plots.embedding import Embedding, embedding_figure
from analysis.plots.jet_types import jet_looks
from analysis.plots.roc import RocCurve, roc_figure
from analysis.plots.roc_ratio import ComparedRoc, roc_ratio_figure
from analysis.plots.style import SIGNAL

LOOKS = jet_looks({"w_59": ("W", 59), "w_174": ("W", 174), "top_174": ("top", 174)})
GRID = np.linspace(0, 1, 201)


def test_colours_say_the_mass_and_lines_the_kind() -> None:
    assert LOOKS["w_174"].shade == LOOKS["top_174"].shade == SIGNAL != LOOKS["w_59"].shade
    assert LOOKS["w_59"].style == LOOKS["w_174"].style != LOOKS["top_174"].style


def test_a_curve_is_drawn_in_its_look() -> None:
    look = LOOKS["top_174"]
    curves = [
        RocCurve(name, GRID, GRID**2, 500, 10_000, shade=LOOKS[name].shade, style=LOOKS[name].style)
        for name in ("w_59", "top_174")
    ]
    lines = {line.get_label(): line for line in roc_figure(curves).axes[0].lines}
    assert (lines["top_174"].get_color(), lines["top_174"].get_linestyle()) == (look.shade, look.style)


def test_points_of_figure_15_lie_at_one_over_the_divergence() -> None:
    points = [
        DecorrelationPoint("vae", 0.5, 0.02, 0.4, 0.04, "nll"),
        DecorrelationPoint("oe", 0.3, 0.02, 0.01, 0.02, "mse_oe"),
        DecorrelationPoint("none", 0.3, 0.02, 0.0, 0.02, "disco"),
    ]
    (axes,) = decorrelation_figure(points, efficiency=0.05, expected=0.004).axes
    drawn = [container.lines[0].get_xydata()[0].tolist() for container in axes.containers]
    assert drawn == [[0.5, pytest.approx(2.5)], [0.3, pytest.approx(100)]]
    (segment,) = axes.containers[1].lines[2][1].get_segments()
    # the error is larger than the value: the bar ends at five times it
    np.testing.assert_allclose(segment[:, 1], [1 / 0.03, 500])
    assert any(line.get_ydata()[0] == pytest.approx(250) for line in axes.lines if len(set(line.get_ydata())) == 1)
    with pytest.raises(ValueError, match="at least one network"):
        decorrelation_figure(points[2:], efficiency=0.05, expected=0.0)


def test_the_ratio_panel_shows_how_much_better_the_other_is() -> None:
    curve = ComparedRoc("top", LOOKS["top_174"], (GRID, GRID), (GRID, GRID**2))
    main, below = roc_ratio_figure([curve], reference="classifier", other="vae", n_background=10_000).axes
    x, ratio = below.lines[0].get_data()
    np.testing.assert_allclose(ratio, 1 / x, rtol=0.02)
    # 1/ε_B of the reference, as far as twenty jets are left of both
    x, rejection = main.lines[0].get_data()
    np.testing.assert_allclose(rejection, 1 / x, rtol=1e-6)
    assert 10_000 * x[0] ** 2 >= 19
    with pytest.raises(ValueError, match="at least one type"):
        roc_ratio_figure([], reference="a", other="b", n_background=1)


def test_correlations_follow_the_median() -> None:
    x = np.random.default_rng(2).uniform(0, 100, 4000)
    figure = correlation_figure([Pair("x", "y", x, 2 * x, "dCor = 1.00")])
    axes = figure.axes[0]
    centre, median = axes.lines[0].get_data()
    np.testing.assert_allclose(median, 2 * np.asarray(centre), atol=5)
    assert axes.texts[0].get_text() == "dCor = 1.00"
    with pytest.raises(ValueError, match="two columns of equal length"):
        Pair("x", "y", x, x[1:])
    with pytest.raises(ValueError, match="at least one pair"):
        correlation_figure([])


def test_all_kinds_of_jets_are_in_every_embedding() -> None:
    rng = np.random.default_rng(3)
    places = {"QCD": rng.normal(size=(30, 2)), "W": rng.normal(size=(20, 2))}
    figure = embedding_figure([Embedding("β = 0.1", places), Embedding("β = 1", places)])
    for axes in figure.axes:
        assert len(axes.collections[0].get_offsets()) == 50
        shades, counts = np.unique(axes.collections[0].get_facecolors(), axis=0, return_counts=True)
        assert sorted(counts) == [20, 30]
        assert len(shades) == 2
    with pytest.raises(ValueError, match="at least one embedding"):
        embedding_figure([])
