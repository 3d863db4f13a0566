"""Figures of ABCD estimates draw what they are given, also where parts of it are missing."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.plots.abcd import ClosurePulls, Prediction, ScorePlane, closure_figure, plane_figure, prediction_figure
from analysis.plots.abcd_ratios import ClosureCurve, ratio_figure

EDGES = np.linspace(0.0, 1.0, 11)
EFFICIENCIES = np.array([0.1, 0.01])


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def plane(**changes: object) -> ScorePlane:
    content = {
        "x_edges": EDGES, "y_edges": EDGES, "counts": np.random.default_rng(1).poisson(3.0, (10, 10)),
        "x_label": "first", "y_label": "second", "x_cuts": (0.4, 0.9), "y_cuts": (0.4, 0.9),
        "signal": np.array([[0.95, 0.92]]), **changes,
    }  # fmt: skip
    return ScorePlane(**content)  # type: ignore[arg-type]


def test_plane_names_its_regions() -> None:
    found = texts(plane_figure(plane())).split("\n")
    assert {"A", "B", "C", "D", "first", "second", "Signal (1 events)"} <= set(found)


@pytest.mark.parametrize(
    "changes",
    [{"signal": np.empty((0, 2))}, {"x_cuts": (None, None)}, {"counts": np.zeros((10, 10))}, {"counts": np.eye(10)}],
)
def test_plane_without_some_of_its_parts(changes: dict[str, object]) -> None:
    texts(plane_figure(plane(**changes)))


def test_plane_says_what_it_shows() -> None:
    found = texts(plane_figure(plane(n_signal=1200, is_background=True, tighter=((0.95, 0.97),), note="ρ = 0.1 ± 0.2")))
    assert "Signal (1 of 1,200 events)" in found
    assert "Background events / bin" in found
    assert "Tighter selections" in found
    assert "ρ = 0.1 ± 0.2" in found


def curve(*ratios: float) -> ClosureCurve:
    both = np.stack([1.1 * np.array(ratios), ratios], axis=1)
    return ClosureCurve("jets", EFFICIENCIES[::-1], both, 0.02 * both, np.full((2, 2), 400.0))


def test_ratios_of_estimates_lie_in_poisson_bands() -> None:
    figure = ratio_figure([curve(1.0, 0.9)])
    assert {"jets", "From all events", "From background alone"} <= set(texts(figure).split("\n"))
    alone = figure.axes[1]
    assert list(np.asarray(alone.lines[0].get_ydata(), dtype=float)) == [1.0, 0.9]
    band = alone.collections[0].get_paths()[0].vertices
    # 400 true events: 1 ± 5%
    assert np.asarray(band)[:, 1].max() == pytest.approx(1.05, abs=0.003)
    dashed = [line for line in alone.lines if line.get_linestyle() == "--"]
    assert [float(np.asarray(line.get_ydata())[0]) for line in dashed] == [0.95, 1.05]


def test_ratios_far_from_one_are_written_at_the_edge() -> None:
    figure = ratio_figure([curve(1.0, 0.42)])
    assert "0.42" in texts(figure)
    assert figure.axes[1].get_ylim()[0] > 0.6
    with pytest.raises(ValueError, match="at least one estimate"):
        ratio_figure([])


def test_predictions_are_compared_with_the_truth_where_it_is_known() -> None:
    predictions = [
        Prediction("counting", np.array([900.0, 80.0]), np.array([40.0, 9.0])),
        Prediction("extended", np.array([950.0, np.nan]), np.array([40.0, np.nan])),
    ]
    observed = np.array([1000.0, 0.0])
    figure = prediction_figure(EFFICIENCIES, observed, predictions, true_background=np.array([950.0, 85.0]))
    found = texts(figure)
    assert "true background" in found
    assert "10%" in found
    ratios = figure.axes[1].lines[0]
    # efficiencies rise along the axis: 1% first
    assert list(np.asarray(ratios.get_ydata(), dtype=float)) == pytest.approx([80 / 85, 900 / 950])
    assert "observed" in texts(prediction_figure(EFFICIENCIES, observed, predictions))


def test_predictions_far_from_the_truth_leave_the_others_to_scale() -> None:
    predictions = [
        Prediction("near", np.array([95.0, 10.0]), np.array([5.0, 1.0])),
        Prediction("far", np.array([0.02, 10_000.0]), np.array([0.01, 100.0])),
        Prediction("none", np.array([np.nan, 10.0]), np.array([np.nan, 1.0])),
    ]
    figure = prediction_figure(
        EFFICIENCIES, np.array([100.0, 0.0]), predictions, true_background=np.array([100.0, 10.0])
    )
    low, high = figure.axes[1].get_ylim()
    assert 0.6 < low < high < 1.4
    written = [text.get_text() for text in figure.axes[1].texts]
    assert sorted(written) == ["1,000", "<0.01"]


def test_predictions_need_an_efficiency() -> None:
    with pytest.raises(ValueError, match="at least one"):
        prediction_figure(np.array([]), np.array([]), [])
    with pytest.raises(ValueError, match="one value for each"):
        prediction_figure(EFFICIENCIES, np.ones(2), [Prediction("x", np.ones(1), np.ones(1))])


def test_closure_shows_ratios_and_pulls() -> None:
    one = ClosurePulls("inside", np.array([0.8, 0.2]), np.array([1.0, 1.2]), np.array([0.1, 0.1]), np.array([0.0, 7.0]))
    figure = closure_figure([one, ClosurePulls("none", *(np.array([]) for _ in range(4)))])
    assert "inside" in texts(figure)
    low, high = figure.axes[1].get_ylim()
    assert low < -7 < 7 < high
    with pytest.raises(ValueError, match="validation region"):
        closure_figure([])
