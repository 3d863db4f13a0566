"""Trainings and their scores, and the ROC with its inset, drawn from made-up numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex

from analysis.plots import Label
from analysis.plots.roc import RocCurve
from analysis.plots.roc_inset import BINS, ScoreDistribution, roc_inset_figure
from analysis.plots.style import DATA, FIT, SIGNAL
from analysis.plots.trajectories import STYLES, TrajectoryLines, trajectory_figure
from ml.latent_scores import SCORES

STEPS = np.arange(1, 6) * 1000
EFFICIENCY = np.linspace(0, 1, 1001)


def column(title: str, members: int = 3, *, scores: tuple[str, ...] = SCORES) -> TrajectoryLines:
    table = np.linspace(0.2, 0.9, 5 * members).reshape(5, members)
    auc = {score: table + 0.01 * i for i, score in enumerate(scores)}
    rejection = {score: 10 * values for score, values in auc.items()}
    return TrajectoryLines(title, STEPS, {"loss": 1000 * table, "kl": 5 * table}, auc, rejection)


def test_every_score_of_the_detector_has_a_style() -> None:
    assert set(STYLES) == set(SCORES)
    assert len({style[1] for style in STYLES.values()}) == len(SCORES)


def test_each_optimiser_is_a_column_and_each_member_a_line() -> None:
    figure = trajectory_figure([column("Adadelta"), column("Adam", 2)], label=Label(status="simulation", sqrt_s=13.0))
    grid = np.array(figure.axes).reshape(4, 2)
    for index, members in ((0, 3), (1, 2)):
        loss, kl, area, rejection = grid[:, index]
        assert len(loss.get_lines()) == len(kl.get_lines()) == members
        for axes, random in ((area, 0.5), (rejection, 2.0)):
            *lines, reference = axes.get_lines()
            assert len(lines) == members * len(SCORES)
            assert set(reference.get_ydata()) == {random}
            for i, score in enumerate(SCORES):
                assert {to_hex(line.get_color()) for line in lines[i * members : (i + 1) * members]} == {
                    STYLES[score][1]
                }
        np.testing.assert_allclose(area.get_lines()[0].get_ydata(), np.linspace(0.2, 0.9, 5 * members)[::members])
        assert rejection.get_xlabel() == "Optimiser step"
    assert grid[0, 0].get_yscale() == grid[3, 0].get_yscale() == "log"
    assert [axes.get_ylabel() for axes in grid[:3, 0]] == [r"Loss $\alpha\,$MSE + KL", "Mean KL divergence", "AUC"]
    assert [grid[0, i].texts[0].get_text() for i in (0, 1)] == ["Adadelta, 3 members", "Adam, 2 members"]
    above = [text.get_text() for axes in grid[0] for text in axes.texts]
    assert above.count("Darkhorse") == above.count("√s = 13 TeV") == 1
    (legend,) = figure.legends
    expected = ["Latent coordinate", "KL divergence", "KL divergence, oriented", "Reconstruction", "ELBO", "Random"]
    assert [text.get_text() for text in legend.get_texts()] == expected


def test_rows_share_their_axis_and_leave_nothing_out() -> None:
    first, second = column("Adadelta"), column("Adam")
    second = dataclasses.replace(second, losses={"loss": 1e6 * second.losses["loss"], "kl": 9 * second.losses["kl"]})
    grid = np.array(trajectory_figure([first, second]).axes).reshape(4, 2)
    for row, name in ((0, "loss"), (1, "kl")):
        low, high = grid[row, 0].get_ylim()
        assert grid[row, 1].get_ylim() == (low, high)
        assert low <= first.losses[name].min()
        assert high >= second.losses[name].max()


def test_what_was_not_measured_is_not_drawn() -> None:
    """Without truth there are losses alone; a collapsed member has gaps; a score can be left out."""
    blind = dataclasses.replace(column("Adam"), auc={}, rejection={})
    figure = trajectory_figure(blind)
    assert len(figure.axes) == 2
    assert not figure.legends
    assert figure.axes[1].get_xlabel() == "Optimiser step"
    gaps = column("Adam")
    gaps.auc["coordinate"][2] = gaps.rejection["coordinate"][2] = np.nan
    figure = trajectory_figure([gaps, blind], scores=("coordinate", "kl"))
    assert len(figure.axes) == 8
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "Latent coordinate",
        "KL divergence",
        "Random",
    ]
    figure.draw_without_rendering()


def test_trainings_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one ensemble"):
        trajectory_figure([])
    with pytest.raises(ValueError, match=r"no scores \['klo'\]: there are coordinate, kl"):
        trajectory_figure(column("Adam"), scores=("klo",))


def curve(label: str, power: float, members: int = 3) -> RocCurve:
    each = [(EFFICIENCY, EFFICIENCY ** (power + 0.2 * i)) for i in range(members)]
    return RocCurve(label, EFFICIENCY, EFFICIENCY**power, 1000, 100_000, each)


@pytest.fixture(scope="module")
def scores() -> ScoreDistribution:
    random = np.random.default_rng(0)
    return ScoreDistribution("Score $x$", random.normal(2, 1, 1000), random.normal(size=20_000))


def test_the_ensemble_is_black_with_a_band_and_its_score_is_set_in(scores: ScoreDistribution) -> None:
    figure = roc_inset_figure([curve("Mean", 3.0), curve("Other", 2.0)], scores)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert lines["Mean"].get_color() == DATA
    assert lines["Other"].get_color() not in (DATA, lines["Mean"].get_color())
    assert len(axes.collections) == 2  # bands
    assert to_hex(axes.collections[0].get_facecolor()[0]) == FIT
    x, y = (np.asarray(values, dtype=float) for values in lines["Mean"].get_data())
    np.testing.assert_allclose(y[x > 0.3], x[x > 0.3] ** -3.0, rtol=0.02)
    (inset,) = axes.child_axes
    assert inset.get_yscale() == "log"
    assert inset.get_xlabel() == r"Score \$x\$"
    assert axes.get_legend() is None
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "At least 20 background events; Bands: 16–84% of single members"
    assert [text.get_text() for text in legend.get_texts()] == ["Mean", "Other", "Random"]


def test_both_distributions_have_area_1_and_lose_no_event(scores: ScoreDistribution) -> None:
    wild = dataclasses.replace(scores, background=np.append(scores.background, [1e6, -1e6]))
    weighted = dataclasses.replace(wild, signal_weight=np.linspace(0, 2, 1000))
    for one in (wild, weighted):
        (inset,) = roc_inset_figure(curve("Mean", 3.0), one).axes[0].child_axes
        outlines = {patch.get_label(): patch for patch in inset.patches if patch.get_label()}
        assert set(outlines) == {"Background", "Signal"}
        assert to_hex(outlines["Signal"].get_edgecolor()) == SIGNAL
        for patch in outlines.values():
            data = patch.get_data()
            assert len(data.values) == BINS
            assert np.sum(data.values * np.diff(data.edges)) == pytest.approx(1)
            assert inset.get_ylim()[0] < data.values[data.values > 0].min()
            assert inset.get_ylim()[1] > data.values.max()
            assert np.abs(data.edges).max() < 10  # two events in 20,000 do not stretch the axis


@pytest.mark.parametrize("power", [1.0, 4.0, 9.0])
def test_curves_stay_clear_of_the_inset(scores: ScoreDistribution, power: float) -> None:
    figure = roc_inset_figure(curve("Mean", power), scores)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (inset,) = axes.child_axes
    box = inset.get_tightbbox().transformed(axes.transAxes.inverted())
    for line in axes.get_lines():
        points = axes.transAxes.inverted().transform(axes.transData.transform(np.transpose(line.get_data())))
        assert not ((points[:, 0] > box.x0) & (points[:, 0] < box.x1) & (points[:, 1] > box.y0)).any()
        assert points[:, 1].max() < 1


def test_curves_that_cannot_be_drawn_are_refused(scores: ScoreDistribution) -> None:
    with pytest.raises(ValueError, match="at least one curve"):
        roc_inset_figure([], scores)
    with pytest.raises(ValueError, match="events of signal and of background"):
        roc_inset_figure(curve("Mean", 2.0), dataclasses.replace(scores, signal=np.zeros(0)))
