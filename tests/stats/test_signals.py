from __future__ import annotations

import numpy as np
import pytest

from stats import StatisticsError, gaussian_template
from stats.signals import normalised
from tests.stats.conftest import EDGES


def test_template_is_one_event_around_its_mass() -> None:
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    centres = 0.5 * (EDGES[1:] + EDGES[:-1])
    assert template.sum() == pytest.approx(1.0)
    assert template @ centres == pytest.approx(3500.0, abs=1e-6)
    assert np.sqrt(template @ (centres - 3500.0) ** 2) == pytest.approx(np.hypot(105.0, 100 / np.sqrt(12)), rel=1e-3)
    np.testing.assert_allclose(template, gaussian_template(EDGES, 3500.0, width=105.0, relative=False))


def test_a_peak_on_the_edge_is_normalised_inside() -> None:
    assert gaussian_template(EDGES, 2000.0, width=0.03).sum() == pytest.approx(1.0)


def test_impossible_peaks_are_refused() -> None:
    with pytest.raises(StatisticsError, match="outside the spectrum"):
        gaussian_template(EDGES, 1900.0, width=0.03)
    with pytest.raises(StatisticsError, match="positive width"):
        gaussian_template(EDGES, 3000.0, width=0.0)
    for template in (np.zeros(4), np.array([1.0, -0.1]), np.array([np.nan, 1.0])):
        with pytest.raises(StatisticsError, match="non-negative bins"):
            normalised(template)
