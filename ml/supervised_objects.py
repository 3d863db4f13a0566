"""The labelled upper bound of Tag N' Train: a classifier of each object told the truth, joined as its own are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.detector import Detector, History, Progress, child_seed
from ml.errors import TrainingError
from ml.inputs import tagger_of
from ml.objects import OBJECTS, Percentiles
from ml.preprocessing import balanced_weights
from ml.sample import Sample
from ml.tagging import POOR, RICH
from ml.tnt import TNT
from ml.tnt_settings import TNTSettings
from ml.tnt_training import Copies, Iteration, Scorer
from ml.window import Window


@dataclass(frozen=True)
class SupervisedObjectsSettings(TNTSettings):
    """Tag N' Train's inputs, order, combination and classifier. What belongs to iterations and tags is not read, and
    refused where it differs from its default."""

    UNREAD: ClassVar[tuple[str, ...]] = (
        "weak",
        "iterations",
        "signal_fractions",
        "background_fraction",
        "scheme",
        "inner_folds",
        "tag_with",
        "mass_window",
        "pt_reweighting",
        "soft_labels",
    )

    def _check_tags(self) -> None:
        if names := self.changed(self.UNREAD):
            raise TrainingError(
                f"{', '.join(names)}: without effect on a labelled reference, which trains on the true categories and "
                "tags nothing; leave out what differs from its default"
            )

    @property
    def tag_quantities(self) -> tuple[str, ...]:
        """Nothing: there are no tags."""
        return ()


class SupervisedObjects(TNT):
    """One classifier per object of signal against background by `Sample.category`, and joint percentiles.

    What the paper calls supervised, separate (arXiv:2002.12376, figure 2): what Tag N' Train could reach at best.
    """

    uses_labels: ClassVar[bool] = True
    class_names: ClassVar[Mapping[int, str]] = {POOR: "background", RICH: "signal"}
    settings_class: ClassVar[type[TNTSettings]] = SupervisedObjectsSettings
    settings: SupervisedObjectsSettings

    def __init__(self, settings: SupervisedObjectsSettings | None = None) -> None:
        super().__init__(settings)
        self.windowed = False

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also columns and images that are missing, and classes."""
        data = self.role(samples, "data")
        self.check_inputs(data)
        if data.category is None:
            raise TrainingError("the supervised reference needs the category of each event (1 signal, 0 background)")
        for label, name in ((1, "signal"), (0, "background")):
            if not (data.category == label).any():
                raise TrainingError(
                    f"no {name} events (category {label}) among {len(data)}: the supervised reference needs both "
                    f"classes; add {name} to the sample, or leave the reference out"
                )

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on the labelled events of role "data", of any mass.

        Object k draws from the child of `seeds` with key k. Percentiles are those of the background: references train
        on far more signal than there is in the data.

        Raises:
            TrainingError: no labels, or one class missing; negative weights; a feature that is missing, constant or
                NaN.
        """
        self.check(samples, window=window)
        data = samples["data"].select(np.isin(np.asarray(samples["data"].category), (0, 1)))
        category = np.asarray(data.category, dtype=np.int64)
        background = category == 0
        copies: list[Copies] = []
        percentiles, parts = [], {}
        for k, own in enumerate(self.objects(data)):
            classes = self.classes(category, seeds, k)
            chosen = np.isin(classes, (POOR, RICH))
            labels = classes[chosen]
            weights = balanced_weights(data.weight[chosen], labels, {POOR: 0.5, RICH: 0.5}, names=self.class_names)
            tagger = tagger_of(self.settings.tagger)
            report = None if progress is None else _half(progress, k)
            parts[OBJECTS[k]] = tagger.fit(
                own.select(chosen), labels, weights, seeds=child_seed(seeds, k), progress=report
            )
            copies.append([tagger])
            scores = tagger.score(own.select(background)).event
            percentiles.append(Percentiles.fit(scores, data.weight[background]))
        self._done = [Iteration(percentiles, copies)]
        return History(parts=parts, seconds=sum(part.seconds for part in parts.values()))

    def variant(self, settings: TNTSettings) -> SupervisedObjects:
        """There are none: this detector has no iterations; see `Detector.variant`."""
        return Detector.variant(self, settings)

    def _scorers(self) -> list[Callable[[Path], Scorer]]:
        return [self._tagger]

    def classes(self, category: np.ndarray, seeds: np.random.SeedSequence, k: int) -> np.ndarray:
        """RICH, POOR or NEITHER, (n_events,), for each event that may train object k: here its category.

        Args:
            category: (n_events,) 1 for signal, 0 for background.
            seeds: those of `fit`.
            k: 0 or 1.
        """
        return category


def _half(progress: Progress, k: int) -> Progress:
    return lambda fraction, text: progress((k + fraction) / 2, f"{OBJECTS[k]} object: {text}")
