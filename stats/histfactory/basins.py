"""Other minima of −log L, which nuisances with one-sided variations and products of scale factors can have.

Where both variations of a histogram go the same way, its response is even in α and the data may be described on
either side of zero; with kinks at zero each side can have a minimum anyway. Both are worth a look: a fit that ends in
the higher one is no fit. Nuisances whose variations are nearly opposite have no second minimum, and cost nothing here.
Of two samples that can describe the same events one may be scaled to nothing, and either choice be a minimum.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np

from stats.histfactory.interpolation import KINKED
from stats.histfactory.newton import Minimum, Search
from stats.histfactory.specification import Specification

EVEN = 0.1  # least ratio of a variation's even to its odd part, both relative to the bin's expectation; at 0.25 two in
# a thousand fits to small random models missed the lower minimum
LEAST = 1e-3  # relative size of a variation that can matter
MAX_PROBES = 200
BETTER = 1e-9  # difference in −log L that makes a minimum a lower one
NEAR = 1.0  # promised decrease of −log L below which three times as much is not to be expected
AWAY = 0.5  # distance from zero at which the other side is probed, at least
Region = tuple[float, float, float]  # where to start, and between which values


def two_sided(specification: Specification) -> np.ndarray:
    """Parameters whose variations are not nearly opposite to each other, or have a kink between them."""
    spec = specification
    nominal = np.maximum(np.add.reduceat(np.maximum(spec.nominal, 0.0), spec.starts), 1e-9)
    nominal = np.repeat(nominal, np.diff(np.append(spec.starts, spec.nominal.size)))
    up, down = spec.shift_up / nominal, spec.shift_down / nominal
    shifts = zip(spec.shift_parameters, up, down, strict=True)
    norms = zip(spec.norm_parameters, spec.norm_up - 1.0, 1.0 - spec.norm_down, strict=True)
    parameters = [p for p, u, d in shifts if spec.shift_code in KINKED or _even(u, d)]
    parameters += [p for p, u, d in norms if spec.norm_code in KINKED or _even(u, d)]
    return np.unique(np.array(parameters, dtype=int))


def scales(specification: Specification) -> np.ndarray:
    """Parameters without a constraint that scale several entries each: what a normfactor is."""
    spec = specification
    entries = np.bincount(spec.pairs[0], minlength=spec.n_parameters)
    entries[spec.normal.parameters] = entries[spec.poisson.parameters] = 0
    return np.flatnonzero(entries > 1)


def _even(up: np.ndarray, down: np.ndarray) -> bool:
    even, odd = float(np.linalg.norm(up - down)), float(np.linalg.norm(up + down))
    return even > max(EVEN * odd, LEAST)


def unrest(search: Search, found: Minimum, parameters: np.ndarray, initial: np.ndarray, **settings: Any) -> Minimum:
    """The lowest of the minima reached with scale factors lifted off their bounds, ``found`` included.

    Each that rests on a bound starts again from its suggested value, alone and with one of the others held at nothing
    in its place, since a free one would at once return; and all of them start again together. A single scale factor
    has nothing to change places with.

    Args:
        parameters: the scale factors.
        initial: suggested values of all parameters, shape (P,).
    """
    chosen = np.intersect1d(parameters, search.free)
    if chosen.size < 2 or not found.converged:
        return found
    low, high = search.bounds.T
    resting = [int(k) for k in chosen if not low[k] < found.point[k] < high[k] and low[k] < high[k]]
    if not resting:
        return found
    others = [int(k) for k in chosen if k not in resting]
    changes: list[tuple[list[int], int | None]] = [(chosen.tolist(), None), *(([k], None) for k in resting)]
    changes += [([k], other) for k in resting for other in others]
    best, iterations = found, found.iterations
    for lifted, held in changes[:MAX_PROBES]:
        start, bounds = found.point.copy(), search.bounds.copy()
        start[lifted] = np.clip(initial[lifted], low[lifted], high[lifted])
        if held is not None:
            start[held] = bounds[held, 1] = low[held]
        again = Search(search.likelihood, search.free, bounds).run(start, **settings)
        iterations += again.iterations
        if again.converged and again.value < best.value - BETTER:
            best = again if held is None else search.run(again.point, **settings)
            iterations += 0 if held is None else best.iterations
    return replace(best, iterations=iterations)


def lowest(search: Search, found: Minimum, parameters: np.ndarray, **settings: Any) -> Minimum:
    """The lowest of the minima that lie elsewhere in one parameter or across zero in two, ``found`` included."""
    if not parameters.size:
        return found
    iterations = found.iterations
    candidates = [int(k) for k in np.intersect1d(parameters, search.free)]
    jumps = [(k,) for k in candidates] + list(combinations(candidates, 2))
    pending = list(jumps)
    for _ in range(MAX_PROBES):
        if not pending or not found.converged:
            break
        jump = pending.pop(0)
        regions = _across if len(jump) > 1 else _elsewhere
        for chosen in product(*(regions(float(found.point[k])) for k in jump)):
            other = _minimum_in(search, found, dict(zip(jump, chosen, strict=True)), settings)
            iterations += other.iterations
            if other.converged and other.value < found.value - BETTER:
                found = other
                pending = [other_jump for other_jump in jumps if other_jump != jump]
                break
    return replace(found, iterations=iterations)


def _across(value: float) -> list[Region]:
    """Across zero, or on both sides of it."""
    distance = max(abs(value), AWAY)
    above, below = (distance, 0.0, np.inf), (-distance, -np.inf, 0.0)
    return [below, above] if value == 0 else [below if value > 0 else above]


def _elsewhere(value: float) -> list[Region]:
    """Across zero, between zero and ``value``, and beyond ``value``."""
    regions = _across(value)
    if abs(value) > LEAST:
        sign, size = np.sign(value), abs(value)
        outer = max(2.0 * size, 1.0)
        for start, first, last in ((0.5 * size, 0.0, 0.75 * size), (outer, 0.5 * (size + outer), np.inf)):
            ends = sorted((float(sign * first), float(sign * last)))
            regions.append((float(sign * start), ends[0], ends[1]))
    return regions


def _minimum_in(search: Search, found: Minimum, regions: dict[int, Region], settings: dict[str, Any]) -> Minimum:
    """The minimum with parameters in regions; given up where it is higher or one rests on the end of its region."""
    bounds, start = search.bounds.copy(), found.point.copy()
    for parameter, (target, low, high) in regions.items():
        bounds[parameter] = np.clip(bounds[parameter], low, high)
        start[parameter] = np.clip(target, *bounds[parameter])
        if bounds[parameter, 0] == bounds[parameter, 1]:
            return replace(found, converged=False, iterations=0)
    chosen = list(regions)
    places = np.searchsorted(search.free, chosen)
    low, high = bounds[chosen].T
    ends_low, ends_high = low > search.bounds[chosen, 0], high < search.bounds[chosen, 1]

    def hopeless(point: np.ndarray, step: np.ndarray, value: float, promise: float) -> bool:
        at_end = ((point[places] == low) & ends_low) | ((point[places] == high) & ends_high)
        returns = bool((at_end & (step[places] == 0)).any())
        return returns or (promise < NEAR and value - 3.0 * promise > found.value)

    return Search(search.likelihood, search.free, bounds).run(start, hopeless=hopeless, **settings)
