"""What a detector is given of events: the columns that it reads, and images or constituents where it asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.config import DetectorSettings, Search
from analysis.errors import ConfigurationError, StageError
from analysis.events import Events
from analysis.stages.searched import as_sample, columns_of
from analysis.validation import corrected
from ml import Detector, Sample, TrainingError, detector_from_settings
from ml.constituent_batches import WantedConstituents
from ml.image_batches import WantedImages


def configured(key: str, type_: str, settings: Mapping[str, Any]) -> Detector:
    """Return an untrained detector; raise ConfigurationError naming the `key` of the search file where it cannot be."""
    try:
        return detector_from_settings(type_, settings)
    except TrainingError as error:
        raise ConfigurationError(corrected(f"`{key}`: {error}")) from error


def first_of(events: Events, most: int | None, dataset: str, key: str) -> Events:
    """Return the first `most` events of a data set, all for None.

    Raises StageError, naming the `key` of the search file that asks for them, where there are fewer.
    """
    if most is None:
        return events
    if len(events) < most:
        raise StageError(
            f"Only {len(events):,} events of {dataset!r} pass the selection, and `{key}` asks for {most:,}: generate "
            f"more (`datasets.{dataset}.recipe.events`), or ask for fewer."
        )
    return events.take(np.arange(len(events)) < most)


def images_wanted(settings: DetectorSettings) -> WantedImages | None:
    """Return the images that a detector with these settings asks for; None where it reads columns alone."""
    return detector_from_settings(settings.type, settings.settings).needs_images


def constituents_wanted(settings: DetectorSettings) -> WantedConstituents | None:
    """Return the constituents that a detector with these settings asks for; None where it needs none itself."""
    return detector_from_settings(settings.type, settings.settings).needs_constituents


def batch_wanted(settings: DetectorSettings) -> WantedImages | WantedConstituents | None:
    """Return what a detector with these settings asks to find in `Sample.batch`; None for nothing."""
    return images_wanted(settings) or constituents_wanted(settings)


def detector_sample(events: Events, settings: DetectorSettings, *, category: np.ndarray | None = None) -> Sample:
    """Return events as a detector sees them; see `as_sample`."""
    return as_sample(events, columns_of(settings), category=category, batch=batch_wanted(settings))


def check_constituents(search: Search, detector: str) -> None:
    """Raise ConfigurationError where a detector wants more constituents than the search keeps, or those of no jet."""
    wanted = constituents_wanted(search.detectors[detector])
    if wanted is None:
        return
    if "j2" in wanted.jets and search.processing.processor == "jet":
        raise ConfigurationError(
            f"The detector {detector!r} learns from constituents of {', '.join(wanted.jets)}, and "
            "`processing.processor: jet` has j1 alone: correct its `jets`."
        )
    if search.processing.constituents < wanted.count:
        clustered = "" if search.processing.jets == "PFCands" else " with `jets: PFCands`, as a file's jets have none"
        raise ConfigurationError(
            f"The detector {detector!r} learns from the {wanted.count} hardest constituents of jets, and the search "
            f"keeps {search.processing.constituents or 'none'}: add `processing: {{constituents: {wanted.count}}}`"
            f"{clustered}."
        )


def check_images(search: Search, detector: str) -> None:
    """Raise ConfigurationError where a detector wants images and the search keeps no constituents to make them of."""
    if images_wanted(search.detectors[detector]) is None or search.processing.constituents:
        return
    clustered = "" if search.processing.jets == "PFCands" else " with `jets: PFCands`, as the jets of a file have none"
    raise ConfigurationError(
        f"The detector {detector!r} learns from images of jets, which are made of their constituents, and the search "
        f"keeps none: add `processing: {{constituents: 200}}`{clustered}. Do not save on the number: soft constituents "
        "move the axis of a jet, and with it every pixel."
    )
