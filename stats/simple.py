"""The quick estimate of an excluded cross section from a ROC curve, and the CLs limit of the same counting experiment.

arXiv:1905.10384 (section 4.2): at the point of the curve where S/√B is largest, the signal that makes S/√B = 2 in
100 fb⁻¹ counts as excluded at 95%. It knows no uncertainty and takes √B for the spread of a count, which fails for few
events; the CLs limit beside it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.efficiency import check_luminosity
from stats.errors import StatisticsError
from stats.limits import UpperLimit, upper_limit
from stats.models import POI
from stats.strength import largest_yield
from stats.systematics import Luminosity

REQUIRED = 2.0  # S/√B that counts as excluded
LEAST_SIMULATED = 20  # background events that a working point must keep of those the curve was counted with
GAUSSIAN_FROM = 10.0  # expected events from which √B describes a count


@dataclass(frozen=True)
class SimpleLimit:
    """The cross section at which S/√B reaches ``required`` at the best point of a ROC curve.

    Attributes:
        cross_section: excluded signal cross section in fb, before the selection.
        error: its standard deviation from the events that the curve was counted with. That the best of many points
            was chosen on the same events makes the estimate optimistic by a part of it.
        point: index of the working point in the arrays given.
        signal_efficiency, background_efficiency: there.
        signal_events, background_events: expected there, the signal at the limit.
        background_error: of ``background_events``, relative, from the events that the curve was counted with.
        luminosity: fb⁻¹.
        required: S/√B.
        few: whether so few background events are expected that √B is no measure of their spread: only CLs counts.
    """

    cross_section: float
    error: float
    point: int
    signal_efficiency: float
    background_efficiency: float
    signal_events: float
    background_events: float
    background_error: float
    luminosity: float
    required: float
    few: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def simple_limit(
    signal_efficiency: np.ndarray,
    background_efficiency: np.ndarray,
    *,
    n_signal: float,
    n_background: float,
    background_cross_section: float,
    luminosity: float = 100.0,
    required: float = REQUIRED,
    least: int = LEAST_SIMULATED,
) -> SimpleLimit:
    """Exclude S/√B = ``required`` at the point of a ROC curve that needs the least signal for it.

    Args:
        signal_efficiency, background_efficiency: of the events before the selection, shape (n_points,).
        n_signal, n_background: (effective) events that the curve was counted with.
        background_cross_section: of the background before the selection, fb.
        luminosity: fb⁻¹.
        least: background events among ``n_background`` that a point must keep: with fewer, the best point is a downward
            fluctuation of the background.

    Raises:
        StatisticsError: for a curve that is none, or without a point that keeps signal and enough background.
    """
    check_luminosity(luminosity)
    signal, background = _curve(signal_efficiency, background_efficiency)
    numbers = (n_signal, n_background, background_cross_section, required)
    if not (np.isfinite(numbers).all() and min(numbers) > 0):
        raise StatisticsError(f"Numbers of events, background cross section and S/√B must be positive, got {numbers}.")
    point = _best_point(signal, background, n_background, least)
    kept, passed = float(signal[point]), float(background[point])
    events = background_cross_section * luminosity * passed
    excluded = required * np.sqrt(events) / (luminosity * kept)
    spread = (1.0 - passed) / (n_background * passed)
    return SimpleLimit(
        cross_section=float(excluded),
        error=float(excluded * np.sqrt((1.0 - kept) / (n_signal * kept) + 0.25 * spread)),
        point=point,
        signal_efficiency=kept,
        background_efficiency=passed,
        signal_events=float(required * np.sqrt(events)),
        background_events=float(events),
        background_error=float(np.sqrt(spread)),
        luminosity=float(luminosity),
        required=float(required),
        few=bool(events < GAUSSIAN_FROM),
    )


def counting_limit(simple: SimpleLimit, *, luminosity_uncertainty: float = 0.0, level: float = 0.05) -> UpperLimit:
    """CLs limits in fb of the counting experiment of a ``SimpleLimit``: what is observed is the expected background.

    The background's uncertainty is that of the events which the curve was counted with; of the six limits the median
    expected one stands beside the simple estimate.
    """
    workspace = counting_workspace(
        simple.background_events,
        signal=simple.luminosity * simple.signal_efficiency,
        background_uncertainty=simple.background_error,
        luminosity_uncertainty=luminosity_uncertainty,
    )
    return upper_limit(workspace, level=level, unit="fb")


def counting_workspace(
    background: float,
    *,
    observed: float | None = None,
    signal: float = 1.0,
    background_uncertainty: float = 0.0,
    luminosity_uncertainty: float = 0.0,
) -> dict[str, Any]:
    """A pyhf workspace of one bin.

    Args:
        background: expected events.
        observed: events; None for as many as expected.
        signal: events for ``mu`` = 1.
        background_uncertainty: relative; a Poisson-constrained ``shapesys``, as for a background that was counted.
        luminosity_uncertainty: relative, on the signal; 0 for none.
    """
    numbers = [background, signal, background_uncertainty, 0.0 if observed is None else observed]
    if not np.isfinite(numbers).all() or min(numbers) < 0 or background <= 0 or signal <= 0:
        raise StatisticsError(
            f"A counting experiment needs positive background and signal and no negative number, got {numbers}."
        )
    sizes = [Luminosity(luminosity_uncertainty)] if luminosity_uncertainty else []
    seen = background if observed is None else observed
    shape = {"name": "background", "type": "shapesys", "data": [background * background_uncertainty]}
    lumi = [{"name": one.name, "type": "lumi", "data": None} for one in sizes]
    largest = largest_yield(seen) / signal
    parameters = [{"name": POI, "bounds": [[0.0, largest]], "inits": [0.1 * largest]}, *(s.parameter() for s in sizes)]
    samples = [
        _sample("signal", signal, [{"name": POI, "type": "normfactor", "data": None}, *lumi]),
        _sample("background", background, [shape] if background_uncertainty else []),
    ]
    return {
        "version": "1.0.0",
        "channels": [{"name": "selection", "samples": samples}],
        "observations": [{"name": "selection", "data": [float(seen)]}],
        "measurements": [{"name": "counting", "config": {"poi": POI, "parameters": parameters}}],
    }


def _sample(name: str, events: float, modifiers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "data": [float(events)], "modifiers": modifiers}


def _best_point(signal: np.ndarray, background: np.ndarray, n_background: float, least: int) -> int:
    usable = np.flatnonzero((signal > 0) & (background * n_background >= least - 1e-9))
    if usable.size == 0:
        raise StatisticsError(
            f"No point of the ROC curve keeps signal and {least} of {n_background:g} background events: "
            "the estimate would rest on a fluctuation. Use more background events."
        )
    return int(usable[np.argmax(signal[usable] / np.sqrt(background[usable]))])


def _curve(signal: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    signal, background = np.asarray(signal, dtype=float), np.asarray(background, dtype=float)
    both = np.concatenate([signal.ravel(), background.ravel()])
    if signal.ndim != 1 or signal.shape != background.shape or not signal.size or not np.isfinite(both).all():
        raise StatisticsError(
            f"A ROC curve is two arrays of finite efficiencies alike, got shapes {signal.shape} and {background.shape}."
        )
    if both.min() < 0 or both.max() > 1 + 1e-12:
        raise StatisticsError(f"Efficiencies lie between 0 and 1; got {both.min():g} to {both.max():g}.")
    return signal, background
