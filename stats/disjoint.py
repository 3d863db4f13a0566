"""Selections that share no event, as a common fit of several channels needs them.

A channel's likelihood is multiplied with the others': an event in two of them would count twice, and limits would come
out too strong. Selections of one detector at several efficiencies hold one another: what the looser one has beyond the
tighter one is independent of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.spectrum import Spectrum


def disjoint_spectra(nested: Sequence[Spectrum]) -> list[Spectrum]:
    """Nested spectra, the tightest first, as disjoint ones: the tightest, then what each adds to the one before.

    The signal of each is the difference of the nested selections' signals alike.

    Raises:
        StatisticsError: for weighted spectra, different bins, and bins in which a tighter spectrum holds more than the
            next: then the looser selection does not hold the tighter one.
    """
    if not nested:
        raise StatisticsError("There is no spectrum to make disjoint.")
    for index, spectrum in enumerate(nested):
        if not spectrum.is_counts or not np.array_equal(spectrum.edges, nested[0].edges):
            raise StatisticsError(f"Spectrum {index} is weighted or has other bins than the first: give counts alike.")
    made = [nested[0]]
    for index, (tight, loose) in enumerate(itertools.pairwise(nested)):
        rest = loose.counts - tight.counts
        if (rest < 0).any():
            place = int(np.flatnonzero(rest < 0)[0])
            raise StatisticsError(
                f"Spectrum {index} holds more events than spectrum {index + 1} from {loose.edges[place]:g} to "
                f"{loose.edges[place + 1]:g} GeV ({tight.counts[place]:g} > {loose.counts[place]:g}): they are not "
                "nested, the tightest first."
            )
        made.append(Spectrum.from_counts(loose.edges, rest))
    return made


def require_disjoint(events: Mapping[str, Any]) -> None:
    """Refuse selections that share events.

    Args:
        events: per selection, numbers that identify its events (any one-dimensional arrays of the same type).

    Raises:
        StatisticsError: naming the first two selections that share events, and how many.
    """
    seen = [(name, np.unique(np.asarray(numbers))) for name, numbers in events.items()]
    for index, (name, numbers) in enumerate(seen):
        for other, others in seen[:index]:
            shared = np.intersect1d(numbers, others, assume_unique=True).size
            if shared:
                raise StatisticsError(
                    f"{other} and {name} share {shared} events: channels of one fit must be disjoint. "
                    "Subtract the tighter selection from the looser one (`disjoint_spectra`)."
                )
