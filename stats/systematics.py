"""Systematic uncertainties of a signal, as modifiers of a pyhf workspace.

Each describes one nuisance parameter; parameters of the same name in several channels are one and the same, which is
how uncertainties are correlated between selections, years or windows. The background needs none of these: its shape
and normalisation come from the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from stats.errors import StatisticsError

LUMINOSITY = "lumi"  # the only name that pyhf's schema lets a luminosity have


@dataclass(frozen=True)
class SignalInChannel:
    """What a systematic uncertainty may need to know of the signal it varies.

    Attributes:
        channel: its name.
        template: signal of the whole spectrum, one event in all, shape (n_bins,).
        inside: bins of the channel, shape (n_bins,).
        response: signal in the channel's bins for ``mu`` = 1 per signal in the spectrum's, shape (n_inside, n_bins).
        mass: of the peak in GeV, or None where only a template is known.
        moved: takes a map of edges to the template of a signal moved that way, or None where only a template is known.
    """

    channel: str
    template: np.ndarray
    inside: np.ndarray
    response: np.ndarray
    mass: float | None = None
    moved: Callable[[Callable[[np.ndarray], np.ndarray]], np.ndarray] | None = None

    def seen(self, template: np.ndarray) -> np.ndarray:
        """Signal per bin of the channel, shape (n_inside,), for one per bin of the spectrum, shape (n_bins,)."""
        return np.maximum(self.response @ template, 0.0)


class Systematic(Protocol):
    """One nuisance parameter of the signal."""

    @property
    def name(self) -> str:
        """Of the nuisance parameter."""

    def modifier(self, signal: SignalInChannel) -> dict[str, Any]:
        """As in the ``modifiers`` of a pyhf sample."""


@dataclass(frozen=True)
class Normalisation:
    """The signal's normalisation (``normsys``): an efficiency, a cross section, a luminosity of one year.

    Attributes:
        name: of the nuisance parameter.
        up, down: factors one standard deviation up and down.

    Raises:
        StatisticsError: for factors that are not positive.
    """

    name: str
    up: float
    down: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.up, self.down]).all() and min(self.up, self.down) > 0):
            raise StatisticsError(
                f"The factors of {self.name} must be positive, got up {self.up} and down {self.down}: "
                "1.1 and 0.9 mean ten per cent."
            )

    @classmethod
    def relative(cls, name: str, uncertainty: float) -> Normalisation:
        """A factor (1 + ``uncertainty``) up and its inverse down, positive for every uncertainty ≥ 0."""
        if not (np.isfinite(uncertainty) and uncertainty >= 0):
            raise StatisticsError(f"The relative uncertainty {name} must be 0 or more, got {uncertainty}.")
        return cls(name, 1.0 + uncertainty, 1.0 / (1.0 + uncertainty))

    def modifier(self, signal: SignalInChannel) -> dict[str, Any]:
        """``normsys``."""
        return {"name": self.name, "type": "normsys", "data": {"hi": float(self.up), "lo": float(self.down)}}


@dataclass(frozen=True)
class Luminosity:
    """The integrated luminosity (``lumi``, constrained by a normal distribution), common to all channels.

    Attributes:
        uncertainty: relative, below a third; several years with luminosities of their own are ``Normalisation``.
    """

    uncertainty: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.uncertainty) and 0 < self.uncertainty < 1 / 3):
            raise StatisticsError(
                f"A relative luminosity uncertainty lies between 0 and a third, got {self.uncertainty}: "
                "leave it out where there is none."
            )

    @property
    def name(self) -> str:
        """Fixed by pyhf's schema."""
        return LUMINOSITY

    def modifier(self, signal: SignalInChannel) -> dict[str, Any]:
        """``lumi``; its size belongs to the measurement (``parameter``)."""
        return {"name": LUMINOSITY, "type": "lumi", "data": None}

    def parameter(self) -> dict[str, Any]:
        """The measurement's entry."""
        reach = min(5.0 * self.uncertainty, 0.99)
        return {
            "name": LUMINOSITY,
            "auxdata": [1.0],
            "sigmas": [float(self.uncertainty)],
            "bounds": [[1.0 - reach, 1.0 + reach]],
            "inits": [1.0],
        }


@dataclass(frozen=True)
class ShapeVariation:
    """Templates of the signal one standard deviation up and down (``histosys``), normalisation included.

    Attributes:
        name: of the nuisance parameter.
        up, down: signal per bin of the whole spectrum where the nominal template holds one event, shape (n_bins,).

    Raises:
        StatisticsError: for templates that are negative or not finite.
    """

    name: str
    up: np.ndarray
    down: np.ndarray

    def __post_init__(self) -> None:
        for side in ("up", "down"):
            values = np.asarray(getattr(self, side), dtype=float)
            if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
                raise StatisticsError(f"{self.name}.{side} must hold one finite, non-negative number per bin.")
            object.__setattr__(self, side, values)

    @classmethod
    def from_histograms(cls, name: str, nominal: Any, up: Any, down: Any = None) -> ShapeVariation:
        """From histograms of the same simulated events, nominal and varied, as the pipeline's ``variations`` are.

        Args:
            down: where None, the variation up is mirrored at the nominal histogram (and cut at 0).
        """
        nominal, up = np.asarray(nominal, dtype=float), np.asarray(up, dtype=float)
        down = np.maximum(2.0 * nominal - up, 0.0) if down is None else np.asarray(down, dtype=float)
        total = float(nominal.sum())
        if not nominal.shape == up.shape == down.shape or not (np.isfinite(total) and total > 0):
            raise StatisticsError(
                f"{name}: the nominal histogram (shape {nominal.shape}, sum {total:g}) must be filled and have the "
                f"bins of the varied ones (shapes {up.shape} and {down.shape})."
            )
        return cls(name, up / total, down / total)

    def modifier(self, signal: SignalInChannel) -> dict[str, Any]:
        """``histosys``."""
        if self.up.shape != signal.template.shape or self.down.shape != signal.template.shape:
            raise StatisticsError(
                f"{self.name} has templates of {self.up.size} and {self.down.size} bins for a spectrum of "
                f"{signal.template.size}: give one number per bin of the whole spectrum."
            )
        return _histosys(self.name, signal.seen(self.up), signal.seen(self.down))


@dataclass(frozen=True)
class EnergyScale:
    """A common factor on all masses, 1 ± ``shift``, as the jet energy scale is: it moves the peak (``histosys``)."""

    shift: float
    name: str = "jet_energy_scale"

    def __post_init__(self) -> None:
        if not 0 < self.shift < 0.5:
            raise StatisticsError(f"{self.name}: a relative shift lies between 0 and 0.5, got {self.shift}.")

    def modifier(self, signal: SignalInChannel) -> dict[str, Any]:
        """``histosys``: a peak moved up by a factor is the unmoved one in edges divided by it."""
        up, down = (_moved(self.name, signal, _divided(1.0 + sign * self.shift)) for sign in (1, -1))
        return _histosys(self.name, up, down)


@dataclass(frozen=True)
class Resolution:
    """A relative ``change`` of the width of the peak, as the jet energy resolution makes (``histosys``).

    The signal is stretched about its mass by 1 + ``change`` up and by the inverse down.
    """

    change: float
    name: str = "jet_energy_resolution"

    def __post_init__(self) -> None:
        if not 0 < self.change < 1:
            raise StatisticsError(f"{self.name}: a relative change lies between 0 and 1, got {self.change}.")

    def modifier(self, signal: SignalInChannel) -> dict[str, Any]:
        """``histosys``: a peak stretched by a factor is the unstretched one in edges pulled in by it."""
        mass = 0.0 if signal.mass is None else signal.mass
        factors = (1.0 + self.change, 1.0 / (1.0 + self.change))
        up, down = (_moved(self.name, signal, _pulled_in(mass, factor)) for factor in factors)
        return _histosys(self.name, up, down)


@dataclass(frozen=True)
class TemplateStatistics:
    """Statistical uncertainty of a simulated template, one parameter per bin (``staterror``).

    Attributes:
        errors: standard deviation of the template (one event in all), shape (n_bins,); or
        events: number of unweighted simulated events in the template.
    """

    errors: np.ndarray | None = None
    events: float | None = None

    def __post_init__(self) -> None:
        if (self.errors is None) == (self.events is None):
            raise StatisticsError("TemplateStatistics takes the errors per bin or the number of simulated events.")
        if self.events is not None and not (np.isfinite(self.events) and self.events > 0):
            raise StatisticsError(f"A template needs a positive number of simulated events, got {self.events}.")
        if self.errors is not None and (not np.isfinite(self.errors).all() or (np.asarray(self.errors) < 0).any()):
            raise StatisticsError("The errors of a template must be finite and not negative.")

    @property
    def name(self) -> str:
        """Of the parameters, before the channel's name."""
        return "staterror"

    def modifier(self, signal: SignalInChannel) -> dict[str, Any]:
        """``staterror``: independent bins, so each channel has parameters of its own."""
        errors = np.sqrt(signal.template / self.events) if self.events is not None else np.asarray(self.errors)
        if errors.shape != signal.template.shape:
            raise StatisticsError(f"{errors.size} template errors for a spectrum of {signal.template.size} bins.")
        filled = signal.template > 0
        relative = np.where(filled, errors / np.where(filled, signal.template, 1.0), 0.0)[signal.inside]
        absolute = relative * signal.seen(signal.template)
        return {"name": f"staterror_{signal.channel}", "type": "staterror", "data": absolute.tolist()}


def _divided(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda edges: edges / factor


def _pulled_in(mass: float, factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda edges: mass + (edges - mass) / factor


def _moved(name: str, signal: SignalInChannel, edges: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    if signal.moved is None:
        raise StatisticsError(f"{name} needs the signal's shape, not a template: give the varied templates instead.")
    return signal.seen(signal.moved(edges))


def _histosys(name: str, up: np.ndarray, down: np.ndarray) -> dict[str, Any]:
    return {"name": name, "type": "histosys", "data": {"hi_data": up.tolist(), "lo_data": down.tolist()}}
