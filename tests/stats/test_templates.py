"""Limits from templates: known answers, and what a nuisance of the shape does to them."""

from __future__ import annotations

import numpy as np
import pyhf
import pytest

from stats import StatisticsError, counting_workspace, template_workspace, upper_limit
from stats.asymptotics import open_workspace

BACKGROUND = np.array([400.0, 200.0, 60.0, 15.0])
SIGNAL = np.array([0.0, 1.0, 4.0, 2.0])
UP, DOWN = BACKGROUND * [0.9, 1.0, 1.2, 1.4], BACKGROUND * [1.1, 1.0, 0.85, 0.7]


def test_pyhf_takes_it_and_expects_what_was_given() -> None:
    made = template_workspace(SIGNAL, BACKGROUND, shapes={"smearing": (UP, DOWN)}, background_error=0.05 * BACKGROUND)
    model, _ = open_workspace(made)
    parameters = np.array(model.config.suggested_init())
    parameters[model.config.poi_index] = 3.0
    assert model.expected_data(parameters, include_auxdata=False) == pytest.approx(BACKGROUND + 3 * SIGNAL)
    parameters[model.config.par_slice("smearing")] = 1.0
    assert model.expected_data(parameters, include_auxdata=False) == pytest.approx(UP + 3 * SIGNAL)


def test_one_bin_is_a_counting_experiment() -> None:
    made = upper_limit(template_workspace(np.array([2.0]), np.array([50.0])))
    assert made.expected == pytest.approx(upper_limit(counting_workspace(50.0, signal=2.0)).expected, rel=1e-3)


def test_an_uncertain_shape_makes_limits_weaker_and_one_that_does_nothing_leaves_them() -> None:
    plain = upper_limit(template_workspace(SIGNAL, BACKGROUND)).expected
    uncertain = upper_limit(template_workspace(SIGNAL, BACKGROUND, shapes={"smearing": (UP, DOWN)})).expected
    nothing = upper_limit(
        template_workspace(SIGNAL, BACKGROUND, shapes={"smearing": (BACKGROUND, BACKGROUND)})
    ).expected
    assert uncertain[2] > 1.05 * plain[2]
    assert nothing == pytest.approx(plain, rel=5e-3)


def test_the_limit_agrees_with_pyhf() -> None:
    made = template_workspace(SIGNAL, BACKGROUND, shapes={"smearing": (UP, DOWN)}, background_error=0.05 * BACKGROUND)
    model, data = open_workspace(made)
    limit = upper_limit(made)
    cls = pyhf.infer.hypotest(limit.observed, data, model, test_stat="qtilde")
    assert float(cls) == pytest.approx(0.05, rel=0.02)


def test_observed_events_are_taken_where_given() -> None:
    more = upper_limit(template_workspace(SIGNAL, BACKGROUND, observed=BACKGROUND + 5 * SIGNAL))
    none = upper_limit(template_workspace(SIGNAL, BACKGROUND))
    assert more.observed > none.observed
    assert more.best_fit == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"background": np.array([400.0, 200.0, 60.0, 0.0])}, "Bin 3 has no background"),
        ({"signal": np.zeros(4)}, "No signal"),
        ({"signal": np.ones(3)}, "one number per bin"),
        ({"observed": np.array([1.0, np.nan, 1.0, 1.0])}, "finite"),
        ({"shapes": {"smearing": (UP, -DOWN)}}, "smearing down"),
    ],
)
def test_templates_that_are_none_are_refused(change: dict[str, object], said: str) -> None:
    given = {"signal": SIGNAL, "background": BACKGROUND, **change}
    with pytest.raises(StatisticsError, match=said):
        template_workspace(given.pop("signal"), given.pop("background"), **given)  # type: ignore[arg-type]
