"""What a search publishes of one selection: its spectrum with the fit, its mass scan and its upper limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stats.errors import StatisticsError
from stats.spectrum import Spectrum

WIDTH_UNITS = ("relative", "GeV")


@dataclass(frozen=True)
class PublishedLimit:
    """An upper limit at one mass.

    Attributes:
        mass: of the resonance in GeV.
        observed: in the unit of the selection's limits; None where no limit could be set.
        expected: at −2, −1, 0, 1, 2 standard deviations of the background-only outcome, each None where it is unknown
            (a cross section outside those that were tested); or None.
        reason: why no limit could be set, or what a reader of it has to know.

    Raises:
        StatisticsError: for bands that are not five finite numbers or None: NaN hides a mistake.
    """

    mass: float
    observed: float | None
    expected: tuple[float | None, ...] | None
    reason: str = ""

    def __post_init__(self) -> None:
        band = self.expected
        if band is not None and not (len(band) == 5 and np.isfinite([n for n in band if n is not None]).all()):
            raise StatisticsError(
                f"The expected limits at {self.mass:g} GeV are {band}: give five finite numbers, None for one that is "
                "unknown, or None for all."
            )


@dataclass(frozen=True)
class PublishedSelection:
    """One selection of a search and everything that is published of it.

    Attributes:
        name: of the selection, unique within the submission.
        sample: what was searched.
        detector: that scored the events, or None for the inclusive spectrum.
        efficiency: fraction of the events inside the spectrum that the selection keeps.
        sqrt_s: collision energy in GeV.
        spectrum: observed events per m_jj bin.
        background, background_error: fit and its standard deviation per bin, shape (n_bins,); NaN where unknown.
        masses: GeV, shape (n_masses,).
        widths: standard deviations of the peak, shape (n_widths,).
        local_p0, local_z: uncapped p0 and signed significance, shape (n_widths, n_masses); NaN where a fit failed.
        limits: one per mass; none where no limit was asked for.
        limit_unit: "selected events" or "fb".
        limit_width: width of the resonance in the limits.
        scan_signal, limit_signal: what the scan and the limits look for, in words.
        width_unit, limit_width_unit: "relative" (to the mass) or "GeV".
        luminosity: fb⁻¹, or None where it has no meaning.
        simulated: whether no event comes from a collision; every column then says so.
        note: about the spectrum and its fit. scan_note: about the scan.

    Raises:
        StatisticsError: for arrays whose shapes do not fit.
    """

    name: str
    sample: str
    detector: str | None
    efficiency: float
    sqrt_s: float
    spectrum: Spectrum
    background: np.ndarray
    background_error: np.ndarray
    masses: np.ndarray
    widths: np.ndarray
    local_p0: np.ndarray
    local_z: np.ndarray
    limits: tuple[PublishedLimit, ...] = ()
    limit_unit: str = "selected events"
    limit_width: float | None = None
    luminosity: float | None = None
    simulated: bool = False
    note: str = ""
    scan_note: str = ""
    scan_signal: str = "Gaussian resonance"
    limit_signal: str = "Gaussian resonance"
    width_unit: str = "relative"
    limit_width_unit: str = "relative"

    def __post_init__(self) -> None:
        units = {self.width_unit, self.limit_width_unit} - set(WIDTH_UNITS)
        if units:
            raise StatisticsError(f"A width of {self.name} is in {sorted(units)}: expected one of {WIDTH_UNITS}.")
        bins, grid = (self.spectrum.n_bins,), (np.size(self.widths), np.size(self.masses))
        shapes = {"background": bins, "background_error": bins, "local_p0": grid, "local_z": grid}
        for field, shape in shapes.items():
            if np.shape(getattr(self, field)) != shape:
                raise StatisticsError(
                    f"{field} of {self.name} has shape {np.shape(getattr(self, field))}, expected {shape}."
                )

    @property
    def qualifiers(self) -> list[tuple[str, str | float, str]]:
        """Name, value and unit of what tells this selection from others."""
        luminosity: list[tuple[str, str | float, str]] = []
        if self.luminosity is not None:
            luminosity = [("LUMINOSITY", float(self.luminosity), "fb$^{-1}$")]
        return [
            ("SQRT(S)", float(self.sqrt_s), "GeV"),
            *luminosity,
            *([("Events", "simulated", "")] if self.simulated else []),
            ("Sample", self.sample, ""),
            ("Selection", self.name, ""),
            ("Detector", self.detector or "none (inclusive)", ""),
            ("Efficiency", float(self.efficiency), ""),
        ]
