"""95% CLs upper limits, observed and expected, and discovery p-values of pyhf workspaces."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from stats.crossings import crossings
from stats.efficiency import Efficiency, check_luminosity
from stats.errors import StatisticsError
from stats.functions import Family
from stats.models import Channel, resonance_workspace
from stats.signals import SignalShape
from stats.spectrum import Spectrum
from stats.systematics import Systematic

logger = logging.getLogger(__name__)

SELECTED = "selected events"
FEW = 5.0  # events: with fewer expected asymptotic limits cover less than 93%, with fewer observed they are too strong

DOUBTFUL = 0.01  # χ² probability of a sideband fit


@dataclass(frozen=True, repr=False)
class UpperLimit:
    """An upper limit on the signal strength.

    Attributes:
        observed: in ``unit``; NaN where a cross section lies outside the range in which the efficiency is known.
        expected: at −2, −1, 0, 1, 2 standard deviations of the background-only outcome, likewise.
        scan: every tested strength with its CLs: (mu, observed, five expected), rising in mu.
        level: CLs at the limit.
        best_fit: strength that fits best, at least 0, in ``scan_unit``.
        local_p0: discovery p-value from q₀, capped: 0.5 for every deficit.
        failed_fits: fits that failed on the way; the limit rests on those that did not.
        unit: of the limits.
        mass: of the resonance in GeV, or None.
        expected_background: events expected under the signal (in the bins that a counting experiment would take),
            before any fit.
        observed_events: events observed there.
        extrapolated: whether a window has sidebands on one side only, so that its background is the function's
            extrapolation; None where the workspace does not tell.
        doubtful: whether the function describes the sidebands of a window badly (χ² probability below 1%): then the
            background in the window, and with it the limit, may be wrong; None where the workspace does not tell.
        scan_unit: of the scan: "selected events" where the limits were turned into cross sections through an efficiency
            that depends on them.
        efficiency_interval: the observed limit in fb with an efficiency that depends on the signal one standard
            deviation up and down; NaN where that is outside the tested cross sections. None for other limits.
        notes: what a reader of the limit has to know.
    """

    observed: float
    expected: tuple[float, float, float, float, float]
    scan: tuple[tuple[float, float, tuple[float, ...]], ...]
    level: float
    best_fit: float
    local_p0: float
    failed_fits: int
    unit: str = SELECTED
    mass: float | None = None
    expected_background: float = float("nan")
    observed_events: float = float("nan")
    extrapolated: bool | None = None
    doubtful: bool | None = None
    scan_unit: str = SELECTED
    efficiency_interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The limit with what was expected, in one line."""
        mass = "" if self.mass is None else f" at {self.mass:g} GeV"
        low, middle, high = self.expected[1:4]
        told = {
            "few events": self.low_counts,
            "sidebands badly fitted": self.doubtful,
            "extrapolated": self.extrapolated,
        }
        doubts = "".join(f"; {doubt}" for doubt, holds in told.items() if holds)
        return (
            f"UpperLimit{mass}: {self.observed:.4g} {self.unit} observed, {middle:.4g} expected ({low:.4g} to "
            f"{high:.4g} at ±1σ), {100 * (1 - self.level):.3g}% CLs; local {self.local_z:.2f}σ{doubts}"
        )

    @property
    def local_z(self) -> float:
        """Discovery significance √q₀, 0 for every deficit."""
        return float(max(-ndtri(max(self.local_p0, 1e-300)), 0.0)) + 0.0  # no −0

    @property
    def low_counts(self) -> bool:
        """Whether so few events are expected or observed that the asymptotic limit may be too strong: use toys."""
        return bool(self.expected_background < FEW or self.observed_events < FEW)

    def to_dict(self) -> dict[str, Any]:
        """As in ``results.json``; the caller adds ``selection`` and ``signal``."""
        return {
            "mass": self.mass,
            "unit": self.unit,
            "observed": _json(self.observed),
            "expected": [_json(value) for value in self.expected],
            "scan": [[mu, cls] for mu, cls, _ in self.scan],
            "scan_expected": [[mu, list(expected)] for mu, _, expected in self.scan],
            "scan_unit": self.scan_unit,
            "efficiency_interval": None if (both := self.efficiency_interval) is None else [_json(x) for x in both],
            "level": self.level,
            "best_fit": self.best_fit,
            "local_p0": self.local_p0,
            "local_z": self.local_z,
            "failed_fits": self.failed_fits,
            "expected_background": _json(self.expected_background),
            "observed_events": _json(self.observed_events),
            "low_counts": self.low_counts,
            "extrapolated": self.extrapolated,
            "doubtful": self.doubtful,
            "notes": list(self.notes),
        }


def upper_limit(workspace: Mapping[str, Any], *, level: float = 0.05, unit: str = SELECTED) -> UpperLimit:
    """Observed and expected CLs limits (asymptotic q̃) on the parameter of interest of a pyhf workspace.

    The search starts near the best fit, rises until every CLs is below ``level``, extending the bound of the
    parameter of interest where it must, and closes in on each of the six crossings until CLs is within 0.4% of
    ``level`` (and within 2·10⁻⁴).

    Args:
        unit: of the parameter of interest, as ``events`` made it: "selected events" or "fb".

    Raises:
        StatisticsError: when the model cannot be fitted, has no signal, or a crossing is not found.
    """
    from stats.asymptotics import AsymptoticTest, open_workspace
    from stats.minimiser import pyhf_session

    if not 0 < level < 1:
        raise StatisticsError(f"CLs at the limit lies between 0 and 1, got {level}.")
    with pyhf_session():
        test = AsymptoticTest(*open_workspace(workspace))
        limits = crossings(test, level)
        scan = tuple(
            (mu, float(np.exp(values[0])), tuple(np.exp(values[1:]).tolist()))
            for mu, values in sorted(test.evaluated.items())
        )
        background, events = test.expected_background, test.observed_events
    return UpperLimit(
        observed=limits[0],
        expected=(limits[1], limits[2], limits[3], limits[4], limits[5]),
        scan=scan,
        level=level,
        best_fit=test.best,
        local_p0=float(ndtr(-np.sqrt(test.discovery_q0))),
        failed_fits=test.failed_fits,
        unit=unit,
        scan_unit=unit,
        **circumstances(workspace, background=background, events=events),
    )


def circumstances(workspace: Mapping[str, Any], *, background: float, events: float) -> dict[str, Any]:
    """What an ``UpperLimit`` says of the data behind it: few events, missing sidebands, functions that do not fit.

    Args:
        background, events: expected and observed under the signal.
    """
    channels: tuple[Channel, ...] = getattr(workspace, "channels", ())
    return {
        "expected_background": background,
        "observed_events": events,
        "extrapolated": any(channel.extrapolated for channel in channels) if channels else None,
        "doubtful": any(_is_doubtful(channel) for channel in channels) if channels else None,
        "notes": (*_few(background, events), *_of_sidebands(channels)),
    }


def resonance_limits(
    spectrum: Spectrum,
    family: Family,
    *,
    masses: Sequence[float],
    width: float | None = None,
    shape: SignalShape | None = None,
    relative: bool = True,
    level: float = 0.05,
    mask: np.ndarray | None = None,
    systematics: Sequence[Systematic] | Callable[[float], Sequence[Systematic]] = (),
    efficiency: Efficiency | None = None,
    luminosity: float | None = None,
) -> list[UpperLimit]:
    """One limit per mass (GeV) on a resonance of any shape, in selected events, or in fb with an ``efficiency``.

    Args:
        width, shape, relative, mask: as ``resonance_channel``.
        systematics: of the signal, or a function of the mass that gives them.
        efficiency: of a selection that does not depend on the signal; its error becomes the nuisance parameter
            "signal_efficiency". For a detector trained on the data, take limits in selected events and ``in_fb``.
        luminosity: fb⁻¹, with an efficiency.

    Raises:
        StatisticsError: naming the first mass without a limit; and for one of efficiency and luminosity alone.
    """
    if efficiency is None and luminosity is not None:
        raise StatisticsError(
            "A luminosity without an efficiency makes no limit in fb: give the efficiency, or leave the luminosity out "
            "for limits in selected events."
        )
    if efficiency is not None:
        check_luminosity(np.nan if luminosity is None else luminosity)
    limits = []
    for mass in masses:
        nuisances = list(systematics(mass) if callable(systematics) else systematics)
        events, unit = 1.0, SELECTED
        try:
            if efficiency is not None and luminosity is not None:
                events, unit = luminosity * efficiency.at(mass)[0], "fb"
                uncertain = efficiency.systematic(mass)
                nuisances += [uncertain] if uncertain is not None else []
            spec = resonance_workspace(
                spectrum,
                family,
                mass=mass,
                width=width,
                shape=shape,
                relative=relative,
                events=events,
                systematics=nuisances,
                mask=mask,
            )
            limit = upper_limit(spec, level=level, unit=unit)
        except StatisticsError as error:
            raise StatisticsError(f"No limit at {mass:g} GeV. {error}") from error
        limits.append(replace(limit, mass=float(mass)))
    return limits


def _few(background: float, events: float) -> Iterator[str]:
    """What few events do to an asymptotic limit."""
    if background < FEW:
        yield (
            f"Only {background:.2g} background events are expected under the signal: the asymptotic limit may be too "
            "strong (those of a counting experiment cover, at worst, 93% of the time with 5 expected events, 91% with "
            "0.5, 86% with hardly any), use toys."
        )
    elif events < FEW:
        yield (
            f"Only {events:g} events were observed under the signal ({background:.3g} expected): the asymptotic limit "
            "is up to a tenth too strong, use toys."
        )


def _of_sidebands(channels: Sequence[Channel]) -> Iterator[str]:
    """What is wrong with the predictions of the background."""
    for channel in channels:
        if channel.extrapolated:
            yield (
                f"There is no sideband {channel.extrapolated} the window: the background in it is the function's "
                "extrapolation."
            )
        fit = channel.goodness
        if fit is not None and _is_doubtful(channel):
            yield (
                f"The function does not describe the sidebands of {channel.name} (chi2/ndof = {fit.chi2:.1f}/"
                f"{fit.ndof}, p = {fit.p:.2g}): the background in the window may be wrong, and the limit with it."
            )


def _is_doubtful(channel: Channel) -> bool:
    return channel.goodness is not None and channel.goodness.p < DOUBTFUL


def _json(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
