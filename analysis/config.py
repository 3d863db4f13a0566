"""What a search file and a catalogue may say.

Every model refuses keys it does not know; `validation.py` turns pydantic's report into one paragraph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from analysis.samples import Recipe
from analysis.settings import Interval, Model, Name
from analysis.statistics_settings import (
    AbcdSettings,
    BumpHuntSettings,
    LimitSettings,
    SpectrumSettings,
    ValidationSettings,
)


class Dataset(Model):
    """One entry of the catalogue: files that exist or can be fetched, or a recipe that makes them."""

    description: str = ""
    files: tuple[str, ...] = ()
    recipe: Recipe | None = None
    doi: str | None = None
    size: str | None = None
    format: Literal["darkhorse", "nanoaod", "pfnano", "delphes", "scouting", "lhco"] = "darkhorse"
    tree: str | None = None
    sqrt_s: float = Field(13.0, gt=0, description="TeV")
    role: Literal["data", "simulation", "signal", "exposure"] = "data"
    cross_section: float | None = Field(None, gt=0, description="pb")
    luminosity: float | None = Field(None, gt=0, description="fb⁻¹")
    checksum: Mapping[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _facts_of_the_recipe(cls, content: Any) -> Any:
        """Take √s and the format from the recipe where the entry does not say them."""
        recipe = content.get("recipe") if isinstance(content, Mapping) else None
        if not isinstance(recipe, Mapping):
            return content
        facts = {"sqrt_s": recipe.get("sqrt_s"), "format": "lhco" if recipe.get("format") == "lhco" else None}
        return {**{name: fact for name, fact in facts.items() if fact is not None}, **content}

    @model_validator(mode="after")
    def _files_or_recipe(self) -> Dataset:
        if bool(self.files) == (self.recipe is not None):
            raise ValueError("a data set has either `files` or a `recipe`")
        if self.recipe is not None and (self.recipe.format == "lhco") != (self.format == "lhco"):
            raise ValueError(f"`format: {self.format}` contradicts `recipe.format: {self.recipe.format}`")
        if self.recipe is not None and self.recipe.sqrt_s != self.sqrt_s:
            raise ValueError(f"`sqrt_s: {self.sqrt_s:g}` contradicts `recipe.sqrt_s: {self.recipe.sqrt_s:g}`")
        return self


class Axis(Model):
    """A histogram axis: regular between `start` and `stop`, or by `edges`."""

    bins: int | None = Field(None, gt=0)
    start: float | None = None
    stop: float | None = None
    edges: tuple[float, ...] | None = None
    label: str = ""

    @model_validator(mode="after")
    def _regular_or_edges(self) -> Axis:
        regular = (self.bins, self.start, self.stop)
        if self.edges is None and None in regular:
            raise ValueError("an axis needs `bins`, `start` and `stop`, or `edges`")
        if self.edges is not None and any(value is not None for value in regular):
            raise ValueError("an axis has `edges` or `bins`, `start` and `stop`, not both")
        if self.edges is not None and list(self.edges) != sorted(set(self.edges)):
            raise ValueError("`edges` must increase")
        if self.start is not None and self.stop is not None and self.start >= self.stop:
            raise ValueError("`start` must lie below `stop`")
        return self


class Processing(Model):
    """Settings of the dijet processor; momenta and masses in GeV."""

    jets: Literal["PFCands", "FatJet"] = "PFCands"
    puppi: bool = False
    radius: float = Field(1.0, gt=0)
    min_jet_pt: float = Field(20.0, ge=0)
    min_leading_pt: float | None = Field(1200.0, ge=0)
    max_abs_eta: float | None = Field(2.5, gt=0)
    max_delta_eta: float | None = Field(None, gt=0)
    min_mjj: float | None = Field(None, ge=0)
    constituents: int = Field(0, ge=0)
    variations: Mapping[Name, float] = {}
    histograms: Mapping[str, Axis] = {}
    chunksize: int = Field(5000, gt=0)


class Mixture(Model):
    """Pseudo-data: all of `background` and as many events of `signal` as give `fraction`.

    `of: total` makes S/(S+B) of all selected events equal to `fraction`; `of: window` makes S/B in the search window.
    """

    background: Name
    signal: Name | None = None
    fraction: float = Field(0.0, ge=0, lt=1)
    of: Literal["total", "window"] = "total"
    seed: int = Field(0, ge=0)
    max_background: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _signal_when_injected(self) -> Mixture:
        if self.fraction > 0 and self.signal is None:
            raise ValueError("a mixture with `fraction` above 0 needs a `signal`")
        return self


class WindowSettings(Model):
    """The signal window and the bands beside it, in GeV of m_jj."""

    signal: Interval
    sidebands: tuple[Interval, ...] = ()
    validation: tuple[Interval, ...] = ()

    @field_validator("signal", "sidebands", "validation")
    @classmethod
    def _ordered(cls, value: Any) -> Any:
        for low, high in [value] if value and isinstance(value[0], float) else value:
            if not low < high:
                raise ValueError(f"[{low:g}, {high:g}] is not an interval: the lower end must come first")
        return value

    @model_validator(mode="after")
    def _apart(self) -> WindowSettings:
        for low, high in (*self.sidebands, *self.validation):
            if low < self.signal[1] and high > self.signal[0]:
                raise ValueError(f"the band [{low:g}, {high:g}] overlaps the signal window")
        return self


class DetectorSettings(Model):
    """One detector of a search: `settings` go to the detector, which checks them itself."""

    type: str
    folds: int = Field(5, ge=2)
    settings: Mapping[str, Any] = {}


class Search(Model):
    """A whole search, as written in a search file."""

    name: Name
    title: str = ""
    seed: int = Field(1, ge=0)
    catalogue: str | None = None
    datasets: Mapping[Name, Any] = {}
    scales: Mapping[str, Mapping[str, Any]] = {}
    processing: Processing = Processing()
    mixtures: Mapping[Name, Mixture] = {}
    data: tuple[Name, ...] = Field(min_length=1)
    simulation: Name | None = None
    window: WindowSettings | None = None
    detectors: Mapping[Name, DetectorSettings] = {}
    efficiencies: tuple[float, ...] = (0.01,)
    spectrum: SpectrumSettings | None = None
    bump_hunt: BumpHuntSettings | None = None
    validation: ValidationSettings | None = None
    abcd: tuple[AbcdSettings, ...] = ()
    limits: LimitSettings | None = None

    @field_validator("data", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("efficiencies")
    @classmethod
    def _are_efficiencies(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for efficiency in value:
            if not 0 < efficiency < 1:
                raise ValueError(f"{efficiency:g} is not an efficiency between 0 and 1")
        if len(set(value)) < len(value):
            raise ValueError("the same efficiency is listed twice: every selection has one")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Search:
        if self.detectors and self.window is None:
            raise ValueError("`detectors` need a `window` with its sidebands")
        if (self.bump_hunt or self.limits) and self.spectrum is None:
            raise ValueError("`bump_hunt` and `limits` need a `spectrum`")
        if self.limits and not self.bump_hunt:
            raise ValueError("`limits` are set on the spectra of the `bump_hunt`: give both")
        self._known_selections()
        self._controls()
        self._no_mixtures()
        if self.spectrum is not None:
            self._masses_inside(self.spectrum)
        if self.spectrum is not None and self.window is not None:
            low, high = self.window.signal
            if low < self.spectrum.start or high > self.spectrum.stop:
                raise ValueError(
                    f"`window.signal` ({low:g} to {high:g} GeV) lies outside the spectrum ({self.spectrum.start:g} to "
                    f"{self.spectrum.stop:g} GeV)"
                )
        if any(mixture.of == "window" for mixture in self.mixtures.values()) and self.window is None:
            raise ValueError("a mixture with `of: window` needs a `window`")
        return self

    def _known_selections(self) -> None:
        for key, settings in (("limits", self.limits), ("validation", self.validation)):
            unknown = set(settings.selections if settings else ()) - {1.0, *self.efficiencies}
            if unknown:
                raise ValueError(
                    f"`{key}.selections` asks for {min(unknown):g}, which is not among `efficiencies` (nor 1, the "
                    "inclusive spectrum): add it there"
                )
        names = [settings.name for settings in self.abcd]
        if len(set(names)) < len(names) or set(names) & set(self.detectors):
            raise ValueError("every entry of `abcd` needs a `name` of its own, that is no detector's: rename one")
        if any(settings.window for settings in self.abcd) and self.window is None:
            raise ValueError("an `abcd` estimate with `window: true` needs a `window`")

    def _controls(self) -> None:
        """Check that what the background is chosen and doubted with is there."""
        if self.validation is not None and self.bump_hunt is None:
            raise ValueError("`validation` doubts the background of the `bump_hunt`: give both")
        spectrum, checks = self.spectrum, self.validation
        if spectrum is None:
            return
        asks = spectrum.parameters == "f-test" or (checks is not None and checks.f_test)
        if spectrum.order.control == "sidebands" and spectrum.parameters == "f-test" and self.window is None:
            raise ValueError("`spectrum.order.control: sidebands` needs a `window` whose signal interval is left out")
        spurious = checks.spurious_signal if checks else None
        needed = [
            *(["spectrum.order.control"] if asks and spectrum.order.control == "simulation" else []),
            *(["validation.spurious_signal.template"] if spurious and spurious.template == "simulation" else []),
        ]
        if needed and self.simulation is None:
            raise ValueError(f"`{needed[0]}: simulation` needs a `simulation`")

    def _masses_inside(self, spectrum: SpectrumSettings) -> None:
        checks = self.validation
        asked = {
            "bump_hunt.masses": self.bump_hunt.masses.values() if self.bump_hunt else [],
            "limits.masses": self.limits.masses if self.limits else [],
            "validation.bias.masses": checks.bias.masses if checks and checks.bias else [],
            "validation.injection.mass": [checks.injection.mass] if checks and checks.injection else [],
        }
        for key, masses in asked.items():
            outside = [mass for mass in masses if not spectrum.start < mass < spectrum.stop]
            if outside:
                raise ValueError(
                    f"`{key}`: the mass {outside[0]:g} GeV lies outside the spectrum ({spectrum.start:g} to "
                    f"{spectrum.stop:g} GeV); leave it out or widen the spectrum"
                )

    def _no_mixtures(self) -> None:
        """Check that data sets stand where a mixture has no meaning."""
        signals = self.limits.cross_section.signals if self.limits and self.limits.cross_section else {}
        asked = {
            "spectrum.order.control": self.spectrum.order.control if self.spectrum else "",
            **{f"limits.cross_section.signals.{mass:g}": name for mass, name in signals.items()},
        }
        for key, name in asked.items():
            if name in self.mixtures:
                raise ValueError(f"`{key}: {name}` names a mixture; name a data set of the catalogue")
