"""Jets that a selection keeps, as a figure."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.plots.selected_jets import JetGroup, selected_jets_figure


def jets(events: int, *, mass: float = 300.0, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = {f"{jet}_m": mass + 30 * rng.standard_normal(events) for jet in ("j1", "j2")}
    return columns | {f"{jet}_tau21": rng.uniform(0.1, 0.9, events) for jet in ("j1", "j2")}


def test_a_column_per_group_and_a_row_per_jet() -> None:
    groups = [JetGroup("All events", "#000000", jets(500)), JetGroup("Selected", "#3f90da", jets(50, mass=500))]
    figure = selected_jets_figure(groups)
    upper = figure.axes[:2]
    assert len(figure.axes) == 4
    assert [one.get_xlim() for one in upper] == [upper[0].get_xlim()] * 2
    drawn = [len(one.lines[0].get_xdata()) for one in upper]
    assert drawn == [500, 50]
    assert upper[0].get_xlim()[1] > 500


def test_few_events_have_no_outline_and_unknown_ratios_are_left_out() -> None:
    few = jets(8)
    few["j1_tau21"][:3] = -1
    figure = selected_jets_figure([JetGroup("All", "#000000", jets(200)), JetGroup("Selected", "#3f90da", few)])
    assert len(figure.axes[1].lines[0].get_xdata()) == 5
    assert not figure.axes[1].collections
    assert figure.axes[0].collections


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="none of the groups has an event"):
        selected_jets_figure([JetGroup("All", "#000000", jets(0))])
