"""What a notebook shows of a result: the numbers a physicist asks for, no arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stats import BumpHunter, Family, Spectrum, bump_hunt, gaussian_template, nll_scan, toy_discovery, toy_limit
from stats.limits import UpperLimit
from stats.validation import saturated_test
from tests.stats.conftest import EDGES
from tests.stats.test_toys import counting


def is_short(text: str) -> bool:
    return len(text.splitlines()) <= 2 and len(text) < 300 and "array" not in text


def test_a_bump_hunt_shows_its_excess(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum(EDGES, 20000 * shape + 300 * gaussian_template(EDGES, 3500.0, width=0.03), 20000 * shape)
    options = {"masses": [3000.0, 3500.0, 4000.0], "toys": 20}
    hunt = bump_hunt(spectrum, family, rng=np.random.default_rng(1), **options)
    assert is_short(repr(hunt))
    assert "dijet3: largest excess at 3500 GeV, width 0.03 of the mass, 3" in repr(hunt)
    assert f"local {hunt.local_z:.2f}σ, global p ≤ 0.048 (20 toys)" in repr(hunt)
    failed = replace(hunt, significance=np.full_like(hunt.significance, np.nan))
    assert "local nanσ" in repr(failed)
    windows = bump_hunt(
        spectrum, family, rng=np.random.default_rng(1), statistic="bumphunter", windows=BumpHunter([4]), **options
    )
    assert is_short(repr(windows))
    assert f"BumpHunter {windows.local_z:.2f}σ in 3" in repr(windows)


def test_an_upper_limit_shows_what_was_observed_and_expected_and_its_doubts() -> None:
    limit = UpperLimit(60.0, (30.0, 40.0, 55.0, 75.0, 99.0), ((1.0, 0.9, (0.9,) * 5),) * 50, 0.05, 0.0, 0.5, 0)
    known = replace(limit, mass=3500.0, expected_background=50.0, observed_events=52.0)
    assert repr(known) == (
        "UpperLimit at 3500 GeV: 60 selected events observed, 55 expected (40 to 75 at ±1σ), 95% CLs; local 0.00σ"
    )
    doubtful = replace(known, observed_events=2.0, doubtful=True, extrapolated=True)
    assert repr(doubtful) == f"{known!r}; few events; sidebands badly fitted; extrapolated"


def test_a_saturated_test_shows_both_p_values(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(1).poisson(5000 * shape))
    found = saturated_test(spectrum, family, toys=10, rng=np.random.default_rng(2))
    assert is_short(repr(found))
    assert f"dijet3: deviance/ndof {found.deviance:.1f}/47, p = {found.p.value:.3g}; χ²/ndof" in repr(found)


def test_toys_of_a_workspace_show_their_limit_and_p_value() -> None:
    found = toy_discovery(counting(3, 1.0), toys=200, rng=np.random.default_rng(1))
    assert is_short(repr(found))
    assert f"p0 = {found.p0:.3g}, z = {found.z:.2f} ({found.exceeding} of 200 toys reach q0" in repr(found)
    none = toy_discovery(counting(30, 1.0), toys=20, rng=np.random.default_rng(1))
    assert "p0 ≤ 0.0476, z ≥ 1.67 (0 of 20 toys" in repr(none)
    limit = toy_limit(counting(0, 1.0), toys=1000, rng=np.random.default_rng(1), expected=False)
    assert is_short(repr(limit))
    assert repr(limit).startswith(
        f"ToyLimit: {limit.observed:.4g} ± {limit.observed_error:.2g} selected events observed"
    )
    assert "95% CLs" in repr(limit)
    assert "2 expected (1 to 3)" in repr(replace(limit, expected=(0.5, 1.0, 2.0, 3.0, 4.0)))


def test_a_scan_shows_its_intervals() -> None:
    scan = nll_scan(counting(60.0, 50.0), values=[5.0, 12.0, 20.0])
    low, high = scan.intervals[0]
    assert is_short(repr(scan))
    assert f"NllScan of mu: best 10, 1σ {low:.4g} to {high:.4g}, 2σ" in repr(scan)
    assert "2σ beyond bounds to 3" in repr(replace(scan, intervals=((1.0, 2.0), (None, 3.0))))
