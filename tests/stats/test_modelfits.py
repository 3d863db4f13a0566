"""Fits of one workspace to its data."""

from __future__ import annotations

import numpy as np
import pytest

from stats import StatisticsError
from stats.modelfits import ModelFits
from tests.stats.test_toys import counting


def test_the_strengths_upper_bound_moves_until_the_fit_lies_inside() -> None:
    """100 events on 5 with a bound of 2: the best strength is 95, and the bound beyond it."""
    fits = ModelFits(counting(100, 5.0, bounds=(0.0, 2.0)))
    assert fits.free_fit()[0][fits.poi] == pytest.approx(95.0, rel=1e-4)
    assert fits.bounds[fits.poi, 1] == 128.0


def test_fits_that_fail_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = ModelFits(counting(1, 1.0))
    monkeypatch.setattr(ModelFits, "fit", lambda *_, **__: None)
    with pytest.raises(StatisticsError, match="could not be fitted"):
        fits.free_fit()
    monkeypatch.setattr(ModelFits, "fit", lambda self, *_, **__: (self.bounds[:, 1].copy(), 0.0))
    with pytest.raises(StatisticsError, match="without end"):
        fits.free_fit()
    assert np.isfinite(fits.bounds).all()
