"""Figures of the latent-space decoder draw what they are given; outlines hold the fractions of events they claim."""

from __future__ import annotations

import dataclasses

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from analysis.figures.latent import averaged
from analysis.plots.density import density_regions, levels_holding
from analysis.plots.latent_maps import LatentMap, Outlined, Truth, latent_map_figure
from analysis.plots.marginals import MarginalRatio, marginal_figure
from analysis.plots.reconstruction import Reconstructed, reconstruction_figure
from analysis.plots.roc import RocCurve
from analysis.plots.style import SIGNAL

FEATURES = ("j1_m", "j1_tau21", "j2_m")
MASSES, COORDINATES = np.linspace(2000.0, 5000.0, 31), np.linspace(-3.0, 3.0, 21)


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def latent_map(feature: str = "j1_m", truth: Truth | None = None) -> LatentMap:
    """100 GeV at u = −3 to 400 GeV at u = 3, whatever the mass."""
    values = np.broadcast_to(250 + 50 * COORDINATES[:, None], (len(COORDINATES), len(MASSES)))
    return LatentMap(feature, MASSES, COORDINATES, values, truth)


def outlined(events: int, *, signal: bool = False) -> Outlined:
    random = np.random.default_rng(1)
    return Outlined("QCD", random.normal(3500, 200, events), random.normal(0, 1, events), signal=signal)


def contours(figure: Figure) -> list[QuadContourSet]:
    return [one for one in figure.axes[0].collections if isinstance(one, QuadContourSet)]


# ------------------------------------------------------------------------------------------------------------ densities


@pytest.mark.parametrize("scale", [(1.0, 1.0), (300.0, 0.01)])
def test_regions_of_a_gaussian(scale: tuple[float, float]) -> None:
    """A fraction f of a Gaussian lies within the radius √(−2 ln(1 − f)), in units of its widths."""
    n = 60_000
    x, y = np.random.default_rng(1).normal(0, 1, (2, n)) * np.array(scale)[:, None]
    found = density_regions(x, y, fractions=(0.68, 0.95))
    cell = (found.x[1] - found.x[0]) * (found.y[1] - found.y[0])
    assert found.density.sum() * cell == pytest.approx(1, rel=1e-6)
    areas = [np.sum(found.density >= level) * cell / np.prod(scale) for level in found.levels]
    np.testing.assert_allclose(areas, -2 * np.pi * np.log([0.32, 0.05]), rtol=0.03)
    away = np.hypot(found.x[None] / scale[0], found.y[:, None] / scale[1])
    for level, fraction in zip(found.levels, (0.68, 0.95), strict=True):
        radius = np.sqrt(-2 * np.log(1 - fraction))
        assert (found.density[away < 0.9 * radius] > level).all()
        assert (found.density[away > 1.1 * radius] < level).all()


def test_regions_hold_their_fractions_of_the_events() -> None:
    """Also of correlated events with a tail, and of few of them; rows of the density are y."""
    random = np.random.default_rng(2)
    for n, tolerance in ((40_000, 0.02), (1000, 0.03)):
        x = 2 + random.gamma(3, 1, n)
        y = 0.5 * x + random.normal(0, 1, n)
        found = density_regions(x, y)
        columns = np.clip(np.searchsorted(found.x, x), 1, len(found.x) - 1)
        rows = np.clip(np.searchsorted(found.y, y), 1, len(found.y) - 1)
        for level, fraction in zip(found.levels, (0.68, 0.95), strict=True):
            assert np.mean(found.density[rows, columns] >= level) == pytest.approx(fraction, abs=tolerance)


@pytest.mark.parametrize("seed", range(3))
def test_thin_tails_around_a_narrow_core_are_one_region(seed: int) -> None:
    """As signal has them, and with the fractions of the events that are asked for."""
    random = np.random.default_rng(seed)
    core = random.normal(0, [[0.1], [0.3]], (2, 1500))
    tail = random.normal([[-0.3], [-1.5]], [[0.5], [1.0]], (2, 300))
    x, y = np.concatenate([core, tail], axis=1)
    found = density_regions(x, y)
    inside = RegularGridInterpolator((found.y, found.x), found.density, bounds_error=False, fill_value=0)((y, x))
    for level, fraction in zip(found.levels, (0.68, 0.95), strict=True):
        assert ndimage.label(found.density >= level)[1] == 1
        assert np.mean(inside >= level) == pytest.approx(fraction, abs=2 / len(x))


def test_weights_count_as_so_many_events() -> None:
    x, y = np.random.default_rng(3).normal(0, 1, (2, 5000))
    plain, weighted = density_regions(x, y), density_regions(x, y, weight=np.full(5000, 0.01))
    np.testing.assert_allclose(weighted.density, plain.density)
    left = density_regions(x, y, weight=(x < 0).astype(float))
    cell = (left.x[1] - left.x[0]) * (left.y[1] - left.y[0])
    assert left.density[:, left.x > 0.5].sum() * cell < 0.05


def test_levels_of_known_densities() -> None:
    density, weight = np.array([1.0, 4.0, 2.0, 3.0]), np.ones(4)
    np.testing.assert_array_equal(levels_holding(density, weight, (0.2, 0.5, 0.7, 0.95)), [4, 3, 2, 1])
    np.testing.assert_array_equal(levels_holding(density, np.array([6.0, 1, 1, 1]), (0.3, 0.5)), [2, 1])


def test_what_has_no_regions() -> None:
    points = np.arange(10.0)
    with pytest.raises(ValueError, match="same coordinate"):
        density_regions(points, np.ones(10))
    with pytest.raises(ValueError, match="have no outline"):
        density_regions(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        density_regions(points, points, fractions=(68,))


# ----------------------------------------------------------------------------------------------------------------- maps


def test_maps_hold_the_values_and_the_contours_of_the_truth() -> None:
    truth = Truth(mean=300.0, deviation=40.0, median=310.0)
    figure = latent_map_figure([latent_map(truth=truth), latent_map("j2_m")], outlined=[outlined(500, signal=True)])
    expected = {"$m_{J_1}$ [GeV]", "$m_{J_2}$ [GeV]", "Signal median (truth)", "95% of QCD", "mean", r"$+1\,\sigma$"}
    assert expected <= set(texts(figure).split("\n"))
    axes = figure.axes[0]
    (mesh,) = (one for one in axes.collections if isinstance(one, QuadMesh))
    np.testing.assert_allclose(np.ravel(np.asarray(mesh.get_array())), np.ravel(latent_map().values))
    assert axes.get_xlim() == (2.0, 5.0)
    drawn = contours(figure)
    assert [float(one.levels[0]) for one in drawn[:4]] == pytest.approx([260, 300, 340, 310])
    vertices = np.concatenate([path.vertices for path in drawn[1].get_paths()])
    np.testing.assert_allclose(vertices[:, 1], 1, atol=1e-9)  # u where 250 + 50u is the mean
    assert len(drawn) == 6  # and two outlines
    above, mean, below = (
        {line.get_label(): line for line in figure.legends[0].get_lines()}[f"Signal mean {side}(truth)"]
        for side in (r"$+ 1\,\sigma$ ", "", r"$- 1\,\sigma$ ")
    )
    looks = [(line.get_linewidth(), line._dash_pattern) for line in (above, mean, below)]  # type: ignore[attr-defined]
    assert len(set(map(str, looks))) == 3  # +σ and −σ can be told apart


def test_truth_that_the_map_does_not_reach_is_left_out() -> None:
    figure = latent_map_figure([latent_map(truth=Truth(mean=430.0, deviation=40.0, median=600.0))])
    assert [float(one.levels[0]) for one in contours(figure)] == pytest.approx([390])
    texts(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [r"Signal mean $- 1\,\sigma$ (truth)"]
    assert not latent_map_figure([latent_map(truth=Truth(mean=600.0, deviation=40.0, median=600.0))]).legends
    both = [latent_map(truth=Truth(430.0, 40.0, 600.0)), latent_map("j2_m", truth=Truth(300.0, 500.0, 600.0))]
    names = [text.get_text() for text in latent_map_figure(both).legends[0].get_texts()]
    assert names == [r"Signal mean $- 1\,\sigma$ (truth)", "Signal mean (truth)"]  # each on one of the maps


def test_maps_without_truth_signal_or_events() -> None:
    figure = latent_map_figure([latent_map(name) for name in FEATURES], columns=2, outlined=[outlined(5)])
    assert contours(figure) == []
    assert "Signal" not in texts(figure)
    assert not figure.legends
    level = dataclasses.replace(latent_map(), values=np.full((len(COORDINATES), len(MASSES)), 3.0))
    texts(latent_map_figure([level]))


def test_limits_are_shared_where_they_are_given() -> None:
    one = dataclasses.replace(latent_map(), limits=(0.0, 1000.0))
    (mesh,) = (c for c in latent_map_figure([one]).axes[0].collections if isinstance(c, QuadMesh))
    assert mesh.get_clim() == (0.0, 1000.0)


def test_truth_of_events() -> None:
    assert Truth.of(np.array([1.0, 2.0, 6.0])) == Truth(3.0, pytest.approx(np.sqrt(14 / 3)), 2.0)
    with pytest.raises(ValueError, match="no signal events"):
        Truth.of(np.empty(0))


def test_maps_are_checked() -> None:
    with pytest.raises(ValueError, match="'j1_m' has shape"):
        dataclasses.replace(latent_map(), values=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="not finite"):
        dataclasses.replace(latent_map(), values=np.full((len(COORDINATES), len(MASSES)), np.nan))
    with pytest.raises(ValueError, match="at least one feature"):
        latent_map_figure([])


# ------------------------------------------------------------------------------------------------------------ marginals


def test_marginals_are_lines_and_a_band() -> None:
    x = np.linspace(0, 1, len(MASSES))
    data = np.array([1 + 0.1 * x, 1 + 0.3 * x])
    background = np.array([1 - 0.01 * x, 1 + 0.02 * x, np.ones(len(x))])
    ratios = [MarginalRatio("j1_m", MASSES, data, background), MarginalRatio("j1_tau21", MASSES, data)]
    figure = marginal_figure(ratios, window=(3300.0, 3700.0), signal=(3400.0, 3550.0))
    found = texts(figure)
    assert {"Search window", "Central 68% of the signal (truth)"} <= set(found.split("\n"))
    for axes in figure.axes:
        marks = [line for line in axes.lines if to_hex(line.get_color()) == SIGNAL]
        assert [float(np.asarray(line.get_xdata())[0]) for line in marks] == [3.4, 3.55]
    assert "Background only, range of 3 trainings" in found
    assert "Data, mean of 2 members" in found
    lines = [np.asarray(line.get_ydata(), float) for line in figure.axes[0].lines]
    assert any(len(y) == len(x) and np.allclose(y, 1 + 0.2 * x) for y in lines)
    assert any(len(y) == len(x) and np.allclose(y, 1 + (0.2 - np.sqrt(0.02)) * x) for y in lines)
    (band,) = (one for one in figure.axes[0].collections if isinstance(one, PolyCollection))
    np.testing.assert_allclose(band.get_paths()[0].get_extents().intervaly, [0.99, 1.02])
    assert not any(isinstance(one, PolyCollection) for one in figure.axes[1].collections)


def test_marginals_are_checked() -> None:
    with pytest.raises(ValueError, match="one row per training"):
        MarginalRatio("j1_m", MASSES, np.ones(len(MASSES)))
    with pytest.raises(ValueError, match="background of 'j1_m'"):
        MarginalRatio("j1_m", MASSES, np.ones((2, len(MASSES))), np.ones((2, 3)))
    with pytest.raises(ValueError, match="at least one feature"):
        marginal_figure([])


# ------------------------------------------------------------------------------------------------------- reconstruction


def reconstructed(*, signal: bool = False) -> Reconstructed:
    values = np.array([10.0, 10.0, 30.0, 30.0])
    name, pulls = ("W'", [[2.0, 0, 0], [3.0, 0, 0]]) if signal else ("QCD", [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    return Reconstructed(name, values, np.array([[10.0] * 4, [30.0, 10.0, 30.0, 10.0]]), np.array(pulls), signal=signal)


def test_reconstructed_events_are_filled_and_inputs_outlined() -> None:
    edges = np.array([0.0, 20.0, 40.0])
    samples = [reconstructed(), reconstructed(signal=True)]
    figure = reconstruction_figure(samples, feature="j1_m", features=FEATURES, edges=edges)
    found = set(texts(figure).split("\n"))
    assert {"QCD, input", "QCD, reconstructed", "W' (truth), input", "$m_{J_1}$ [GeV]", "$m_{J_2}$"} <= found
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [r"$\pm 1\,\sigma$ of the input", "QCD", "W' (truth)"]
    left, right = figure.axes
    steps = [patch for patch in left.patches if isinstance(patch, StepPatch)]
    contents = {patch.get_label(): (list(patch.get_data().values), patch.get_fill()) for patch in steps}
    assert contents["QCD, input"] == ([0.5, 0.5], False)
    assert contents["QCD, reconstructed"] == ([0.75, 0.25], True)
    means = [list(np.asarray(container.lines[0].get_xdata(), float)) for container in right.containers]
    assert means == [pytest.approx([0.2, 0.2, 0.2]), pytest.approx([2.5, 0, 0])]
    (bars,) = right.containers[1].lines[2]
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends[0], 2.5 + np.sqrt(0.5) * np.array([-1, 1]))
    low, high = right.get_xlim()
    assert low < ends.min()
    assert ends.max() < high


def test_one_kind_of_events_with_bins_of_its_own() -> None:
    figure = reconstruction_figure([reconstructed()], feature="j1_m", features=FEATURES)
    assert "truth" not in texts(figure)


def test_reconstructions_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\(members, events\)"):
        dataclasses.replace(reconstructed(), reconstructed=np.ones(4))
    with pytest.raises(ValueError, match="for 2 features"):
        reconstruction_figure([reconstructed()], feature="j1_m", features=FEATURES[:2])
    with pytest.raises(ValueError, match="at least one sample"):
        reconstruction_figure([], feature="j1_m", features=FEATURES)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (0, "score, and as a band its statistical error"),
        (2, "2 members, and as a band the range of the members"),
        (3, "3 members, and as a band the 16% to 84% quantiles of the members"),
    ],
)
def test_the_caption_says_of_the_band_what_the_legend_says(members: int, text: str) -> None:
    line = np.linspace(0, 1, 5)
    assert text in averaged(RocCurve("d", line, line, 10, 10, members=[(line, line)] * members))
