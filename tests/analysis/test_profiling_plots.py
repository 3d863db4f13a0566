"""Figures of nuisance parameters and toys draw results as they stand in results.json, whatever is missing."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.numbers import format_number
from analysis.plots import profiling, toys
from stats import impacts, nll_scan, statistic_toys


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def channel(observed: list[float], modifiers: list[dict[str, Any]]) -> dict[str, Any]:
    background = np.linspace(120.0, 60.0, len(observed))
    signal = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [
        {"name": "signal", "data": [4.0, 12.0, 4.0], "modifiers": signal},
        {"name": "background", "data": background.tolist(), "modifiers": modifiers},
    ]
    return {
        "version": "1.0.0",
        "channels": [{"name": "c", "samples": samples}],
        "observations": [{"name": "c", "data": observed}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
    }


SCALES = [
    {"name": f"scale_{k}", "type": "normsys", "data": {"hi": 1 + 0.01 * k, "lo": 1 - 0.01 * k}} for k in range(1, 4)
]
FREE = {"name": "free", "type": "normfactor", "data": None}
SPEC = channel([125.0, 108.0, 66.0], [*SCALES, FREE])


def test_a_ranking_of_results_names_pulls_and_free_parameters() -> None:
    result = json.loads(json.dumps(impacts(SPEC).to_dict(), allow_nan=False))
    rows = [profiling.RankedNuisance.from_result(entry) for entry in result["ranking"]]
    figure = profiling.ranking_figure(rows, strength=result["strength"], error=result["error"])
    shown = texts(figure)
    assert "scale_3" in shown
    assert "free: " in shown
    assert "[selected events]" in shown
    assert "largest of" not in shown
    assert "−2" in shown  # a minus, not a hyphen


def test_a_background_nuisance_is_named_without_its_only_channel() -> None:
    entry = impacts(SPEC).to_dict()["ranking"][0]
    named = [
        profiling.RankedNuisance.from_result(entry | {"name": "a-0.01_background_12"}, channel=channel).name
        for channel in ("a-0.01", "b", "")
    ]
    assert named == ["background 12", "a-0.01_background_12", "a-0.01_background_12"]


def test_of_many_nuisances_the_largest_are_shown() -> None:
    rows = [
        profiling.RankedNuisance(f"p$_{k}", 0.1 * k, 0.9, (-float(k), float(k)), (-1.1 * k, None)) for k in range(30)
    ]
    figure = profiling.ranking_figure(rows, strength=3.0, error=1.0)
    shown = texts(figure)
    assert "The 20 largest of 30 nuisance parameters" in shown
    assert figure.axes[0].get_yticklabels()[0].get_text() == r"p\$_29"
    assert len(figure.axes[0].get_yticklabels()) == 20


def test_a_ranking_without_impacts_and_without_rows() -> None:
    row = profiling.RankedNuisance("x", None, None, (None, None))
    assert "no impact known" in texts(profiling.ranking_figure([row], strength=0.0))
    with pytest.raises(ValueError, match="at least one"):
        profiling.ranking_figure([], strength=0.0)


def test_a_scan_gives_its_intervals() -> None:
    spec = channel([125.0, 108.0, 66.0], SCALES)
    scan = profiling.LikelihoodScan.from_result(nll_scan(spec).to_dict())
    figure = profiling.nll_figure(scan, unit="selected events")
    shown = texts(figure)
    assert "68.3%" in shown
    assert "95.5%" in shown
    assert r"$\mu$ [selected events]" in shown
    low, high = scan.intervals[0]
    assert f"{format_number(low)} to {format_number(high)}" in shown


@pytest.mark.parametrize("ends", [(None, 2.0), (1.0, None), (None, None)])
def test_a_scan_with_gaps_and_open_ends(ends: tuple[float | None, float | None]) -> None:
    scan = profiling.LikelihoodScan("x", np.arange(3.0), np.array([np.nan, 1.0, 2.0]), 1.0, [ends, (None, None)], 1)
    shown = texts(profiling.nll_figure(scan))
    assert "not within bounds" in shown
    assert "1 failed" in shown
    with pytest.raises(ValueError, match="likelihoods"):
        profiling.nll_figure(dataclasses.replace(scan, values=np.arange(2.0)))


def test_toys_are_drawn_with_data_and_asymptotic_form() -> None:
    spec = channel([125.0, 108.0, 66.0], SCALES)
    result = statistic_toys(spec, 3.0, toys=300, rng=np.random.default_rng(1))
    edges = toys.statistic_bins(result.observed, result.signal, result.background)
    signal, background = result.asymptotic_tails(edges)
    broken = np.append(result.signal, np.inf)
    samples = [
        toys.StatisticSample("signal + background", broken, edges, signal),
        toys.StatisticSample("background", result.background, edges, background),
    ]
    figure = toys.statistic_figure(samples, result.observed, title="mu = 3")
    shown = texts(figure)
    assert "1 without a fit" in shown
    assert shown.count("asymptotic") == 2
    assert f"observed {result.observed:.3g}" in shown
    with pytest.raises(ValueError, match="needs toys"):
        toys.statistic_figure([], 1.0)
