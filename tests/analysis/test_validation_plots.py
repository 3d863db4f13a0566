"""Figures about a background function draw results as they stand in results.json, good, bad or missing."""

from __future__ import annotations

import dataclasses

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.plots import goodness, injections, validation
from stats import BinnedFamily, Spectrum, choose_order, dijet
from stats.validation import bias_matrix, injection_test, saturated_test, spurious_signal

EDGES = np.linspace(2000.0, 7000.0, 51)
TWO, THREE = dijet(2, sqrt_s=13_000), dijet(3, sqrt_s=13_000)


@pytest.fixture(scope="module")
def spectrum() -> Spectrum:
    expected = BinnedFamily(THREE, EDGES).expected(np.array([0.0, 10.0, 5.0]))
    return Spectrum.from_counts(EDGES, np.random.default_rng(1).poisson(20_000 * expected / expected.sum()))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def texts(figure: Figure) -> str:
    """All text of a drawn figure: missing glyphs and bad layouts warn only when it is drawn."""
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_goodness_names_the_p_value(spectrum: Spectrum, rng: np.random.Generator) -> None:
    result = saturated_test(spectrum, THREE, toys=200, rng=rng)
    drawn = texts(goodness.goodness_figure(goodness.ToyStatistic.from_result(result.to_dict())))
    assert "200 toys" in drawn
    assert f"{result.deviance:.1f}, $p$ = " in drawn
    assert "47 degrees of freedom" in drawn
    worse = saturated_test(spectrum, TWO, toys=20, rng=rng)
    assert "$p$ < 0.048" in texts(goodness.goodness_figure(goodness.ToyStatistic.from_result(worse.to_dict())))


def test_goodness_without_toys_or_p() -> None:
    empty = goodness.ToyStatistic(3.0, np.array([0.0, 1.0]), np.array([0.0]), failed=7)
    assert "0 toys, 7 failed" in texts(goodness.goodness_figure(empty))
    with pytest.raises(ValueError, match="3 edges do not fit 3 bins"):
        goodness.ToyStatistic(1.0, np.arange(3.0), np.arange(3.0))


def test_order_marks_the_choice(spectrum: Spectrum) -> None:
    families = [dijet(n, sqrt_s=13_000) for n in (2, 3, 4, 5)]
    choice = choose_order(spectrum, families)
    steps = goodness.OrderSteps.from_result(choice.to_dict())
    assert steps.chosen == choice.family.name
    assert np.isfinite(steps.f_p).sum() == len(choice.tests)
    drawn = texts(goodness.order_figure(steps))
    assert f"Chosen: {choice.family.name}" in drawn
    assert "threshold, 0.05" in drawn


def test_order_of_one_function() -> None:
    one = goodness.OrderSteps(["f"], np.array([np.nan]), np.array([3.0]), np.array([0.0]), np.array([]), "f")
    texts(goodness.order_figure(one))
    with pytest.raises(ValueError, match="2 functions"):
        dataclasses.replace(one, names=["f", "g"])
    with pytest.raises(ValueError, match="'h' of"):
        dataclasses.replace(one, chosen="h")


def test_bias_tables_hold_the_worst_mass(spectrum: Spectrum, rng: np.random.Generator) -> None:
    result = bias_matrix(
        spectrum, [TWO, THREE], fits=[TWO, THREE], masses=[2600.0, 4000.0], strengths=[0.0, 5.0], toys=20, rng=rng
    )
    tables = validation.BiasTable.from_result(result.to_dict())
    assert [table.title for table in tables] == ["No signal injected", r"5$\sigma$ injected"]
    for table, strength in zip(tables, (0.0, 5.0), strict=True):
        mean, error = result.table(strength)
        np.testing.assert_allclose(table.mean, mean)
        np.testing.assert_allclose(table.error, error)
    drawn = texts(validation.bias_figure(tables))
    assert f"{tables[0].mean[1, 1]:+.2f}" in drawn
    assert r"threshold $\pm$0.2" in drawn


def test_bias_colours_are_symmetric_and_missing_pulls_said() -> None:
    table = validation.BiasTable("x", ["a$b"], ["c"] * 2, np.array([[np.nan, 0.3]]), np.array([[np.nan, 0.1]]), 0.2)
    figure = validation.bias_figure(table)
    assert "no pull" in texts(figure)
    image = figure.axes[1].images[0]
    assert image.get_clim() == (-0.4, 0.4)
    assert len(figure.axes[1].patches) == 1
    with pytest.raises(ValueError, match="at least one table"):
        validation.bias_figure([])
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(2, 2\)"):
        dataclasses.replace(table, truths=["a", "b"])


def test_spurious_signal_with_its_bands(spectrum: Spectrum) -> None:
    result = spurious_signal(spectrum, TWO, truth=THREE, masses=np.linspace(2300, 5000, 10))
    scan = injections.SpuriousScan.from_result(result.to_dict())
    np.testing.assert_allclose(scan.yields, result.yields)
    drawn = texts(injections.spurious_figure(scan))
    assert "dijet2 on dijet3" in drawn
    assert r"$\pm$0.2" in drawn


@pytest.mark.parametrize("value", [np.nan, 1e6])
def test_spurious_signal_at_one_mass(value: float) -> None:
    one = np.array([3500.0])
    texts(injections.spurious_figure(injections.SpuriousScan(one, np.array([value]), one / 100, one / 500, 0.2)))
    with pytest.raises(ValueError, match="one shape"):
        injections.SpuriousScan(one, np.zeros(2), one, one, 0.2)


def test_injected_signals_over_their_pulls(spectrum: Spectrum, rng: np.random.Generator) -> None:
    result = injection_test(spectrum, THREE, mass=3500.0, toys=50, rng=rng)
    signals = injections.InjectedSignals.from_result(result.to_dict())
    figure = injections.injection_figure(signals)
    drawn = texts(figure)
    assert "Slope" in drawn
    assert "dijet3 on dijet3, 3.50 TeV" in drawn
    assert len(figure.axes) == 2
    missing = np.full(6, np.nan)
    unknown = dataclasses.replace(signals, pull=missing, pull_error=missing, pull_width=missing, spread=missing, p=None)
    texts(injections.injection_figure(unknown))
    with pytest.raises(ValueError, match="one shape"):
        dataclasses.replace(signals, injected=np.zeros(2))
