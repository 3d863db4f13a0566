"""Signal fits of many spectra × many templates above a log-linear background, compiled.

The same Newton iteration as ``stats.newton`` (whose constants it shares), one fit after the other: what a scan over
toys spends its time on is then arithmetic alone. Fits it cannot finish are left to ``fit_signal``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from stats.newton import FLOOR, LEAST_FISHER, SMALLEST_EVENTS, TOLERANCE

MOST_STEPS = 60  # of one fit, shortened steps included
SMALLEST_FRACTION = 1e-6  # of a step, before the fit is given up


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use, cached on disk where a folder can be written (read-only installations may have none)."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy")(function)


@compiled
def fit_all(
    counts: np.ndarray,
    background: np.ndarray,
    basis: np.ndarray,
    templates: np.ndarray,
    lower: np.ndarray,
    yields: np.ndarray,
    errors: np.ndarray,
    significance: np.ndarray,
) -> None:
    """Fit every template to every spectrum, from the background-only fit; what does not converge stays as it is.

    Args:
        counts, background: observed and, without signal, expected events, shape (N, n_bins).
        basis: ∂ log(expected)/∂u, shape (n_bins, p), near orthonormal under the expected events.
        templates: shape (T, n_bins).
        lower: smallest yields, shape (N, T).
        yields, errors, significance: to be filled, shape (N, T); errors of yields at their bound are NaN.
    """
    n_bins, p = basis.shape
    bins, vectors, matrices = np.empty((2, n_bins)), np.empty((4, p + 1)), np.empty((2, p + 1, p + 1))
    for spectrum in range(counts.shape[0]):
        n, b = counts[spectrum], background[spectrum]
        for index in range(templates.shape[0]):
            bound = lower[spectrum, index]
            done, held, value = _fit(n, b, basis, templates[index], bound, bins, vectors, matrices)
            if done:
                found = vectors[0, p]
                yields[spectrum, index] = found
                errors[spectrum, index] = np.nan if held else 1.0 / matrices[1, p, p]
                significance[spectrum, index] = np.sign(found) * math.sqrt(max(-2.0 * value, 0.0))


@compiled
def _fit(
    n: np.ndarray,
    b: np.ndarray,
    basis: np.ndarray,
    t: np.ndarray,
    bound: float,
    bins: np.ndarray,
    vectors: np.ndarray,
    matrices: np.ndarray,
) -> tuple[bool, bool, float]:
    """One fit: whether it converged, whether the yield is held at its bound, and −log L less that without signal.

    ``bins``, ``vectors`` and ``matrices`` are room to work in; state and Cholesky factor are left in ``vectors[0]`` and
    ``matrices[1]``.
    """
    events, bare = bins[0], bins[1]
    state, trial, gradient, step = vectors[0], vectors[1], vectors[2], vectors[3]
    hessian, factor = matrices[0], matrices[1]
    p = basis.shape[1]
    state[:] = 0.0
    value = _value(n, b, basis, t, state, events, bare)
    fraction, held, fresh = 1.0, False, True
    for _ in range(MOST_STEPS):
        if fresh:
            held = _step(n, basis, t, state, bound, events, bare, gradient, hessian, factor, step)
            decrement = -np.sum(gradient * step)
            if not decrement < np.inf or decrement < 2.0 * TOLERANCE:
                return decrement < np.inf, held, value
        trial[:] = state + fraction * step
        if trial[p] < bound + 1e-12 * (1.0 + abs(bound)):
            trial[p] = bound
        found = _value(n, b, basis, t, trial, events, bare)
        fresh = found <= value + 1e-10 + 1e-13 * abs(value)
        if fresh:
            state[:] = trial
            value, fraction = found, 1.0
        else:
            fraction *= 0.4
            if fraction < SMALLEST_FRACTION:
                break
    return False, held, value


@compiled
def _value(
    n: np.ndarray,
    b: np.ndarray,
    basis: np.ndarray,
    t: np.ndarray,
    state: np.ndarray,
    events: np.ndarray,
    bare: np.ndarray,
) -> float:
    """−log L less that of the background alone; fills expected events with (``events``) and without signal (``bare``).

    ``events`` is negative, −E, where the signal may not take more of the background.
    """
    p = basis.shape[1]
    total = 0.0
    for i in range(n.size):
        exponent = 0.0
        for k in range(p):
            exponent += basis[i, k] * state[k]
        bare[i] = b[i] * math.exp(exponent)
        expected = bare[i] + state[p] * t[i]
        events[i] = expected
        if expected < FLOOR * bare[i]:
            expected = FLOOR * bare[i]
            events[i] = -expected
        total += expected - b[i]
        if n[i] > 0:
            total -= n[i] * math.log(max(expected, SMALLEST_EVENTS) / max(b[i], SMALLEST_EVENTS))
    return total


@compiled
def _step(
    n: np.ndarray,
    basis: np.ndarray,
    t: np.ndarray,
    state: np.ndarray,
    bound: float,
    events: np.ndarray,
    bare: np.ndarray,
    gradient: np.ndarray,
    hessian: np.ndarray,
    factor: np.ndarray,
    step: np.ndarray,
) -> bool:
    """Fill gradient and Newton step at the events of ``_value``; returns whether the yield is held at its bound."""
    p = basis.shape[1]
    good = False
    for fisher in (False, True):
        _derivatives(n, basis, t, events, bare, fisher, gradient, hessian)
        good = _solve(hessian, gradient, factor, step)
        if good:
            break
    held = bool(good and state[p] <= bound and step[p] < 0)
    if held:
        for k in range(p):
            hessian[p, k] = 0.0
        hessian[p, p] = hessian[0, 0]
        gradient[p] = 0.0
        good = _solve(hessian, gradient, factor, step)
    if not good:
        step[:] = np.nan
    elif state[p] + step[p] < bound:
        scale = (bound - state[p]) / step[p]
        for k in range(p + 1):
            step[k] *= scale
    return held


@compiled
def _derivatives(
    n: np.ndarray,
    basis: np.ndarray,
    t: np.ndarray,
    events: np.ndarray,
    bare: np.ndarray,
    fisher: bool,
    gradient: np.ndarray,
    hessian: np.ndarray,
) -> None:
    p = basis.shape[1]
    gradient[:] = 0.0
    hessian[:] = 0.0
    for i in range(n.size):
        expected, b, signal = events[i], bare[i], t[i]
        if expected < 0:
            expected, b, signal = -expected, -expected, 0.0
        safe = max(expected, SMALLEST_EVENTS)
        ratio = n[i] / safe
        rest = 1.0 - ratio
        weight = 1.0 / max(safe, LEAST_FISHER) if fisher else ratio / safe
        mixed = b * weight
        diagonal = b * mixed if fisher else b * (rest + mixed)
        for j in range(p):
            gradient[j] += rest * b * basis[i, j]
            inner = diagonal * basis[i, j]
            for k in range(j + 1):
                hessian[j, k] += inner * basis[i, k]
            hessian[p, j] += mixed * signal * basis[i, j]
        gradient[p] += rest * signal
        hessian[p, p] += weight * signal * signal


@compiled
def _solve(hessian: np.ndarray, gradient: np.ndarray, factor: np.ndarray, step: np.ndarray) -> bool:
    """Cholesky-factorise the lower triangle and fill step = −H⁻¹ g; False if H is not positive definite."""
    size = gradient.size
    for j in range(size):
        pivot = hessian[j, j]
        floor = 1e-13 * abs(pivot)
        for k in range(j):
            pivot -= factor[j, k] * factor[j, k]
        if not pivot > floor:
            return False
        factor[j, j] = math.sqrt(pivot)
        for i in range(j + 1, size):
            element = hessian[i, j]
            for k in range(j):
                element -= factor[i, k] * factor[j, k]
            factor[i, j] = element / factor[j, j]
    for j in range(size):
        step[j] = -gradient[j]
        for k in range(j):
            step[j] -= factor[j, k] * step[k]
        step[j] /= factor[j, j]
    for j in range(size - 1, -1, -1):
        for k in range(j + 1, size):
            step[j] -= factor[k, j] * step[k]
        step[j] /= factor[j, j]
    return True
