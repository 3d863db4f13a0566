"""What a search file and a catalogue may say.

Every model refuses keys it does not know; `validation.py` turns pydantic's report into one paragraph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from analysis.adversarial_settings import AdversarialSettings
from analysis.closure_settings import ClosureSettings, DirectSettings
from analysis.jet_tagging_settings import JetTaggingSettings
from analysis.latent_settings import LatentSettings
from analysis.limit_settings import LimitSettings
from analysis.samples import Recipe
from analysis.samples.recipe import with_defaults
from analysis.settings import MASS_COLUMNS, Interval, MassInterval, Model, Name
from analysis.statistics_settings import (
    AbcdSettings,
    BumpHuntSettings,
    SpectrumSettings,
    ValidationSettings,
    listed_once,
)
from analysis.variants import inherited
from analysis.window_settings import SlidingWindows, WindowSettings, cross_fitted, slid

MAIN = "main"  # the figure of detectors that name none
OWN_WINDOWS = "-windows"  # ends the names of figures of detectors with windows of their own


class Dataset(Model):
    """One entry of the catalogue: files that exist or can be fetched, or a recipe that makes them."""

    description: str = ""
    files: tuple[str, ...] = ()
    recipe: Recipe | None = None
    doi: str | None = None
    size: str | None = None
    format: Literal["darkhorse", "nanoaod", "pfnano", "delphes", "scouting", "lhco"] = "darkhorse"
    tree: str | None = None
    jets: Literal["PFCands", "FatJet"] | None = Field(None, description="in place of `processing.jets`")
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
        recipe = with_defaults(recipe)
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


class TTbarSettings(Model):
    """Selection of semileptonic top pairs, see `processors.TTbarProcessor`; momenta in GeV."""

    radius: float = Field(1.0, gt=0)
    subjet_radius: float = Field(0.2, gt=0)
    min_fat_jet_pt: float = Field(20.0, ge=0)
    min_jet_pt: float = Field(30.0, gt=0)
    min_lepton_pt: float = Field(10.0, gt=0)
    min_ht: float | None = Field(1000.0, ge=0)
    ht_of: Literal["visible", "objects"] = "visible"
    isolation_cone: float = Field(0.2, gt=0)
    max_isolation: float = Field(0.1, ge=0)
    b_tag_radius: float = Field(0.2, gt=0)


class JetSettings(Model):
    """The window of the hardest jet, see `processors.JetProcessor`; GeV, null leaves a cut out."""

    min_jet_pt: float = Field(450.0, ge=0)
    max_jet_pt: float | None = Field(None, gt=0)
    max_abs_eta: float | None = Field(2.0, gt=0)


class Processing(Model):
    """Settings of the processor; momenta and masses in GeV.

    `variations` shift the jet energy scale, `smearings` move all objects by widths of the detector's resolution; top
    pairs have the latter alone. `ttbar` is what selects top pairs, all but `histograms` and `chunksize` beside it
    belongs to dijets. `jet` is what selects single jets, which share all with dijets but the cuts `DIJET_CUTS`.
    """

    processor: Literal["dijet", "jet", "ttbar"] = "dijet"
    ttbar: TTbarSettings = TTbarSettings()
    jet: JetSettings = JetSettings()
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
    smearings: Mapping[Name, float] = {}
    histograms: Mapping[str, Axis] = {}
    chunksize: int = Field(5000, gt=0)

    @property
    def mass(self) -> str:
        """The column of the resonance mass of the events that the processor makes."""
        return MASS_COLUMNS[self.processor]


class Mixture(Model):
    """Pseudo-data: all of `background` and as many events of `signal` as give `fraction`.

    `of: total` makes S/(S+B) of all selected events equal to `fraction`; `of: window` makes S/B in the search window.
    In the masses `quoted` S/B and S/√B are counted, in place of those of the search: signals differ in mass.
    `max_background` takes so many events of the background by chance; with `skip_background`, those that follow the
    first so many, so that mixtures can take parts of one background that share no event.
    """

    background: Name
    signal: Name | None = None
    fraction: float = Field(0.0, ge=0, lt=1)
    of: Literal["total", "window"] = "total"
    seed: int = Field(0, ge=0)
    max_background: int | None = Field(None, gt=0)
    quoted: MassInterval | None = None
    skip_background: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _signal_when_injected(self) -> Mixture:
        if self.fraction > 0 and self.signal is None:
            raise ValueError("a mixture with `fraction` above 0 needs a `signal`")
        return self


class DetectorSettings(Model):
    """One detector of a search: `settings` go to the detector, which checks them itself.

    `simulation` is another data set than the search's for this detector, `exposure` the outliers that it is shown,
    where its settings ask for some; `repeats` trainings with seeds of their own measure the spread of its figures
    of merit (the search uses the first); `search: false` compares it without hunting in its selections; `window`
    takes the place of the search's. `family` is the detector that this is one window of, where `windows` made it.
    `folds` is 5, and 1 (every event trains, and is scored) where no event has a class that could be remembered.
    `figures` are those that its curves stand in, beside the others that name the same. `of` names another detector
    whose training this one is made from without one of its own, as earlier iterations or another combination: what
    is not given here is as there.
    """

    type: str
    folds: int = Field(5, ge=1)
    settings: Mapping[str, Any] = {}
    simulation: Name | None = None
    exposure: Name | None = None
    repeats: int = Field(1, ge=1)
    search: bool = True
    window: WindowSettings | None = None
    family: Name | None = None
    figures: tuple[Name, ...] = Field((MAIN,), min_length=1)
    of: Name | None = None

    @field_validator("figures")
    @classmethod
    def _different_figures(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("the same figure is named twice")
        if any(f"-{name}".endswith(OWN_WINDOWS) for name in value):
            raise ValueError(
                f"a name that ends in {OWN_WINDOWS[1:]!r} is kept for detectors with a window of their own: rename it"
            )
        return value

    @model_validator(mode="before")
    @classmethod
    def _folds_of_the_type(cls, content: Any) -> Any:
        """Take one fold by default where nothing is cross-fitted."""
        if isinstance(content, Mapping) and "folds" not in content and not cross_fitted(str(content.get("type"))):
            return {**content, "folds": 1}
        return content

    @model_validator(mode="after")
    def _folds_where_needed(self) -> DetectorSettings:
        if self.folds == 1 and cross_fitted(self.type):
            raise ValueError(
                f"`folds: 1` would score events with what {self.type!r} learned of these very events: give 2 or more"
            )
        return self


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
    data: tuple[Name, ...] = ()
    adversarial: AdversarialSettings | None = None
    jet_tagging: JetTaggingSettings | None = None
    simulation: Name | None = None
    window: WindowSettings | None = None
    windows: SlidingWindows | None = None
    quoted: MassInterval | None = Field(None, description="GeV: where S/B and S/√B are counted without a window")
    detectors: Mapping[Name, DetectorSettings] = {}
    efficiencies: tuple[float, ...] = (0.01,)
    closure: ClosureSettings = ClosureSettings()
    direct: DirectSettings = DirectSettings()
    latent: LatentSettings | None = None
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
        return listed_once(value)

    @field_validator("detectors", mode="before")
    @classmethod
    def _inherit(cls, value: Any) -> Any:
        return inherited(value) if isinstance(value, Mapping) else value

    @field_validator("detectors")
    @classmethod
    def _slide(cls, value: Mapping[str, DetectorSettings], info: ValidationInfo) -> Mapping[str, DetectorSettings]:
        """Put one detector for each of the `windows` in the place of everyone that slides, once."""
        sliding = info.data.get("windows")
        done = any(settings.family for settings in value.values())
        return value if sliding is None or done else slid(value, sliding)

    def counted(self, sample: str, detector: str | None = None) -> Interval | None:
        """Return the masses (GeV) in which signal is counted against background, in all events or by a detector.

        They are those that the sample's mixture has for itself, else the window that is looked into, else `quoted`.
        """
        mixture = self.mixtures.get(sample)
        if mixture is not None and mixture.quoted is not None:
            return mixture.quoted
        own = self.detectors[detector].window if detector is not None else None
        window = own or self.window
        return window.signal if window else self.quoted

    @property
    def families(self) -> dict[str, list[str]]:
        """Return the detectors that slide, each with the names that it has in the windows."""
        found: dict[str, list[str]] = {}
        for name, settings in self.detectors.items():
            if settings.family is not None:
                found.setdefault(settings.family, []).append(name)
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Search:
        from analysis.consistency import check

        check(self)
        return self
