"""Fits side by side end where fits of one data set at a time do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyhf
import pytest

from stats import StatisticsError
from stats.batchfits import BatchFits
from stats.histfactory import UnsupportedModel
from stats.modelfits import ModelFits
from stats.teststatistics import FittedToys, Hypotheses, draw_toys
from tests.stats.test_toys import SCALE, SIDEBAND, counting


def random_workspace(rng: np.random.Generator) -> dict[str, Any]:
    """Two channels that share parameters, with every modifier type of HistFactory."""
    channels, observations = [], []
    for name in ("first", "second"):
        n = int(rng.integers(2, 8))
        signal, one, two = rng.uniform(0, 8, n), rng.uniform(2, 80, n), rng.uniform(2, 80, n)
        tilt = 1 + 0.1 * rng.uniform(-1, 1, n)
        shape = {"hi_data": (one * tilt).tolist(), "lo_data": (one / tilt).tolist()}
        luminosity = {"name": "lumi", "type": "lumi", "data": None}
        uncertain = [
            {"name": "shape", "type": "histosys", "data": shape},
            {"name": "scale", "type": "normsys", "data": {"hi": 1.1, "lo": 0.93}},
            {"name": f"{name}_sys", "type": "shapesys", "data": (0.15 * one).tolist()},
        ]
        free = [
            {"name": "free", "type": "normfactor", "data": None},
            {"name": f"{name}_mc", "type": "staterror", "data": (0.1 * two).tolist()},
        ]
        samples = [
            ("signal", signal, [{"name": "mu", "type": "normfactor", "data": None}, luminosity]),
            ("one", one, uncertain),
            ("two", two, free),
        ]
        entries = [{"name": s, "data": d.tolist(), "modifiers": m} for s, d, m in samples]
        channels.append({"name": name, "samples": entries})
        observations.append({"name": name, "data": rng.poisson(one + two).tolist()})
    spec = counting(0.0, 1.0, bounds=(0.0, 50.0))
    lumi = {"name": "lumi", "auxdata": [1.0], "sigmas": [0.02], "bounds": [[0.5, 1.5]], "inits": [1.0]}
    spec["measurements"][0]["config"]["parameters"].append(lumi)
    return {**spec, "channels": channels, "observations": observations}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mu", [None, 0.0, 3.0])
def test_they_end_where_single_fits_do(seed: int, mu: float | None) -> None:
    """−2 log L within 10⁻⁶ of the single fit for 20 toys each; at least 90% converge together."""
    rng = np.random.default_rng(seed)
    fits = ModelFits(random_workspace(rng))
    point = Hypotheses(fits).none[0]
    data = draw_toys(fits, point, 20, rng)
    held = {} if mu is None else {fits.poi: mu}
    table = fits._batch_fit(data, np.repeat(point[None], 20, axis=0), held)
    done = np.isfinite(table[:, -1])
    assert done.mean() >= 0.9
    for row, experiment in zip(table[done], data[done], strict=True):
        single = fits.fit(experiment, fixed=held, start=point)
        assert single is not None
        assert row[-1] == pytest.approx(single[1], abs=1e-6)
        assert fits.compiled is not None
        assert row[-1] == pytest.approx(fits.compiled.twice_nll(row[:-1], experiment), abs=1e-8)


def test_the_batch_is_no_part_of_the_result() -> None:
    """Each data set's fit is the same in any company."""
    fits = ModelFits(counting(50, 50.0, SCALE, SIDEBAND))
    point = Hypotheses(fits).none[0]
    data = draw_toys(fits, point, 30, np.random.default_rng(1))
    together = fits.fit_many(data, starts=point)
    for k in (0, 7, 29):
        alone = fits.fit_many(data[k : k + 1], starts=point)
        assert alone.values[0] == pytest.approx(together.values[k], abs=1e-9)
    assert together.failed == 0
    assert fits.fit_many(data[:0], starts=point).values.shape == (0,)


def test_kinked_models_are_fitted_one_at_a_time() -> None:
    spec = {"channels": counting(50, 50.0, SCALE)["channels"]}
    model = pyhf.Model(spec, modifier_settings={"normsys": {"interpcode": "code1"}}, validate=False)
    with pytest.raises(UnsupportedModel, match="kinks"):
        BatchFits(model)


def test_statistics_are_never_negative() -> None:
    rng = np.random.default_rng(3)
    fits = ModelFits(random_workspace(rng))
    point = Hypotheses(fits).none[0]
    toys = FittedToys(fits, draw_toys(fits, point, 100, rng), start=point)
    for mu in (0.5, 2.0, 8.0):
        statistics = toys.q_tilde(mu)
        assert np.all(statistics >= 0)
        assert np.all(statistics[toys.points[:, fits.poi] > mu] == 0)
    assert np.all(toys.q_zero() >= 0)


def test_a_fixed_parameter_of_interest_is_refused() -> None:
    spec = counting(50, 50.0)
    spec["measurements"][0]["config"]["parameters"][0]["fixed"] = True
    with pytest.raises(StatisticsError, match="fixes its parameter of interest"):
        ModelFits(spec)
