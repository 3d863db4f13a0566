from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import kstest

from stats import BinnedFamily, BumpHunt, Family, Overlap, Spectrum, StatisticsError, bump_hunt, combine_hunts, dijet
from stats.fits import BackgroundFits
from stats.procedures import Outcome, Procedure
from tests.stats.conftest import EDGES, SQRT_S

MASSES = np.linspace(2500.0, 5000.0, 6)
BINS = np.linspace(2000.0, 7000.0, 26)


def hunt(counts: np.ndarray, family: Family, edges: np.ndarray = EDGES, **options: str) -> BumpHunt:
    return bump_hunt(Spectrum.from_counts(edges, counts), family, masses=MASSES, widths=[0.05], **options)


@pytest.fixture(scope="module")
def inclusive(shape: np.ndarray, family: Family) -> BumpHunt:
    return hunt(np.random.default_rng(1).poisson(5000 * shape), family)


def test_selections_with_the_same_events_cost_no_trials(inclusive: BumpHunt) -> None:
    for statistic in ("local", "global"):
        found = combine_hunts(
            {"a": inclusive, "b": inclusive},
            toys=500,
            rng=np.random.default_rng(2),
            correlation="nested",
            statistic=statistic,
        )
        assert found.trials_factor == 1.0
        assert found.global_p.value == found.separate[0].value == found.separate[1].value


@pytest.mark.parametrize("statistic", ["local", "global"])
def test_independent_selections_cost_what_sidak_says(inclusive: BumpHunt, statistic: str) -> None:
    """Three windows with the same distribution: 1 − (1 − p)³ within three binomial σ of 4000 toys."""
    found = combine_hunts([inclusive] * 3, toys=4000, rng=np.random.default_rng(3), statistic=statistic)
    p = np.mean([part.value for part in found.separate])
    sidak = 1 - (1 - p) ** 3
    error = np.hypot(np.sqrt(sidak * (1 - sidak) / 4000), 3 * (1 - p) ** 2 * np.sqrt(p * (1 - p) / 12000))
    assert found.global_p.value == pytest.approx(sidak, abs=3 * error)
    assert found.global_p.low < found.global_p.value < found.global_p.high
    assert found.names == ("hunt 1", "hunt 2", "hunt 3")


def test_nested_selections_cost_less_than_independent_ones(shape: np.ndarray, family: Family) -> None:
    rng = np.random.default_rng(4)
    tight = rng.poisson(4000 * shape)
    loose = tight + rng.poisson(1000 * shape)
    hunts = {"loose": hunt(loose, family), "tight": hunt(tight, family)}
    nested = combine_hunts(hunts, toys=2000, rng=np.random.default_rng(5), correlation="nested")
    alone = combine_hunts(hunts, toys=2000, rng=np.random.default_rng(6))
    # the same local significance is compared
    assert nested.best == alone.best
    assert nested.global_p.value < alone.global_p.value
    together = np.corrcoef(nested.toys[0].largest, nested.toys[1].largest)[0, 1]
    apart = np.corrcoef(alone.toys[0].largest, alone.toys[1].largest)[0, 1]
    assert together > 0.6
    assert abs(apart) < 0.1
    result = json.loads(json.dumps(nested.to_dict(), allow_nan=False))
    assert result["hunts"] == ["loose", "tight"]
    assert result["global_p"]["failed"] == 0


def test_toys_that_share_events_are_right_and_independent_ones_wrong() -> None:
    """40 searches in four nested selections of 1000, 1020, 1040 and 1060 events, 49 toys each from their own fits.

    KS at 10⁻³ allows for D < 0.30: toys that share events as the selections do give 0.14, those drawn for each
    selection alone, which pay for four searches where there is hardly more than one, 0.40. Independent seeds.
    """
    family, shared, alone = dijet(2, sqrt_s=SQRT_S), [], []
    rng = np.random.default_rng(7)
    binned = BinnedFamily(family, BINS).expected(np.array([0.0, 6.0]))
    binned /= binned.sum()
    for toys_rng in np.random.default_rng(8).spawn(40):
        counts = rng.poisson(np.multiply.outer([1000, 20, 20, 20], binned)).cumsum(axis=0)
        hunts = [hunt(one, family, BINS) for one in counts]
        shared.append(combine_hunts(hunts, toys=49, rng=toys_rng, correlation="nested").global_p.value)
        alone.append(combine_hunts(hunts, toys=49, rng=toys_rng).global_p.value)
    assert kstest(shared, "uniform").pvalue > 0.01
    assert kstest(alone, "uniform").pvalue < 1e-4


def test_a_signal_beyond_all_toys_is_a_bound(shape: np.ndarray, family: Family, inclusive: BumpHunt) -> None:
    counts = np.random.default_rng(9).poisson(5000 * shape)
    counts[14:17] += 120
    for statistic in ("local", "global"):
        found = combine_hunts(
            [inclusive, hunt(counts, family)], toys=200, rng=np.random.default_rng(10), statistic=statistic
        )
        assert found.best == 1
        assert found.global_p.is_bound
        assert found.global_p.value < 0.03
        assert found.to_dict()["trials_factor"] is None


@pytest.mark.parametrize("windows", [False, True])
def test_of_two_beyond_all_toys_the_more_significant_is_best(
    shape: np.ndarray, family: Family, inclusive: BumpHunt, windows: bool
) -> None:
    """Of two likelihoods, or the smaller one as a BumpHunter, whose number is larger but its significance is not."""
    counts = [np.random.default_rng(9).poisson(5000 * shape) for _ in range(2)]
    counts[0][14:17] += 120
    counts[1][14:17] += 180
    hunts = [hunt(counts[0], family, **({"statistic": "bumphunter"} if windows else {})), hunt(counts[1], family)]
    for order in (1, -1):
        found = combine_hunts(hunts[::order], toys=50, rng=np.random.default_rng(10), statistic="global")
        assert found.global_p.is_bound
        assert hunts[::order][found.best] is hunts[1]
    assert hunts[1].local_z > hunts[0].local_z > 5
    assert (hunts[0].best_statistic > hunts[1].best_statistic) == windows


@dataclass(frozen=True)
class Failing:
    """A hunt's procedure of which the first toy of a block fails."""

    procedure: Procedure

    @property
    def background(self) -> BackgroundFits:
        return self.procedure.background

    def __call__(self, counts: np.ndarray) -> Outcome:
        found = self.procedure(counts)
        return Outcome(np.where(np.arange(len(counts)) == 0, np.inf, found.largest), found.euler)


@pytest.mark.parametrize("statistic", ["local", "global"])
def test_a_failed_toy_does_not_hide_a_bound(shape: np.ndarray, family: Family, statistic: str) -> None:
    counts = np.random.default_rng(9).poisson(5000 * shape)
    counts[14:17] += 120
    sound = hunt(counts, family)
    failing = replace(sound, procedure=Failing(sound.procedure))
    found = combine_hunts([sound, failing], toys=100, rng=np.random.default_rng(10), statistic=statistic)
    assert (found.global_p.failed, found.separate[0].failed, found.separate[1].failed) == (1, 0, 1)
    assert found.global_p.is_bound
    assert found.separate[1].is_bound
    assert found.global_p.value >= 2 / 101
    assert found.to_dict()["trials_factor"] is None


def test_the_result_depends_on_the_seed_alone(inclusive: BumpHunt) -> None:
    found = [
        combine_hunts([inclusive, inclusive], toys=1501, rng=np.random.default_rng(11), workers=workers).to_dict()
        for workers in (1, 2)
    ]
    assert found[0] == found[1]


def test_statistics_without_a_common_scale_are_compared_by_p(
    shape: np.ndarray, family: Family, inclusive: BumpHunt
) -> None:
    window = hunt(inclusive.spectrum.counts, family, statistic="bumphunter")
    with pytest.raises(StatisticsError, match="no common scale"):
        combine_hunts([inclusive, window], toys=10, rng=np.random.default_rng(12))
    found = combine_hunts(
        [inclusive, window], toys=300, rng=np.random.default_rng(12), correlation="nested", statistic="global"
    )
    assert 1.0 <= found.trials_factor <= 2.0 + 1e-9


def test_overlaps_are_counted_in_the_events() -> None:
    masses = np.array([2050.0, 2050.0, 2150.0, 2250.0, 9999.0])
    selected = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 0, 1]], dtype=bool)
    overlap = Overlap.from_events(masses, selected, EDGES)
    sums = [overlap.counts[overlap.members[:, s]].sum(axis=0) for s in range(2)]
    assert sums[0][:3].tolist() == [2, 0, 1]
    assert sums[1][:3].tolist() == [1, 1, 0]
    both = overlap.members.all(axis=1)
    assert overlap.counts[both].sum() == 1


def test_parts_expect_what_the_selections_expect(shape: np.ndarray) -> None:
    rng = np.random.default_rng(13)
    masses = rng.choice(0.5 * (EDGES[1:] + EDGES[:-1]), size=5000, p=shape)
    selected = rng.random((3, 5000)) < np.array([[0.5], [0.2], [0.1]])
    overlap = Overlap.from_events(masses, selected, EDGES)
    marginals = np.array([[2500], [1000], [500]]) * shape
    parts = overlap.expected(marginals)
    np.testing.assert_allclose(overlap.members.T.astype(float) @ parts, marginals, rtol=1e-6)
    assert (parts >= 0).all()
    drawn = overlap.draw(parts, 4000, rng)
    np.testing.assert_allclose(drawn[1].sum(axis=1).mean(), 1000, atol=5 * np.sqrt(1000 / 4000))
    # common events make the toys' totals vary together, by as much as they are
    common = parts[overlap.members[:, 0] & overlap.members[:, 1]].sum()
    covariance = np.cov(drawn[0].sum(axis=1), drawn[1].sum(axis=1))[0, 1]
    assert covariance == pytest.approx(common, rel=0.25)


def test_impossible_overlaps_are_refused(shape: np.ndarray, family: Family, inclusive: BumpHunt) -> None:
    counts = inclusive.spectrum.counts
    rng = np.random.default_rng(14)
    with pytest.raises(StatisticsError, match="not nested"):
        Overlap.nested([counts, counts[::-1]])
    for members, parts, message in (
        ([[1, 0]], np.ones((2, 50)), "of shape"),
        ([[1, 1], [1, 1]], np.ones((2, 50)), "no two"),
        ([[1, 0]], np.ones((1, 50)), "without any part"),
        ([[1, 1]], -np.ones((1, 50)), "finite counts"),
    ):
        with pytest.raises(StatisticsError, match=message):
            Overlap(np.array(members, dtype=bool), parts)
    with pytest.raises(StatisticsError, match="do not agree"):
        Overlap(np.array([[True, True]]), counts[None]).expected(np.stack([counts, 2 * counts]))
    short = hunt(counts[:40], family, EDGES[:41])
    with pytest.raises(StatisticsError, match="same bins"):
        combine_hunts([inclusive, short], toys=10, rng=rng, correlation="nested")
    with pytest.raises(StatisticsError, match="add up"):
        combine_hunts([inclusive], toys=10, rng=rng, correlation=Overlap(np.array([[True]]), counts[None] + 1))
    with pytest.raises(StatisticsError, match="2 selections"):
        combine_hunts([inclusive], toys=10, rng=rng, correlation=Overlap(np.array([[True, True]]), counts[None]))
    for options, message in (
        ({"correlation": "some"}, "'independent', 'nested'"),
        ({"statistic": "best"}, "local, global"),
        ({"toys": 0}, "positive"),
    ):
        with pytest.raises(StatisticsError, match=message):
            combine_hunts([inclusive], **{"toys": 10, "rng": rng, **options})
    with pytest.raises(StatisticsError, match="no hunts"):
        combine_hunts([], toys=10, rng=rng)


def test_masked_spectra_cannot_share_events(shape: np.ndarray, family: Family, inclusive: BumpHunt) -> None:
    mask = np.ones(50, dtype=bool)
    mask[20] = False
    masked = bump_hunt(inclusive.spectrum, family, masses=MASSES, mask=mask)
    with pytest.raises(StatisticsError, match="masked"):
        combine_hunts([inclusive, masked], toys=10, rng=np.random.default_rng(1), correlation="nested")
    assert combine_hunts([inclusive, masked], toys=10, rng=np.random.default_rng(1)).global_p.toys == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rng": None}, "numpy.random.default_rng"),
        ({"rng": 5}, "numpy.random.default_rng"),
        ({"toys": 1.5}, "whole number"),
        ({"workers": 1.5}, "number of workers"),
        ({"correlation": None}, "'independent', 'nested'"),
        ({"hunts": None}, "several hunts"),
        ({"hunts": [1]}, "as bump_hunt returns them"),
    ],
)
def test_other_things_than_asked_for_are_refused(options: dict, message: str, inclusive: BumpHunt) -> None:
    arguments = {"hunts": [inclusive], "toys": 10, "rng": np.random.default_rng(1)} | options
    with pytest.raises(StatisticsError, match=message):
        combine_hunts(arguments.pop("hunts"), **arguments)
