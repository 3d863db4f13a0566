"""Detectors that are made from another one's training: what they inherit, and what they may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from analysis.validation import nearest

if TYPE_CHECKING:
    from analysis.config import DetectorSettings, Search

INHERITED = ("type", "folds", "window", "simulation")
"""Keys of a detector that its variants share."""


def inherited(detectors: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what detectors with `of` leave out, from the one they name; content as it is read from a file.

    A null in the place of a detector leaves it out, as a scale may.

    Raises:
        ValueError: `of` names none of the detectors, or one that has `of` itself.
    """
    kept = {name: content for name, content in detectors.items() if content is not None}
    return {name: _filled(name, content, kept) for name, content in kept.items()}


def _filled(name: str, content: Any, detectors: Mapping[str, Any]) -> Any:
    if not _is_variant(content):
        return content
    of = str(content["of"])
    if of not in detectors:
        bases = [str(one) for one, content in detectors.items() if not _is_variant(content)]
        raise ValueError(f"`{name}.of`: there is no detector {of!r}, or it is left out (null){nearest(of, bases)}")
    if of == name:
        raise ValueError(f"`{name}.of` names {name!r} itself: name the detector whose training it is made from")
    base = detectors[of]
    if not isinstance(base, Mapping):
        return content
    if _is_variant(base):
        raise ValueError(f"`{name}.of`: {of!r} is itself made from {base['of']!r}: name that one")
    shared = {key: base[key] for key in INHERITED if key in base}
    given, own = base.get("settings") or {}, content.get("settings") or {}
    if not isinstance(given, Mapping) or not isinstance(own, Mapping):
        return content
    return {**shared, **content, "settings": {**given, **own}}


def _is_variant(content: Any) -> bool:
    return isinstance(content, Mapping) and content.get("of") is not None


def check_variants(search: Search) -> None:
    """Raise ValueError for a detector with `of` that would need a training of its own."""
    for name, settings in search.detectors.items():
        if settings.of is not None:
            if search.windows is not None:
                raise ValueError(f"`detectors.{name}.of` does not go with `windows`: leave one of them out")
            _check(name, settings, search.detectors[settings.of])


def _check(name: str, settings: DetectorSettings, base: DetectorSettings) -> None:
    from ml import TrainingError, detector_from_settings

    other = [key for key in (*INHERITED, "repeats") if getattr(settings, key) != getattr(base, key)]
    if other:
        raise ValueError(
            f"`detectors.{name}.{other[0]}` is not that of {settings.of!r}, whose training it is made from: leave "
            f"`{other[0]}` out, or `of`"
        )
    try:
        trained = detector_from_settings(base.type, base.settings)
        wanted = detector_from_settings(settings.type, settings.settings)
    except TrainingError:
        return  # said elsewhere, with the name of the detector
    try:
        trained.variant(wanted.settings)
    except TrainingError as error:
        raise ValueError(f"`detectors.{name}`, which is made from the training of {settings.of!r}: {error}") from error
