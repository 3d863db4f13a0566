"""Other minima of −log L, which nuisances with one-sided variations can have.

Where both variations of a histogram go the same way, its response is even in α and the data may be described on
either side of zero. Both are worth a look: a fit that ends in the higher one is no fit. Nuisances whose variations are
nearly opposite have no second minimum, and cost nothing here.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np

from stats.histfactory.newton import Minimum, Search
from stats.histfactory.specification import Specification

EVEN = 0.25  # least ratio of a variation's even to its odd part, both relative to the bin's expectation
LEAST = 1e-3  # relative size of a variation that can matter
MAX_PROBES = 200
BETTER = 1e-9  # difference in −log L that makes a minimum a lower one
NEAR = 1.0  # promised decrease of −log L below which three times as much is not to be expected
AWAY = 0.5  # distance from zero at which the other side is probed, at least


def two_sided(specification: Specification) -> np.ndarray:
    """Parameters whose variations are not nearly opposite to each other."""
    spec = specification
    nominal = np.maximum(np.add.reduceat(np.maximum(spec.nominal, 0.0), spec.starts), 1e-9)
    nominal = np.repeat(nominal, np.diff(np.append(spec.starts, spec.nominal.size)))
    up, down = spec.shift_up / nominal, spec.shift_down / nominal
    parameters = [p for p, u, d in zip(spec.shift_parameters, up, down, strict=True) if _even(u, d)]
    parameters += [
        p for p, u, d in zip(spec.norm_parameters, spec.norm_up - 1.0, 1.0 - spec.norm_down, strict=True) if _even(u, d)
    ]
    return np.unique(np.array(parameters, dtype=int))


def _even(up: np.ndarray, down: np.ndarray) -> bool:
    even, odd = float(np.linalg.norm(up - down)), float(np.linalg.norm(up + down))
    return even > max(EVEN * odd, LEAST)


def lowest(search: Search, found: Minimum, parameters: np.ndarray, **settings: Any) -> Minimum:
    """The lowest of the minima that lie across zero from ``found`` in one or two parameters, itself included."""
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
        for targets in product(*(_across(float(found.point[k])) for k in jump)):
            other = _beyond(search, found, dict(zip(jump, targets, strict=True)), settings)
            iterations += other.iterations
            if other.converged and other.value < found.value - BETTER:
                found = other
                pending = [other_jump for other_jump in jumps if other_jump != jump]
                break
    return replace(found, iterations=iterations)


def _across(value: float) -> list[float]:
    distance = max(abs(value), AWAY)
    return [-distance, distance] if value == 0 else [float(-np.sign(value)) * distance]


def _beyond(search: Search, found: Minimum, targets: dict[int, float], settings: dict[str, Any]) -> Minimum:
    """The minimum with parameters on the side of their targets; given up where it is higher or one returns to zero."""
    bounds, start = search.bounds.copy(), found.point.copy()
    for parameter, target in targets.items():
        side = (0.0, np.inf) if target > 0 else (-np.inf, 0.0)
        bounds[parameter] = np.clip(bounds[parameter], *side)
        start[parameter] = np.clip(target, *bounds[parameter])
        if start[parameter] == 0:
            return replace(found, converged=False, iterations=0)
    places = np.searchsorted(search.free, list(targets))

    def hopeless(point: np.ndarray, step: np.ndarray, value: float, promise: float) -> bool:
        returns = bool(((point[places] == 0) & (step[places] == 0)).any())
        return returns or (promise < NEAR and value - 3.0 * promise > found.value)

    return Search(search.likelihood, search.free, bounds).run(start, hopeless=hopeless, **settings)
