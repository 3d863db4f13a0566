"""Figures draw whatever a search can produce, without warnings, and are saved whole."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from analysis import plots

EDGES = np.arange(2500.0, 5001.0, 100.0)
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


def spectrum(scale: float = 1000.0, *, label: str = "1% selection") -> plots.FittedSpectrum:
    fit = scale * np.exp(-(CENTRES - 2500) / 300)
    signal = 0.02 * scale * np.exp(-0.5 * ((CENTRES - 3500) / 90) ** 2)
    counts = np.random.default_rng(1).poisson(fit + signal).astype(float)
    return plots.FittedSpectrum(
        label, EDGES, counts, fit, 0.05 * fit, signal, (3300.0, 3700.0), chi2=21.3, ndof=22, p=1.2e-5
    )


def texts(figure: Figure) -> str:
    """All text in a figure, legends included."""
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def draw(figure: Figure) -> None:
    """Lay the figure out and draw it: missing glyphs and bad layouts warn only here."""
    figure.canvas.draw()


def test_garwood_known_answers() -> None:
    low, high = plots.garwood_errors(np.array([0.0, 1.0, 10.0]))
    np.testing.assert_allclose(low, [0, 0.8272462209761443, 3.1086944], atol=1e-6)
    np.testing.assert_allclose(high, [1.8410216, 2.2995275, 4.2669486], atol=1e-6)


def test_garwood_covers() -> None:
    counts = np.arange(60.0)
    low, high = plots.garwood_errors(counts)
    for mean in (0.5, 3.0, 17.0):
        inside = (counts - low <= mean) & (mean <= counts + high)
        assert stats.poisson.pmf(counts, mean)[inside].sum() >= 0.6827


def test_garwood_rejects_negative_counts() -> None:
    with pytest.raises(ValueError, match="not negative"):
        plots.garwood_errors(np.array([1.0, -1.0]))


def test_pulls_take_the_side_that_faces_the_fit() -> None:
    pulls = plots.garwood_pulls(np.array([10.0, 10.0, 0.0, 5.0]), np.array([5.0, 15.0, 1.8410216, np.nan]))
    np.testing.assert_allclose(pulls, [5 / 3.1086944, -5 / 4.2669486, -1.0, np.nan], rtol=1e-5)


@pytest.mark.parametrize("scale", [1000.0, 5.0, 0.0])
def test_spectrum_draws_full_sparse_and_empty_bins(scale: float) -> None:
    draw(plots.spectrum_figure(spectrum(scale)))


def test_spectra_have_one_pull_panel_each() -> None:
    unfitted = plots.FittedSpectrum("No fit", EDGES, np.ones(len(CENTRES)))
    figure = plots.spectrum_figure([spectrum(1e4, label="Inclusive"), spectrum(100), unfitted])
    draw(figure)
    assert len(figure.axes) == 3
    assert figure.axes[0].get_ylabel() == "Events / 100 GeV"
    assert figure.axes[-1].get_xlabel().endswith("[GeV]")
    assert "21.3/22" in texts(figure)


def test_spectrum_with_partial_fit_variable_bins_and_one_bin() -> None:
    edges = np.array([2500.0, 2600.0, 2800.0, 3200.0])
    fit = np.array([np.nan, 4.0, 2.0])
    figure = plots.spectrum_figure(plots.FittedSpectrum("Partial", edges, np.array([9.0, 3.0, 0.0]), fit))
    draw(figure)
    assert figure.axes[0].get_ylabel() == "Events / bin"
    draw(plots.spectrum_figure(plots.FittedSpectrum("One", edges[:2], np.array([0.0]), np.array([0.1]))))


def test_spectrum_rejects_arrays_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"fit of 'x' has shape \(2,\), expected \(1,\)"):
        plots.FittedSpectrum("x", np.array([0.0, 1.0]), np.array([1.0]), np.array([1.0, 2.0]))


def test_p0_scans_name_mass_and_global_p() -> None:
    masses = np.linspace(3000, 4000, 21)
    p0 = stats.norm.sf(5 * np.exp(-0.5 * ((masses - 3500) / 80) ** 2))
    bound = {"value": 1 / 1001, "low": 0.0, "high": 0.003, "method": "toys", "toys": 1000}
    scans = [
        plots.MassScan("Selected $1\\%", masses, p0, None, bound, 3.1),
        plots.MassScan("Inclusive", masses, np.full(21, 0.5), 3300.0, {"value": 0.4, "toys": 1000}, 0.2),
    ]
    figure = plots.p0_figure(scans, window=(3300, 3700))
    draw(figure)
    assert "3.50 TeV" in texts(figure)
    assert "global $p$ < 0.0010 (> 3.1" in texts(figure)
    assert "global $p$ = 0.40 (0.2" in texts(figure)
    assert "5$\\sigma$" in texts(figure)


def test_numbers_of_sigma_do_not_overlap_beside_a_huge_excess() -> None:
    figure = plots.p0_figure(plots.MassScan("One", np.array([3400.0, 3500.0]), np.array([0.5, 1e-55])))
    draw(figure)
    written = [text for text in figure.axes[0].texts if "sigma" in text.get_text()]
    boxes = [text.get_window_extent() for text in written]
    assert len(boxes) > 3
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("p0", [[0.3], [0.0], [np.nan], [1.0]])
def test_p0_of_a_single_mass(p0: list[float]) -> None:
    draw(plots.p0_figure(plots.MassScan("One", np.array([3500.0]), np.array(p0))))


def test_brazil_band_with_gaps_and_single_point() -> None:
    full = plots.LimitPoint(3500.0, 30.0, [10, 14, 20, 29, 41])
    points = [full, plots.LimitPoint(3000.0, None, [12, 16, 22, 31, 44]), plots.LimitPoint(4000.0, 9.0, None)]
    figure = plots.brazil_figure(points, unit="fb", signal="W′ → XY")
    draw(figure)
    assert "[fb]" in figure.axes[0].get_ylabel()
    draw(plots.brazil_figure([full]))
    draw(plots.brazil_figure([plots.LimitPoint(3500.0)]))
    draw(plots.brazil_figure([plots.LimitPoint(3500.0, 0.0, [0, 0, 0, 0, 0])]))
    draw(plots.brazil_figure([full, dataclasses.replace(full, mass=4000.0, observed=4000.0)]))


def test_limits_break_where_none_was_found() -> None:
    band = [10, 14, 20, 29, 41]
    masses = (2000.0, 2500.0, 3000.0, 3500.0, 4000.0)
    points = [plots.LimitPoint(mass) if mass in (3000, 4000) else plots.LimitPoint(mass, 30.0, band) for mass in masses]
    figure = plots.brazil_figure(points)
    draw(figure)
    axes = figure.axes[0]
    assert len(axes.lines) == 2
    for line in axes.lines:
        assert line.get_marker() == "o"
        np.testing.assert_array_equal(np.isnan(line.get_ydata()), [False, False, True, False, True])
    drawn = [collection.get_datalim(axes.transData).intervalx for collection in axes.collections]
    np.testing.assert_allclose(drawn, [[2000, 2500], [3420, 3580]] * 2)


def test_limits_from_toys_are_open_squares() -> None:
    entry = {"mass": 3500, "observed": 30.0, "expected": [10, 14, 20, 29, 41]}
    found = {"observed": 33.0, "observed_error": 2.0, "expected": [11, 15, 21.5, 30, 42]}
    given = [entry | {"toys": found}, entry | {"mass": 4000, "toys": {"reason": "too few"}}, entry | {"mass": 4500}]
    points = [plots.LimitPoint.from_result(one) for one in given]
    assert points[0].toys == (33.0, 2.0, 21.5)
    for shown in (points, points[:1]):
        figure = plots.brazil_figure(shown)
        draw(figure)
        squares = [line for line in figure.axes[0].lines if line.get_marker() == "s"]
        assert [(list(line.get_xdata()), list(line.get_ydata())) for line in squares] == [
            ([3500], [33]),
            ([3500], [21.5]),
        ]
        assert {line.get_markerfacecolor() for line in squares} == {"none"}
        assert "Median expected, toys" in texts(figure)
    assert "toys" not in texts(plots.brazil_figure(points[1:]))


def test_one_mass_is_a_narrow_box() -> None:
    axes = plots.brazil_figure([plots.LimitPoint(4000.0, 30.0, [10, 14, 20, 29, 41])]).axes[0]
    assert axes.collections[0].get_datalim(axes.transData).width == pytest.approx(80.0)
    assert axes.get_xlim() == pytest.approx((3800.0, 4200.0))


def test_limit_point_reads_results() -> None:
    entry = {"mass": 3500, "observed": None, "expected": [1, 2, 3, 4, 5], "unit": "fb"}
    np.testing.assert_array_equal(plots.LimitPoint.from_result(entry).values, [1, 2, 3, 4, 5, np.nan])
    with pytest.raises(ValueError, match="2 expected values"):
        _ = plots.LimitPoint(1.0, 1.0, [1.0, 2.0]).values


def roc(n_background: int = 10_000, members: int = 0) -> plots.RocCurve:
    threshold = np.linspace(4, -4, 200)
    signal, background = stats.norm.sf(threshold - 1.5), stats.norm.sf(threshold)
    spread = [(stats.norm.sf(threshold - 1.5 - 0.1 * i), background) for i in range(members)]
    return plots.RocCurve("Detector", signal, background, 500, n_background, spread, uses_labels=members > 0)


@pytest.mark.parametrize("draw_curves", [plots.roc_figure, plots.sic_figure])
def test_efficiency_curves_stop_at_the_minimum_background(draw_curves: Callable[..., Figure]) -> None:
    figure = draw_curves([roc(), roc(members=3)], minimum_background=100)
    draw(figure)
    assert "At least 100 background events" in texts(figure)
    assert "reference" in texts(figure)
    line = figure.axes[0].lines[0]
    # 100 of 10,000 leave a background efficiency of 1%, where the signal efficiency is sf(isf(0.01) - 1.5)
    assert line.get_xdata()[0] == pytest.approx(stats.norm.sf(stats.norm.isf(0.01) - 1.5), abs=0.006)


def test_efficiency_curves_without_enough_background() -> None:
    draw(plots.sic_figure(roc(n_background=10)))
    draw(plots.roc_figure(roc(n_background=0)))
    draw(plots.sic_figure(roc(n_background=40, members=1)))


def test_histograms_keep_events_and_weights() -> None:
    values, weights = np.array([0.5, 1.5, 1.6, np.nan]), np.array([1.0, 2.0, 3.0, 9.0])
    samples = [plots.Values("MC", values, weights, "simulation"), plots.Values("Data", values)]
    comparison = plots.histogram_values("x", samples, edges=np.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(comparison.histograms[0].values, [1, 5])
    np.testing.assert_array_equal(comparison.histograms[0].variances, [1, 13])
    np.testing.assert_array_equal(comparison.histograms[1].values, [1, 2])
    assert comparison.reference == 0


def test_whole_numbers_share_bins_evenly() -> None:
    values = np.random.default_rng(0).poisson(90, 2000)
    edges = plots.histogram_values("n", [plots.Values("Data", values)], bins=20).edges
    assert np.all(edges % 1 == 0.5)
    assert len(set(np.diff(edges))) == 1


def test_features_against_simulation() -> None:
    rng = np.random.default_rng(2)
    comparisons = [
        plots.histogram_values(
            plots.axis_label(column),
            [
                plots.Values("Simulation", rng.gamma(3, 50, 500), rng.uniform(0.5, 1.5, 500), "simulation"),
                plots.Values("Data", rng.gamma(3, 50, 500)),
                plots.Values("W′", rng.gamma(9, 50, 20), role="signal"),
            ],
        )
        for column in ("j1_m", "something $else")
    ]
    figure = plots.comparison_figure(comparisons, columns=1)
    draw(figure)
    assert len(figure.axes) == 4
    assert "$m_{J_1}$ [GeV]" in texts(figure)
    assert "W′ (truth)" in texts(figure)


@pytest.mark.parametrize(("values", "log"), [([], True), ([3.0], False), ([3.0, 3.0, np.nan], True)])
def test_comparison_of_few_or_no_events(values: list[float], log: bool) -> None:
    samples = [plots.Values("Simulation", np.array(values), role="simulation"), plots.Values("Data", np.array(values))]
    draw(plots.comparison_figure(plots.histogram_values("x", samples), log=log))


def test_shapes_of_selections() -> None:
    inclusive = np.random.default_rng(3).poisson(2000 * np.exp(-(CENTRES - 2500) / 300)).astype(float)
    selected = [("10%", np.round(inclusive / 10)), ("none", np.zeros_like(inclusive))]
    comparison = plots.shape_comparison(EDGES, inclusive, selected, window=(3300, 3700))
    draw(plots.comparison_figure(comparison, log=True))


def test_profile_is_the_mean_with_its_error() -> None:
    mass = np.repeat([100.0, 300.0, 500.0], [4, 3, 1])
    values = np.array([1.0, 2.0, 3.0, 4.0, 7.0, 7.0, 7.0, 9.0])
    profile = plots.mean_profile("x", mass, values, edges=np.array([0.0, 200.0, 400.0, 600.0]), minimum=3)
    np.testing.assert_allclose(profile.mean, [2.5, 7.0, np.nan])
    np.testing.assert_allclose(profile.error, [np.std([1, 2, 3, 4], ddof=1) / 2, 0.0, np.nan])


def test_profile_of_a_flat_score_is_flat() -> None:
    rng = np.random.default_rng(4)
    mass, score = rng.uniform(2000, 4000, 5000), rng.uniform(size=5000)
    flat = plots.mean_profile("flat", mass, score, edges=np.linspace(2000, 4000, 11))
    steep = plots.mean_profile("steep", mass, score + mass / 2000, edges=np.linspace(2000, 4000, 11))
    assert flat.flatness is not None
    assert steep.flatness is not None
    assert flat.flatness[2] > 1e-3
    assert steep.flatness[2] < 1e-10
    draw(plots.profile_figure([flat, steep], window=(2500, 3000)))
    empty = plots.mean_profile("empty", mass[:0], score[:0], edges=np.linspace(2000, 4000, 11))
    draw(plots.profile_figure(empty))


def test_nothing_to_draw_is_an_error() -> None:
    for function in (
        plots.spectrum_figure, plots.p0_figure, plots.brazil_figure, plots.roc_figure, plots.sic_figure,
        plots.comparison_figure, plots.profile_figure,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="at least one"):
            function([])


def test_save_writes_both_formats_reproducibly(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    label = plots.Label(status="simulation", sqrt_s=13, luminosity=100, text="LHCO")
    content = []
    for run in ("a", "b"):
        paths = plots.save(plots.spectrum_figure(spectrum(), label=label), tmp_path / run, "spectrum")
        assert sorted(path.name for path in (tmp_path / run).iterdir()) == ["spectrum.pdf", "spectrum.png"]
        content.append([paths["png"].read_bytes(), paths["pdf"].read_bytes()])
    assert content[0] == content[1]
    assert content[0][0].startswith(b"\x89PNG")
    assert content[0][1].startswith(b"%PDF")
    assert dict(matplotlib.rcParams) == before


def test_save_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Figure, path: Path, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save(Figure(), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


def test_save_rejects_paths_as_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        plots.save(Figure(), tmp_path, "../x")


def test_figures_do_not_touch_pyplot() -> None:
    import matplotlib.pyplot as plt

    plots.spectrum_figure(spectrum())
    plots.comparison_figure(plots.histogram_values("x", [plots.Values("Data", np.arange(9.0))]))
    assert plt.get_fignums() == []
