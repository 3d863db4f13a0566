"""What signal windows ask of the rest of a search file; every violation is a ValueError that names the keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from analysis.window_settings import WindowSettings, needs_labels, windowed

if TYPE_CHECKING:
    from analysis.config import Search


def check_windows(search: Search) -> None:
    """Raise ValueError, naming key and remedy, for the first thing that does not fit together."""
    for one in (_every_detector_has_one, _inside_the_spectrum, _above_the_cut, _can_be_hunted, _scores, _limits):
        one(search)


def _named(search: Search) -> Iterator[tuple[str, WindowSettings]]:
    """Yield all windows, each with the key that it comes from."""
    if search.window is not None:
        yield "`window`", search.window
    for name, settings in search.detectors.items():
        if settings.window is not None:
            place = f"`windows` (for {name!r})" if settings.family else f"`detectors.{name}.window`"
            yield place, settings.window


def _every_detector_has_one(search: Search) -> None:
    if search.window is not None:
        return
    without = [name for name, one in search.detectors.items() if one.window is None and windowed(one)]
    if without and search.windows is not None:
        raise ValueError(
            f"the detector {without[0]!r} does not slide over the `windows`, as it needs truth labels or says `search: "
            "false`: give it, or the search, a `window`"
        )
    if without:
        raise ValueError("`detectors` need a `window` with its sidebands, or `windows` that slide")


def _inside_the_spectrum(search: Search) -> None:
    spectrum = search.spectrum
    if spectrum is None:
        return
    for key, window in _named(search):
        low, high = window.signal
        if low < spectrum.start or high > spectrum.stop:
            raise ValueError(
                f"{key}: the signal window {low:g} to {high:g} GeV lies outside the spectrum ({spectrum.start:g} to "
                f"{spectrum.stop:g} GeV)"
            )


def _above_the_cut(search: Search) -> None:
    """Check that no band lies wholly where the processor leaves nothing; what the data hold, training tells."""
    cut = search.processing.min_mjj or 0.0
    for key, window in _named(search):
        for low, high in window.bands:
            if high <= cut:
                raise ValueError(
                    f"{key}: the band {low:g} to {high:g} GeV lies below `processing.min_mjj` ({cut:g} GeV), where "
                    "no event is: move the window up, or lower the cut"
                )


def _can_be_hunted(search: Search) -> None:
    """Check that every window holds a mass to look for, by the one statistic that looks at masses."""
    hunt = search.bump_hunt
    if hunt is None or not search.families:
        return
    if hunt.statistic == "bumphunter":
        raise ValueError(
            "`bump_hunt.statistic: bumphunter` looks at all bins of a spectrum, while a selection in one of the "
            "`windows` is hunted only there: take `likelihood`"
        )
    for name, settings in search.detectors.items():
        if settings.family is None or settings.window is None:
            continue
        low, high = settings.window.signal
        if not any(low <= mass < high for mass in hunt.masses.values()):
            raise ValueError(
                f"`bump_hunt.masses` has none inside the window {low:g} to {high:g} GeV of {name!r}, which would never "
                "be hunted in: take a smaller `step`, or leave that window out of `windows`"
            )


def _scores(search: Search) -> None:
    """Check that no estimate from two scores names a detector that slides."""
    families = search.families
    for settings in search.abcd:
        for key, name in (("first", settings.first), ("second", settings.second)):
            if (family := name.removeprefix("-").partition(".")[0]) in families:
                raise ValueError(
                    f"`abcd.{settings.name}.{key}: {name}` slides over the `windows`: name one of its windows, such as "
                    f"{families[family][0]!r}, or give the detector a `window` of its own"
                )


def _limits(search: Search) -> None:
    """Check that every limit has a spectrum to be set on: selections in windows have only those inside."""
    limits, families = search.limits, search.families
    if limits is None or not families:
        return
    searched = [one for one in search.detectors.values() if one.search and not needs_labels(one.type)]
    if not limits.selections or 1.0 in limits.selections or any(one.family is None for one in searched):
        return
    signals = [one.window.signal for one in searched if one.window is not None]
    outside = [mass for mass in limits.masses if not any(low <= mass < high for low, high in signals)]
    if outside:
        raise ValueError(
            f"`limits.masses`: {outside[0]:g} GeV lies inside none of the `windows`, and limits on their selections "
            "are set only there: leave it out, or add 1, the inclusive spectrum, to `limits.selections`"
        )
