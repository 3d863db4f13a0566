"""The labelled upper bound of Tag N' Train: a classifier of each object told the truth, joined as its own are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ml.detector import History, Progress, child_seed
from ml.errors import TrainingError
from ml.inputs import tagger_of
from ml.objects import OBJECTS, Percentiles
from ml.preprocessing import balanced_weights
from ml.sample import Sample
from ml.tnt import TNT
from ml.tnt_settings import TNTSettings
from ml.window import Window


class SupervisedObjects(TNT):
    """One classifier per object of signal against background by `Sample.category`, and joint percentiles.

    What the paper calls supervised, separate (arXiv:2002.12376, figure 2): what Tag N' Train could reach at best. Of
    the settings those of inputs, order and classifier count.
    """

    uses_labels: ClassVar[bool] = True

    def __init__(self, settings: TNTSettings | None = None) -> None:
        super().__init__(settings)
        if not self.settings.iterations:
            raise TrainingError("supervised_objects has no weak classifiers: `iterations` cannot be 0")
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
        labels = np.asarray(data.category, dtype=np.int64)
        names = {0: "background", 1: "signal"}
        weights = balanced_weights(data.weight, labels, {0: 0.5, 1: 0.5}, names=names)
        self._models, self._percentiles, parts = [], [], {}
        background = labels == 0
        for k, own in enumerate(self.objects(data)):
            tagger = tagger_of(self.settings.tagger)
            report = None if progress is None else _half(progress, k)
            parts[OBJECTS[k]] = tagger.fit(own, labels, weights, seeds=child_seed(seeds, k), progress=report)
            self._models.append([tagger])
            scores = tagger.score(own.select(background)).event
            self._percentiles.append(Percentiles.fit(scores, data.weight[background]))
        return History(parts=parts, seconds=sum(part.seconds for part in parts.values()))


def _half(progress: Progress, k: int) -> Progress:
    return lambda fraction, text: progress((k + fraction) / 2, f"{OBJECTS[k]} object: {text}")
