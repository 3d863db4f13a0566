"""Several selections or windows of one search combined into one trials factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.stats import rankdata

from stats.errors import StatisticsError
from stats.huntresult import BumpHunt
from stats.inputs import check_generator, check_number
from stats.lookelsewhere import GlobalP, ToyScans, in_blocks, toy_p
from stats.overlaps import Overlap
from stats.procedures import Outcome, no_euler

STATISTICS = ("local", "global")


@dataclass(frozen=True)
class Combination:
    """The most significant of several bump hunts, with one trials factor for all of them.

    Attributes:
        names: of the hunts.
        best: index of the most significant.
        statistic: by which they were compared: "local" or "global".
        global_p: of the whole search; its interval is binomial.
        separate: global p-value of each hunt alone, from the same toys.
        toys: test statistics of each hunt in the same toys.
    """

    names: tuple[str, ...]
    best: int
    statistic: str
    global_p: GlobalP
    separate: tuple[GlobalP, ...]
    toys: tuple[ToyScans, ...] = field(repr=False)

    @property
    def trials_factor(self) -> float:
        """What looking at several selections costs: combined over separate global p of the best hunt.

        NaN where one of the two is only a bound: no toy says then what the factor is.
        """
        alone = self.separate[self.best]
        if self.global_p.is_bound or alone.is_bound:
            return float("nan")
        return self.global_p.value / alone.value

    def trials_factor_in_toys(self, reached: int = 20) -> tuple[float, float]:
        """The same at a lesser significance, that ``reached`` toys of the best hunt alone have: (factor, significance).

        What can be told where the data lie beyond all toys; the factor grows slowly with significance. NaN for fewer
        toys than that, and for hunts that were compared by ranks.
        """
        own = np.sort(self.toys[self.best].largest[np.isfinite(self.toys[self.best].largest)])
        if self.statistic != "local" or own.size < reached:
            return float("nan"), float("nan")
        threshold = float(own[-reached])
        largest = np.max([part.largest for part in self.toys], axis=0)
        together = int(((largest >= threshold) & np.isfinite(largest)).sum())
        return (together + 1) / (int((own >= threshold).sum()) + 1), threshold

    def to_dict(self) -> dict[str, Any]:
        """As in ``results.json``."""
        z = self.global_p.z
        in_toys = self.trials_factor_in_toys()
        return {
            "hunts": list(self.names),
            "best": self.names[self.best],
            "statistic": self.statistic,
            "global_p": self.global_p.to_dict(),
            "global_z": z if np.isfinite(z) else None,
            "separate": {name: p.to_dict() for name, p in zip(self.names, self.separate, strict=True)},
            "trials_factor": self.trials_factor if np.isfinite(self.trials_factor) else None,
            "trials_factor_in_toys": None if np.isnan(in_toys[0]) else {"value": in_toys[0], "local_z": in_toys[1]},
        }


def combine_hunts(
    hunts: Sequence[BumpHunt] | Mapping[str, BumpHunt],
    *,
    toys: int,
    rng: np.random.Generator,
    workers: int = 1,
    correlation: str | Overlap = "independent",
    statistic: str = "local",
) -> Combination:
    """One global p-value for the best of several hunts; every toy repeats all of them.

    Args:
        hunts: of the same search, by name or in a row.
        toys: how many.
        rng, workers: random numbers and threads for them.
        correlation: "independent" for spectra without common events, as of disjoint windows; "nested" for selections of
            which each is part of the next; otherwise an ``Overlap`` whose selections are in the order of the hunts. The
            last two draw the disjoint parts and add them up.
        statistic: "local" compares the hunts' own test statistics (largest local significance), "global" the p-values
            of these among the toys, which gives hunts of different extent, or of different statistics, the same weight.
            It cannot resolve data beyond all toys: the result is then marked as a bound, and the best of several such
            hunts is the one with the largest local significance.

    Raises:
        StatisticsError: for correlations that the hunts do not allow, and no hunts at all.
    """
    names, members = _named(hunts)
    if statistic not in STATISTICS:
        raise StatisticsError(f"Hunts are compared by one of {', '.join(STATISTICS)}, not by {statistic!r}.")
    if statistic == "local" and len({hunt.statistic for hunt in members}) > 1:
        raise StatisticsError("Likelihood and BumpHunter have no common scale: compare them by statistic='global'.")
    check_number(toys, "toys", least=1)
    check_number(workers, "workers", least=1)
    check_generator(rng)
    pseudo = _toys(members, _overlap(members, correlation), toys, rng, workers)
    observed = np.array([hunt.best_statistic for hunt in members])
    separate = tuple(toy_p(value, part) for value, part in zip(observed, pseudo, strict=True))
    if statistic == "local":
        best = int(np.argmax(observed))
        combined = toy_p(observed[best], _largest_of(pseudo))
    else:
        best, combined = _smallest_p(observed, np.array([hunt.local_z for hunt in members]), pseudo)
    return Combination(names, best, statistic, combined, separate, pseudo)


def _named(hunts: Sequence[BumpHunt] | Mapping[str, BumpHunt]) -> tuple[tuple[str, ...], list[BumpHunt]]:
    if not isinstance(hunts, Mapping | Sequence):
        raise StatisticsError(f"Expected several hunts, by name or in a row, got {type(hunts).__name__}.")
    if not len(hunts):
        raise StatisticsError("There are no hunts to combine.")
    members = list(hunts.values() if isinstance(hunts, Mapping) else hunts)
    if not all(isinstance(hunt, BumpHunt) for hunt in members):
        raise StatisticsError("Hunts are combined as bump_hunt returns them, objects of the class BumpHunt.")
    if isinstance(hunts, Mapping):
        return tuple(hunts), members
    return tuple(f"hunt {index + 1}" for index in range(len(members))), members


def _overlap(hunts: list[BumpHunt], correlation: str | Overlap) -> Overlap | None:
    """The parts to draw, None for independent spectra."""
    if isinstance(correlation, str) and correlation == "independent":
        return None
    if not isinstance(correlation, Overlap) and correlation != "nested":
        raise StatisticsError(f"The correlation is 'independent', 'nested' or an Overlap, not {correlation!r}.")
    edges = hunts[0].spectrum.edges
    if any(not np.array_equal(hunt.spectrum.edges, edges) for hunt in hunts):
        raise StatisticsError("Selections that share events must have spectra with the same bins.")
    if any(hunt.background.exposure is not None for hunt in hunts):
        raise StatisticsError(
            "Toys that share events need whole spectra of unweighted events: these are weighted, or have masked bins."
        )
    if isinstance(correlation, str):
        return Overlap.nested([hunt.spectrum.counts for hunt in hunts])
    shape = (len(hunts), edges.size - 1)
    if (correlation.members.shape[1], correlation.counts.shape[1]) != shape:
        raise StatisticsError(
            f"The overlap is of {correlation.members.shape[1]} selections in {correlation.counts.shape[1]} bins, the "
            f"hunts are {shape[0]} in {shape[1]}."
        )
    for index, hunt in enumerate(hunts):
        if not np.array_equal(correlation.counts[correlation.members[:, index]].sum(axis=0), hunt.spectrum.counts):
            raise StatisticsError(f"The parts of hunt {index} do not add up to its spectrum: count them in its events.")
    return correlation


def _toys(
    hunts: list[BumpHunt], overlap: Overlap | None, toys: int, rng: np.random.Generator, workers: int
) -> tuple[ToyScans, ...]:
    expected = [hunt.background.seen[0] for hunt in hunts]
    parts = None if overlap is None else overlap.expected(np.stack(expected))

    def block(number: int, generator: np.random.Generator) -> list[Outcome]:
        if overlap is None or parts is None:
            drawn = [generator.poisson(one, size=(number, one.size)).astype(float) for one in expected]
        else:
            drawn = overlap.draw(parts, number, generator)
        return [hunt.procedure(counts) for hunt, counts in zip(hunts, drawn, strict=True)]

    n_bins = max(one.size for one in expected)
    blocks = in_blocks(block, toys=toys, n_bins=n_bins, rng=rng, workers=workers)
    return tuple(ToyScans.of(outcomes) for outcomes in zip(*blocks, strict=True))


def _largest_of(pseudo: Sequence[ToyScans]) -> ToyScans:
    return _without_euler(np.max([part.largest for part in pseudo], axis=0))


def _without_euler(largest: np.ndarray) -> ToyScans:
    return ToyScans(largest, no_euler(largest.size), int(np.isposinf(largest).sum()))


def _smallest_p(observed: np.ndarray, local_z: np.ndarray, pseudo: Sequence[ToyScans]) -> tuple[int, GlobalP]:
    """Index of the hunt with the smallest p-value, and the global p of that: ranks among data and fitted toys together.

    Args:
        observed: test statistics of the data, shape (n_hunts,).
        local_z: their local significances, which decide between hunts of the same rank, as all are beyond all toys.
        pseudo: the toys of each hunt.
    """
    largest = np.stack([part.largest for part in pseudo])
    fitted = ~np.isposinf(largest).any(axis=0)
    ranks = rankdata(-np.column_stack([largest[:, fitted], observed]), method="max", axis=1)
    first = ranks[:, -1] == ranks[:, -1].min()
    best = int(np.argmax(np.where(first, local_z, -np.inf)))
    smallest = np.full(fitted.size, np.inf)
    smallest[fitted] = -ranks[:, :-1].min(axis=0)
    found = toy_p(-float(ranks[best, -1]), _without_euler(smallest))
    return best, replace(found, saturated=bool(ranks[best, -1] == 1))
