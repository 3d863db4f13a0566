"""What a search file may say about spectra, bump hunts, background models and ABCD estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from analysis.settings import Model, Name

Efficiency = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

LARGEST_ORDER = 5  # that an F-test considers unless the search file says which
LEAST_GEV = 1.0  # narrower than any bin; peaks of dijets are tens of GeV wide at least


def check_width(width: float, unit: str) -> None:
    """Raise ValueError where a width of a peak looks as if it was meant in the other unit."""
    if unit == "relative" and width >= 1:
        raise ValueError(
            f"a width of {width:g} is relative to the mass, and no peak is as wide as that; did you mean "
            "`width_unit: GeV`?"
        )
    if unit == "GeV" and width < LEAST_GEV:
        raise ValueError(
            f"a width of {width:g} GeV is below {LEAST_GEV:g} GeV, narrower than any detector resolves; did you mean "
            "`width_unit: relative`?"
        )


def listed_once(efficiencies: tuple[float, ...]) -> tuple[float, ...]:
    """Return the efficiencies; raise ValueError where one is listed twice."""
    if len(set(efficiencies)) < len(efficiencies):
        raise ValueError("the same efficiency is listed twice: every selection has one")
    return efficiencies


def _known_family(name: str) -> str:
    from analysis.validation import nearest
    from stats.families import FAMILIES

    if name not in FAMILIES:
        raise ValueError(f"{name!r} is no background family{nearest(name, list(FAMILIES))}")
    return name


def _check_order(name: str, n_parameters: int) -> None:
    from stats.families import orders

    if n_parameters not in orders(name):
        known = ", ".join(str(order) for order in orders(name))
        raise ValueError(f"the family {name} has {known} parameters, not {n_parameters}: take one of these")


class FamilySettings(Model):
    """A background family with a number of parameters."""

    family: str = "dijet"
    parameters: int = 3

    _known = field_validator("family")(_known_family)

    @model_validator(mode="after")
    def _has_order(self) -> FamilySettings:
        _check_order(self.family, self.parameters)
        return self


class OrderSettings(Model):
    """An F-test for the number of parameters on a control spectrum.

    `control` is `sidebands` (the inclusive spectrum outside `window.signal`), `simulation`, or a data set by name; or
    `searched`: every spectrum that is searched chooses for itself, and its toys repeat the choice. `candidates` are the
    numbers of parameters to choose from: without them all that the family has, up to 5.
    """

    control: str = "sidebands"
    candidates: tuple[int, ...] | None = None
    threshold: float = Field(0.05, gt=0, lt=1)

    @field_validator("candidates")
    @classmethod
    def _rise(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (len(value) < 2 or list(value) != sorted(set(value))):
            raise ValueError("an F-test needs at least two rising numbers of parameters")
        return value


class SpectrumSettings(Model):
    """The resonance spectrum and the background family fitted to it."""

    start: float = Field(gt=0)
    stop: float = Field(gt=0)
    width: float | None = Field(None, gt=0, description="bin width in GeV")
    bins: int | None = Field(None, gt=0)
    family: str = "dijet"
    parameters: int | Literal["f-test"] = 3
    order: OrderSettings = OrderSettings()

    _known = field_validator("family")(_known_family)

    @field_validator("parameters", mode="before")
    @classmethod
    def _number_or_test(cls, value: object) -> object:
        from analysis.validation import nearest

        if isinstance(value, str) and value != "f-test" and not value.isdecimal():
            raise ValueError(f"{value!r} is neither a number of parameters nor `f-test`{nearest(value, ['f-test'])}")
        return value

    @model_validator(mode="after")
    def _one_binning(self) -> SpectrumSettings:
        if (self.width is None) == (self.bins is None):
            raise ValueError("give `width` or `bins`, one of the two")
        if self.start >= self.stop:
            raise ValueError("`start` must lie below `stop`")
        if self.n_bins < 1:
            raise ValueError(f"no bin of {self.width:g} GeV fits between `start` and `stop`: take a smaller `width`")
        fixed = () if self.parameters == "f-test" else (self.parameters,)
        for order in (*fixed, *self.candidates):
            _check_order(self.family, order)
        return self

    @property
    def n_bins(self) -> int:
        """Number of bins of the spectrum; those that `width` does not fill are left out at the upper end."""
        if self.bins is not None:
            return self.bins
        assert self.width is not None  # the model demands one of the two
        return math.floor((self.stop - self.start) / self.width * (1 + 1e-12))

    @property
    def end(self) -> float:
        """Upper edge of the last bin in GeV."""
        return self.stop if self.width is None else self.start + self.n_bins * self.width

    @property
    def candidates(self) -> tuple[int, ...]:
        """Numbers of parameters that an F-test chooses from."""
        from stats.families import orders

        if self.order.candidates is not None:
            return self.order.candidates
        return tuple(order for order in orders(self.family) if order <= LARGEST_ORDER)


class Masses(Model):
    """Evenly spaced mass hypotheses from `start` to `stop` (both included where the step allows), in GeV."""

    start: float = Field(gt=0)
    stop: float = Field(gt=0)
    step: float = Field(gt=0)

    @model_validator(mode="after")
    def _rise(self) -> Masses:
        if self.start > self.stop:
            raise ValueError(
                f"`start` ({self.start:g} GeV) lies above `stop` ({self.stop:g} GeV), which leaves no mass to search: "
                "exchange them"
            )
        return self

    def values(self) -> list[float]:
        """Return the masses in GeV."""
        count = int((self.stop - self.start) / self.step + 1e-9) + 1
        return [self.start + index * self.step for index in range(count)]


class TailSettings(Model):
    """Tails of a double-sided Crystal Ball: where they begin, in standard deviations, and how steep they are."""

    alpha_low: Positive
    n_low: float = Field(gt=1)
    alpha_high: Positive
    n_high: float = Field(gt=1)


class WindowsSettings(Model):
    """Windows of the BumpHunter: their `widths` in bins (from 2 to half of the spectrum when empty) and steps.

    `exclude` leaves the tested window out of the background fit, `sidebands` asks for agreement on both sides of it.
    """

    widths: tuple[Annotated[int, Field(gt=0)], ...] = ()
    step: int = Field(1, gt=0)
    exclude: bool = False
    sidebands: bool = False

    @field_validator("widths")
    @classmethod
    def _rise(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError(f"{list(value)} do not rise: list each number of bins once, the narrowest first")
        return value


class FixedMassSettings(Model):
    """One mass (GeV) at which every detector is compared, references too, in selections of these `efficiencies`."""

    mass: Positive
    efficiencies: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(min_length=1)

    _once = field_validator("efficiencies")(listed_once)


class BumpHuntSettings(Model):
    """Mass hypotheses, widths and pseudo-experiments of the bump hunt.

    `widths` are standard deviations of the peak's core over its mass, or in GeV with `width_unit: GeV`. `tails` make
    the peak a double-sided Crystal Ball; `templates`, simulated signals by their mass (GeV), take its place. `combine`
    finds one global p-value for all selections of a sample. `fixed` adds local significances at one known mass, with
    the first of `widths`; they take no part in the search.
    """

    masses: Masses
    widths: tuple[Positive, ...] = Field((0.03,), min_length=1)
    width_unit: Literal["relative", "GeV"] = "relative"
    tails: TailSettings | None = None
    templates: Mapping[Positive, Name] = {}
    statistic: Literal["likelihood", "bumphunter"] = "likelihood"
    windows: WindowsSettings = WindowsSettings()
    toys: int = Field(1000, ge=0)
    combine: bool = True
    fixed: FixedMassSettings | None = None

    @model_validator(mode="after")
    def _plausible_widths(self) -> BumpHuntSettings:
        for width in self.widths:
            check_width(width, self.width_unit)
        return self

    @property
    def scan(self) -> BumpHuntSettings:
        """Return what decides the result of the scan over masses."""
        return self.model_copy(update={"fixed": None})


class BiasSettings(Model):
    """Every true function against every fitted one: pulls of signals of so many expected errors at `masses` (GeV)."""

    families: tuple[FamilySettings, ...] = Field(min_length=1)
    masses: tuple[Positive, ...] = Field(min_length=1)
    injected: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 2.0, 5.0)
    threshold: float = Field(0.2, gt=0, description="largest |mean pull| that passes")
    pull: Literal["curvature", "expected", "likelihood"] = "curvature"
    toys: int = Field(500, ge=10)


class SpuriousSettings(Model):
    """Signal fitted where there is none: in `template`, the simulation or a fit of another family to the data."""

    template: Literal["simulation"] | FamilySettings = "simulation"
    threshold: float = Field(0.2, gt=0, description="largest |fitted signal| over its statistical error that passes")
    tolerance: float = Field(1.0, ge=0, description="errors of the template granted on top")


class InjectionSettings(Model):
    """Signals of so many expected errors put into toys at one mass (GeV): does the fit give them back?"""

    mass: Positive
    strengths: tuple[Annotated[float, Field(ge=0)], ...] = Field((0.0, 1.0, 2.0, 3.0, 5.0), min_length=2)
    pull: Literal["curvature", "expected", "likelihood"] = "curvature"
    toys: int = Field(500, ge=10)


class ValidationSettings(Model):
    """How the background model is doubted; selections are given by efficiency, 1 is the inclusive spectrum."""

    selections: tuple[Efficiency, ...] = (1.0,)
    goodness_toys: int = Field(1000, ge=0)
    f_test: bool = True
    bias: BiasSettings | None = None
    spurious_signal: SpuriousSettings | None = None
    injection: InjectionSettings | None = None


class AbcdSettings(Model):
    """A background estimate from two scores that are independent for background.

    `first` and `second` name detectors of the search, `.first` and `.second` of a detector that scores each of two
    objects, or columns of the processed events, these with a leading `-` where smaller is more anomalous. `signal`
    names a simulated signal that says how a signal is shared among the regions; without it, and without truth, it is
    taken to be in none but the selected one. `background_like` is the lowest part of one score in which the other's
    efficiency is measured, `systematic` the relative uncertainty of Tag N' Train, `closure` that of the likelihood.
    """

    name: Name
    first: str
    second: str
    efficiencies: tuple[Efficiency, ...] = Field((0.01,), min_length=1)
    background_like: float = Field(0.4, gt=0, lt=1)
    systematic: float = Field(0.03, ge=0)
    closure: float = Field(0.1, ge=0)
    signal: Name | None = None
    window: bool = False

    _once = field_validator("efficiencies")(listed_once)

    @model_validator(mode="after")
    def _apart(self) -> AbcdSettings:
        if self.first.removeprefix("-") == self.second.removeprefix("-"):
            raise ValueError(
                f"`first` and `second` are both {self.second.removeprefix('-')!r}: an estimate needs two scores that "
                "are independent for background; name another one"
            )
        for efficiency in self.efficiencies:
            if efficiency**0.5 >= 1 - self.background_like:
                raise ValueError(
                    f"an efficiency of {efficiency:g} takes {efficiency**0.5:.0%} of each score, which overlaps the "
                    f"lowest {self.background_like:.0%} that `background_like` calls background"
                )
        return self
