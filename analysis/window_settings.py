"""What a search file may say about signal windows: one, or many that slide over the spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from analysis.settings import Interval, Model
from analysis.statistics_settings import LEAST_GEV

_SLIDING = ("start", "stop", "step", "width", "sideband")


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

    @property
    def bands(self) -> tuple[Interval, ...]:
        """The window and its sidebands: what a detector trains on."""
        return (self.signal, *self.sidebands)


class SlidingWindows(Model):
    """Signal windows that slide from `start` to `stop` (GeV of m_jj), their sidebands with them; or `each` by itself.

    Every window is `width` wide, and `step` above the last; the last ends at `stop` or below. Beside it lie bands of
    the width `validation`, kept out of training, and outside these the sidebands. With `relative: true` the four are
    fractions of the mass in the middle of the window, and edges are rounded to GeV.
    """

    start: float | None = Field(None, gt=0)
    stop: float | None = Field(None, gt=0)
    step: float | None = Field(None, gt=0)
    width: float | None = Field(None, gt=0)
    sideband: float | None = Field(None, gt=0)
    validation: float = Field(0.0, ge=0)
    relative: bool = False
    each: tuple[WindowSettings, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, content: Any) -> Any:
        """Take a list as that of the windows."""
        listed = isinstance(content, Sequence) and not isinstance(content, str)
        return {"each": content} if listed else content

    @model_validator(mode="after")
    def _possible(self) -> SlidingWindows:
        given = [name for name in _SLIDING if getattr(self, name) is not None]
        if self.each:
            if given or self.validation or self.relative:
                raise ValueError("`each` lists the windows themselves: leave the other keys out")
        elif len(given) < len(_SLIDING):
            missing = ", ".join(f"`{name}`" for name in _SLIDING if name not in given)
            raise ValueError(f"windows that slide need {missing}, too; or list every window under `each`")
        else:
            self._check_widths()
        signals = [window.signal for window in self.windows()]
        if len(set(signals)) < len(signals):
            raise ValueError("the same signal window is listed twice, or less than a GeV apart: every window is one")
        return self

    def _check_widths(self) -> None:
        for name in ("step", "width", "sideband", "validation"):
            value = getattr(self, name)
            if self.relative and value >= 1:
                raise ValueError(f"`{name}: {value:g}` is relative to the mass with `relative: true`: give less than 1")
            if not self.relative and 0 < value < LEAST_GEV:
                raise ValueError(f"`{name}: {value:g}` GeV is narrower than any window; did you mean `relative: true`?")
            if self.relative and 0 < value * (self.start or 0.0) < LEAST_GEV:
                raise ValueError(f"`{name}: {value:g}` of a mass of {self.start:g} GeV is less than a GeV: take more")
        found = self.windows()
        if not found:
            raise ValueError(
                f"no window {self.width:g}{' of its mass' if self.relative else ' GeV'} wide fits between "
                f"{self.start:g} and {self.stop:g} GeV: take a smaller `width`, or move `start` and `stop` apart"
            )
        lowest = min(low for low, _ in found[0].sidebands)
        if lowest <= 0:
            raise ValueError(f"the lowest sideband begins at {lowest:g} GeV: raise `start`, or narrow the sidebands")

    def windows(self) -> tuple[WindowSettings, ...]:
        """Return every window with its sidebands, from the lowest mass to the highest."""
        if self.each:
            return self.each
        # all five are given: the model demands it
        start, stop, step, width = (float(getattr(self, name)) for name in _SLIDING[:4])
        middle, found = start / (1 - width / 2) if self.relative else start + width / 2, []
        while middle + self._part(width, middle) / 2 <= stop * (1 + 1e-12):
            found.append(self._window(middle))
            middle += self._part(step, middle)
        return tuple(found)

    def _part(self, value: float, middle: float) -> float:
        return value * middle if self.relative else value

    def _window(self, middle: float) -> WindowSettings:
        half, apart, beside = (self._part(v or 0.0, middle) for v in (self.width, self.validation, self.sideband))
        half /= 2
        edges = [middle + side * (half + away) for side in (-1, 1) for away in (0.0, apart, apart + beside)]
        low, low_apart, lowest, high, high_apart, highest = (round(e, 0 if self.relative else 9) for e in edges)
        validation = ((low_apart, low), (high, high_apart)) if apart else ()
        return WindowSettings(
            signal=(low, high), sidebands=((lowest, low_apart), (high_apart, highest)), validation=validation
        )


def window_names(windows: Sequence[WindowSettings]) -> list[str]:
    """Return short names: by the mass in the middle, with both ends where that is not enough to tell them apart.

    >>> window_names([WindowSettings(signal=(3100, 3500)), WindowSettings(signal=(3300, 3700))])
    ['w3300', 'w3500']
    """
    names = [f"w{sum(window.signal) / 2:.0f}" for window in windows]
    if len(set(names)) == len(names):
        return names
    return [f"w{window.signal[0]:g}-{window.signal[1]:g}" for window in windows]


def slid(detectors: Mapping[str, Any], sliding: SlidingWindows) -> dict[str, Any]:
    """Return detectors (by name) with one for each window in the place of everyone that slides.

    Those do that have no window of their own, learn without labels, and are searched with. Raises ValueError where two
    would have the same name, and where none slides.
    """
    windows = sliding.windows()
    found: dict[str, Any] = {}
    for name, settings in detectors.items():
        own = {name: settings}
        if slides(settings):
            own = {
                f"{name}-{suffix}": settings.model_copy(update={"window": window, "family": name})
                for suffix, window in zip(window_names(windows), windows, strict=True)
            }
        taken = set(own) & {*found, *detectors} - {name}
        if taken:
            raise ValueError(f"{min(taken)!r} is the name of {name!r} in one of the `windows`: rename the other one")
        found |= own
    if detectors and not any(settings.family for settings in found.values()):
        raise ValueError(
            "`windows` slide no detector: each has a window of its own, needs truth labels, or says `search: false`; "
            "give a `window` instead"
        )
    return found


def slides(settings: Any) -> bool:
    """Return whether a detector takes every window of `windows` in turn."""
    return settings.window is None and settings.search and windowed(settings) and not needs_labels(settings.type)


def needs_labels(type_: str) -> bool:
    """Return whether detectors of a type train on truth; False for an unknown type, which is told elsewhere."""
    return _has(type_, "uses_labels", unknown=False)


def windowed(settings: Any) -> bool:
    """Return whether a detector learns from a window, which its settings may decide; True for an unknown type."""
    from ml import TrainingError, detector_from_settings

    try:
        return detector_from_settings(settings.type, settings.settings).windowed
    except TrainingError:  # told elsewhere, and better
        return _has(settings.type, "windowed", unknown=True)


def cross_fitted(type_: str) -> bool:
    """Return whether events must be scored by folds that never trained on them; True for an unknown type."""
    return _has(type_, "cross_fitted", unknown=True)


def _has(type_: str, attribute: str, *, unknown: bool) -> bool:
    from ml import TrainingError, detector_class

    try:
        return bool(getattr(detector_class(type_)[0], attribute))
    except TrainingError:
        return unknown
