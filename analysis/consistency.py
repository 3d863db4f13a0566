"""What the parts of a search file ask of each other; every violation is a ValueError that names the keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.settings import DIJET_CUTS
from analysis.variants import check_variants
from analysis.window_checks import check_windows

if TYPE_CHECKING:
    from analysis.config import Search

CONTROLS = ("sidebands", "simulation", "searched")  # of an F-test, that are no data sets
SAME_WORD = 0.85  # similarity from which a word is a misspelling


def check(search: Search) -> None:
    """Raise ValueError, naming key and remedy, for the first thing that does not fit together."""
    for one in (
        _data, _processor, _needs, _selections, _controls, _misspelt, _masses, _hunt_windows, _templates, _no_mixtures,
        _windows, _variations,
    ):  # fmt: skip
        one(search)
    check_windows(search)
    check_variants(search)


def _data(search: Search) -> None:
    if not search.data and search.adversarial is None and search.jet_tagging is None:
        raise ValueError("`data` names no sample to search in: give a mixture or a data set")


def _processor(search: Search) -> None:
    """Check that the processor makes what the search reads, and that no cut is given that it does not make."""
    if search.processing.processor == "ttbar" and search.data:
        raise ValueError(
            "`processing.processor: ttbar` makes top pairs, and `data` is searched for dijets: leave `data` out and "
            "have `adversarial` alone, or leave the processor out"
        )
    if search.processing.processor == "ttbar" and search.processing.variations:
        raise ValueError(
            "`processing.variations` shift the energy scale of dijets: top pairs have `processing.smearings`, in widths"
        )
    if search.processing.processor == "jet":
        _single_jets(search)


def _single_jets(search: Search) -> None:
    """Check that a search of single jets asks for nothing that only dijets have."""
    ignored = [cut for cut in DIJET_CUTS if cut in search.processing.model_fields_set]
    if ignored:
        raise ValueError(
            f"`processing.{ignored[0]}` cuts on dijets, and `processing.processor: jet` has cuts of its own: give them "
            "under `processing.jet`"
        )
    asked = [key for key in ("spectrum", "abcd", "latent", "adversarial") if getattr(search, key)]
    if asked:
        raise ValueError(
            f"`{asked[0]}` does not go with `processing.processor: jet`, whose events have one jet: leave either out"
        )


def _needs(search: Search) -> None:
    if (search.bump_hunt or search.limits) and search.spectrum is None:
        raise ValueError("`bump_hunt` and `limits` need a `spectrum`")
    if search.limits and not search.bump_hunt:
        raise ValueError("`limits` are set on the spectra of the `bump_hunt`: give both")
    if search.validation is not None and search.bump_hunt is None:
        raise ValueError("`validation` doubts the background of the `bump_hunt`: give both")


def _selections(search: Search) -> None:
    for key, settings in (("limits", search.limits), ("validation", search.validation)):
        unknown = set(settings.selections if settings else ()) - {1.0, *search.efficiencies}
        if unknown:
            raise ValueError(
                f"`{key}.selections` asks for {min(unknown):g}, which is not among `efficiencies` (nor 1, the "
                "inclusive spectrum): add it there"
            )
    names = [settings.name for settings in search.abcd]
    if len(set(names)) < len(names) or set(names) & set(search.detectors):
        raise ValueError("every entry of `abcd` needs a `name` of its own, that is no detector's: rename one")


def _controls(search: Search) -> None:
    """Check that what the background is chosen and doubted with is there."""
    spectrum, checks = search.spectrum, search.validation
    if spectrum is None:
        return
    asks = spectrum.parameters == "f-test" or (checks is not None and checks.f_test)
    if spectrum.order.control == "sidebands" and spectrum.parameters == "f-test" and search.window is None:
        raise ValueError("`spectrum.order.control: sidebands` needs a `window` whose signal interval is left out")
    spurious = checks.spurious_signal if checks else None
    needed = [
        *(["spectrum.order.control"] if asks and spectrum.order.control == "simulation" else []),
        *(["validation.spurious_signal.template"] if spurious and spurious.template == "simulation" else []),
    ]
    if needed and search.simulation is None:
        raise ValueError(f"`{needed[0]}: simulation` needs a `simulation`")


def _misspelt(search: Search) -> None:
    """Check that the control spectrum is no misspelling of a word; whether a data set exists, the catalogue knows."""
    name = search.spectrum.order.control if search.spectrum else CONTROLS[0]
    if name in (*CONTROLS, *search.datasets, *search.data, search.simulation) or not name.isalpha():
        return
    close = difflib.get_close_matches(name, CONTROLS, n=1, cutoff=SAME_WORD)
    if close:
        raise ValueError(
            f"`spectrum.order.control: {name}`: There is no data set {name!r} in the search; did you mean "
            f"{close[0]!r}? A data set of the catalogue that is called so has to be listed under `datasets`"
        )


def _hunt_windows(search: Search) -> None:
    """Check that every window of the BumpHunter leaves half of the spectrum beside it."""
    if search.spectrum is None or search.bump_hunt is None:
        return
    widest, bins = max(search.bump_hunt.windows.widths, default=0), search.spectrum.n_bins
    if widest > bins // 2:
        raise ValueError(
            f"`bump_hunt.windows.widths`: a window of {widest} bins covers more than half of the spectrum, which has "
            f"{bins}: take {bins // 2} at most, or narrower bins"
        )


def _masses(search: Search) -> None:
    """Check that all masses lie inside the spectrum."""
    spectrum, checks = search.spectrum, search.validation
    if spectrum is None:
        return
    asked = {
        "bump_hunt.masses": search.bump_hunt.masses.values() if search.bump_hunt else [],
        "bump_hunt.fixed.mass": _fixed(search),
        "limits.masses": search.limits.masses if search.limits else [],
        "validation.bias.masses": checks.bias.masses if checks and checks.bias else [],
        "validation.injection.mass": [checks.injection.mass] if checks and checks.injection else [],
    }
    for key, masses in asked.items():
        outside = [mass for mass in masses if not spectrum.start < mass < spectrum.end]
        if outside:
            last = "" if spectrum.end == spectrum.stop else ", where its last whole bin ends"
            raise ValueError(
                f"`{key}`: the mass {outside[0]:g} GeV lies outside the spectrum ({spectrum.start:g} to "
                f"{spectrum.end:g} GeV{last}); leave it out or widen the spectrum"
            )


def _fixed(search: Search) -> list[float]:
    return [search.bump_hunt.fixed.mass] if search.bump_hunt and search.bump_hunt.fixed else []


def _templates(search: Search) -> None:
    """Check that simulated signals span the masses that are asked for."""
    hunt, limits = search.bump_hunt, search.limits
    asked = [
        *([("bump_hunt", "masses", hunt.masses.values(), hunt.templates)] if hunt else []),
        *([("bump_hunt", "fixed.mass", _fixed(search), hunt.templates)] if hunt else []),
        *([("limits", "masses", list(limits.masses), limits.templates)] if limits else []),
    ]
    for key, where, masses, templates in asked:
        beyond = [mass for mass in masses if templates and not min(templates) <= mass <= max(templates)]
        if beyond:
            raise ValueError(
                f"`{key}.{where}`: {beyond[0]:g} GeV lies beyond the simulated signals of `{key}.templates` "
                f"({min(templates):g} to {max(templates):g} GeV), which are not extrapolated: simulate it too, or "
                "leave it out"
            )


def _no_mixtures(search: Search) -> None:
    """Check that data sets stand where a mixture has no meaning."""
    asked = {"spectrum.order.control": search.spectrum.order.control if search.spectrum else ""}
    if search.bump_hunt:
        asked |= _named("bump_hunt.templates", search.bump_hunt.templates)
    if search.limits:
        asked |= _named("limits.templates", search.limits.templates)
    if search.limits and search.limits.cross_section:
        asked |= _named("limits.cross_section.signals", search.limits.cross_section.signals)
    asked |= {f"abcd.{one.name}.signal": one.signal or "" for one in search.abcd}
    for key, name in asked.items():
        if name in search.mixtures:
            raise ValueError(f"`{key}: {name}` names a mixture; name a data set of the catalogue")


def _named(key: str, signals: Mapping[float, str]) -> dict[str, str]:
    return {f"{key}.{mass:g}": name for mass, name in signals.items()}


def _variations(search: Search) -> None:
    """Check that the shape uncertainties of limits are variations that are processed, and have limits to act on."""
    limits = search.limits
    asked = limits.systematics.variations if limits is not None else {}
    for name, pair in asked.items():
        known = {**search.processing.variations, **search.processing.smearings}
        missing = [one for one in pair if one not in known]
        if missing:
            raise ValueError(
                f"`limits.systematics.variations.{name}` names {missing[0]!r}, which is none of "
                f"`processing.variations` and `smearings`: {', '.join(known) or 'there are none'}"
            )
    if asked and limits is not None and (limits.cross_section is None or limits.cross_section.shape != "simulation"):
        raise ValueError(
            "`limits.systematics.variations` move simulated signals, which only limits in fb have: give "
            "`limits.cross_section` with `shape: simulation`, or leave them out"
        )


def _windows(search: Search) -> None:
    if search.window is None and any(mixture.of == "window" for mixture in search.mixtures.values()):
        raise ValueError("a mixture with `of: window` needs a `window`")
    if search.window is None and any(settings.window for settings in search.abcd):
        raise ValueError("an `abcd` estimate with `window: true` needs a `window`")
