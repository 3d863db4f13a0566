"""Figures of simulation beside data, drawn from made-up numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.plots import Comparison, Histogram, comparison_figure
from analysis.plots.direct import DirectRatios, direct_figure
from analysis.plots.roc import RocCurve, sic_figure
from analysis.plots.signal_scan import PANELS, ScanLine, scan_figure
from analysis.stages.scan import METRICS

AMOUNTS = np.array([0.0, 0.005, 0.02])


def line(label: str, *, missing: bool = False) -> ScanLine:
    values = {panel.key: np.array([0.5, np.nan if missing else 0.6, 0.7]) for panel in PANELS}
    return ScanLine(label, AMOUNTS, values, dict.fromkeys(values, 0.01 + 0 * AMOUNTS), uses_labels=missing)


def test_a_scan_has_a_place_for_no_signal_and_one_legend() -> None:
    figure = scan_figure([line("salad"), line("supervised", missing=True)])
    assert {panel.key for panel in PANELS} == set(METRICS)
    *drawn, beside = figure.axes
    assert len(drawn) == len(PANELS) == 5
    for axes, panel in zip(drawn, PANELS, strict=True):
        # a reference that is ten times better than the rest must not flatten it
        assert axes.get_yscale() == ("linear" if panel.key == "auc" else "log")
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "0.5", "2"]
        assert axes.get_xlim()[0] < 0
        assert axes.get_legend() is None
        low, high = axes.get_ylim()
        assert low < 0.49
        assert high > 0.71  # the error bar's end
    assert not figure.legends
    legend = beside.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert sorted(texts) == ["Random", "salad", "supervised (truth labels: reference)"]


def test_a_scan_without_detectors_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one detector"):
        scan_figure([])


def test_predictions_are_drawn_from_loose_to_tight_with_both_errors() -> None:
    efficiency = np.array([0.5, 0.1, 0.01])
    full = DirectRatios("salad", efficiency, np.array([1.0, 0.9, np.nan]), 0.1 + 0 * efficiency, 0.2 + 0 * efficiency)
    figure = direct_figure([full, DirectRatios("constant", efficiency, 0.6 + 0 * efficiency, 0.1 + 0 * efficiency)])
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    assert left > 0.5 > 0.01 > right
    low, high = axes.get_ylim()
    assert low < 0.5
    assert high > 1.2
    assert "true background" in axes.get_ylabel()
    (other,) = direct_figure(full, truth=False).axes
    assert "observed" in other.get_ylabel()
    with pytest.raises(ValueError, match="at least one efficiency"):
        direct_figure(DirectRatios("none", *[np.zeros(0)] * 3))


def test_the_ratio_panel_of_an_output_is_not_cut() -> None:
    edges, data = np.arange(7.0), np.full(6, 100.0)
    simulation = Histogram("Simulation", data * [0.2, 1.0, 1.1, 1.0, 1.0, 3.5], role="simulation")
    comparison = Comparison("f", edges, [Histogram("Data", data), simulation], 0, whole_ratio=True)
    low, high = comparison_figure(comparison, normalise=False).axes[1].get_ylim()
    assert low < 0.2
    assert high > 3.5
    cut = comparison_figure(dataclasses.replace(comparison, whole_ratio=False), normalise=False).axes[1].get_ylim()
    assert cut[1] < 3.5


def test_many_curves_have_their_legend_below() -> None:
    efficiency = np.linspace(0, 1, 50)
    repeats = [(efficiency, efficiency**power) for power in (2, 3)]
    curves = [
        RocCurve(f"number {index}", efficiency, efficiency**2, 1000, 1000, repeats, repeated=index == 0)
        for index in range(6)
    ]
    (axes,) = sic_figure(curves[:2]).axes
    assert "range of repeats,\nrange of single members" in axes.get_legend().get_title().get_text()
    figure = sic_figure(curves)
    assert figure.axes[0].get_legend() is None
    assert len(figure.legends) == 1


def test_repeats_are_drawn_by_their_mean() -> None:
    efficiency = np.linspace(0, 1, 1001)
    repeats = [(efficiency, efficiency**power) for power in (2, 4)]

    def drawn(repeated: bool) -> np.ndarray:
        curve = RocCurve("one", efficiency, repeats[0][1], 1000, 1000, repeats, repeated=repeated)
        (line,) = [one for one in sic_figure(curve).axes[0].get_lines() if one.get_label() == "one"]
        x, y = np.array(line.get_xdata()), np.array(line.get_ydata())
        return y[np.searchsorted(x, 0.4975 + 1e-9)]

    # ε_S/√ε_B of ε_B = ε_S² is 1, of ε_S⁴ it is 1/ε_S
    assert drawn(False) == pytest.approx(1.0, rel=0.01)
    assert drawn(True) == pytest.approx((1 + 1 / 0.5) / 2, rel=0.01)
