"""What a search file may say about limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from analysis.settings import Interval, Model, Name
from analysis.statistics_settings import Positive, TailSettings, check_width

Excluded = Annotated[
    Annotated[tuple[Interval, ...], Tag("intervals")] | Annotated[Literal["excess"], Tag("excess")],
    Discriminator(lambda value: "excess" if isinstance(value, str) else "intervals"),  # else errors name both
]
LOWER_TAIL = 0.022750131948179195  # of a normal distribution, beyond two standard deviations


class SystematicsSettings(Model):
    """Relative uncertainties of the signal in a limit: its normalisation by source, and the shape of its peak.

    `scale` shifts the peak's mass, `resolution` widens its core, `luminosity` acts on limits in fb. `variations` are
    pairs of `processing.variations`, one standard deviation up and down: of simulated signals, whose events they move
    in mass and across the cuts, in limits in fb with `shape: simulation`.
    """

    normalisation: Mapping[Name, Positive] = {}
    scale: float | None = Field(None, gt=0, lt=0.5)
    resolution: float | None = Field(None, gt=0, lt=1)
    luminosity: float | None = Field(None, gt=0, lt=1)
    variations: Mapping[Name, tuple[Name, Name]] = {}


class CrossSectionSettings(Model):
    """Limits in fb, where a simulated signal says how many of its events a selection keeps.

    `signals` are data sets by their mass (GeV). A detector that was trained on the data selects more signal when
    there is more: `injected` lists the total signal fractions with which it is trained again to measure that.
    The peak has the `shape` of the simulated signal, or that of the limits in events. `combine` fits the selections
    of one detector together, cut into bands that share no event.
    """

    luminosity: float = Field(gt=0, description="fb⁻¹")
    signals: Mapping[Positive, Name] = Field(min_length=1)
    injected: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = ()
    shape: Literal["simulation", "limits"] = "simulation"
    combine: bool = False

    @field_validator("injected")
    @classmethod
    def _none_or_several(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) == 1:
            raise ValueError(
                f"[{value[0]:g}] is one signal fraction, from which nobody can tell how the efficiency depends on the "
                "signal: list two or more that differ, 0 among them, or none"
            )
        return value


class LimitSettings(Model):
    """Masses (GeV) at which limits are set, and the selections they are set on (all when empty).

    The window around a mass reaches `reach` standard deviations of the peak's core to either side; without it three,
    and farther until it holds 95% of the signal. Bins in `exclude` are no sidebands of peaks elsewhere; `excess` stands
    for those around the largest excess of the same spectrum, where it is one. `folds` gives each fold of a detector,
    whose threshold is its own, a spectrum and a background of its own in one fit.
    """

    masses: tuple[Positive, ...] = Field(min_length=1)
    width: float = Field(0.03, gt=0)
    width_unit: Literal["relative", "GeV"] = "relative"
    tails: TailSettings | None = None
    templates: Mapping[Positive, Name] = {}
    reach: float | None = Field(None, ge=1)
    selections: tuple[float, ...] = ()
    level: float = Field(0.05, gt=0, lt=1)
    systematics: SystematicsSettings = SystematicsSettings()
    toys: int = Field(
        0, ge=0, description="toys per tested strength and hypothesis; 0 leaves it to asymptotic formulae"
    )
    profile: bool = True
    exclude: Excluded = ()
    folds: bool = False
    cross_section: CrossSectionSettings | None = None

    @field_validator("masses")
    @classmethod
    def _differ(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) < len(value):
            raise ValueError("the same mass is listed twice: every mass has one limit")
        return value

    @field_validator("level")
    @classmethod
    def _is_cls(cls, value: float) -> float:
        if value >= 0.5:
            raise ValueError(
                f"{value:g} is no CLs at the limit, which is one minus the confidence level: 0.05 gives 95% CLs limits"
            )
        return value

    @field_validator("exclude", mode="before")
    @classmethod
    def _excess_or_intervals(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "excess":
            raise ValueError(f"{value!r} is neither `excess` nor a list of intervals of masses in GeV")
        return value

    @field_validator("exclude")
    @classmethod
    def _ordered(cls, value: Excluded) -> Excluded:
        for low, high in () if value == "excess" else value:
            if not low < high:
                raise ValueError(f"[{low:g}, {high:g}] is not an interval: the lower end must come first")
        return value

    @model_validator(mode="after")
    def _plausible_width(self) -> LimitSettings:
        check_width(self.width, self.width_unit)
        return self

    @model_validator(mode="after")
    def _enough_toys(self) -> LimitSettings:
        least = math.ceil(1.0 / (self.level * LOWER_TAIL))
        if 0 < self.toys < least:
            raise ValueError(
                f"{self.toys} toys cannot show a CLs of {self.level:g} at −2 standard deviations: give `toys` {least} "
                "at the very least, better ten times as many, or 0"
            )
        return self

    @model_validator(mode="after")
    def _signals_have_limits(self) -> LimitSettings:
        signals = self.cross_section.signals if self.cross_section else {}
        strangers = sorted(set(signals) - set(self.masses))
        if strangers:
            raise ValueError(
                f"`cross_section.signals` has a signal of {strangers[0]:g} GeV, at which no limit is set: add the mass "
                "to `masses`, or leave the signal out"
            )
        return self
