"""Tag N' Train: one object of an event tags, the other one trains; no labels.

Source: Amram, Mantilla Suarez, arXiv:2002.12376. Weak classifiers of each object make samples rich in signal or
in background; a classifier of the other object learns to tell them apart, which is optimal in the limit of many events
if the two objects are independent in background. The new classifiers then tag in their turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.inputs import require_images, tagger_of
from ml.labelled import require_columns
from ml.objects import OBJECTS, Percentiles, jet_names, joint_score, objects_of
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.tagger import refuse_mass
from ml.tagging import Split, parts_of
from ml.tnt_settings import TNTSettings
from ml.tnt_training import Copies, Iterations, Scorer, require_rich
from ml.window import Window

SPLIT = 1_000_000  # key of the seed that shares out events; iterations have the small ones


class TNT(Detector):
    """An event's score joins those of its two objects as `combination` says, see `ml.objects.joint_score`.

    An object's percentile is the share of the training events whose object scores lower (`Scores.objects`).
    `Scores.extras` has the classifiers' own outputs, `first` and `second`. Member i of an event is the same of the i-th
    members of both objects' ensembles, with percentiles those of the whole ensembles; the event's score is not the
    members' mean.

    The table of percentiles is of the mean over copies on the training events. With `scheme: folds` all copies but one
    have seen an event, which lifts signal-rich ones a little: of independent events somewhat fewer than 1 − X lie above
    X. The scores by the copy that has not seen it would be worse: one copy's scatter more than the mean of several.
    """

    scores_objects: ClassVar[bool] = True
    settings_class: ClassVar[type[TNTSettings]] = TNTSettings
    settings: TNTSettings

    def __init__(self, settings: TNTSettings | None = None) -> None:
        self.settings = settings or self.settings_class()
        self.needs_images = self.settings.wanted_images
        self.windowed = self.settings.mass_window and self.settings.iterations > 0
        self._models: list[Copies] = []
        self._percentiles: list[Percentiles] = []

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also features that are missing, constant, NaN or the mass, images that are missing, and
        too few events."""
        super().check(samples, window=window)
        data, settings = samples["data"], self.settings
        self.check_inputs(data)
        parts_of(data.event_id, settings.parts, salt=0)
        names = jet_names(settings.features)
        for own in self.objects(data):
            if settings.inputs == "features":
                refuse_mass(names, own.features(names), own.mass)
            # as many events as train
            settings.weak_detector().check({"data": own.select(np.arange(self._training(len(own))))}, window=None)
        if settings.iterations:
            self._require_tagged(data, window)

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on the sample of role "data"; events of any mass train.

        Returns:
            See `Iterations.run`.

        Raises:
            TrainingError: no window where `mass_window` asks for one, fewer than `ml.window.MIN_EVENTS` events in a
                sample rich in signal or background, negative weights, a feature that is missing, constant or NaN.
        """
        self.check(samples, window=window)
        data, settings = samples["data"], self.settings
        salt = int(np.random.default_rng(child_seed(seeds, SPLIT)).integers(2**62))
        split = Split(
            parts_of(data.event_id, settings.parts, salt=salt), settings.parts, folds=settings.scheme == "folds"
        )
        iterations = Iterations(settings, self.objects(data), split, window if self.windowed else None, seeds, progress)
        self._models, scores, history = iterations.run()
        self._percentiles = [Percentiles.fit(own.astype(np.float32), data.weight) for own in scores]
        return history

    def score(self, sample: Sample) -> Scores:
        """Joint score of every event; see the class, and `Detector.score`."""
        if not self._percentiles:
            raise TrainingError("this detector is not trained: call fit or load first")
        found = [_mean(copies, own) for own, copies in zip(self.objects(sample), self._models, strict=True)]
        outputs, members = zip(*found, strict=True)

        places = self._places(outputs)
        joint = self._joint(self._places(members), members)
        return Scores(
            event=self._joint(places, outputs),
            spread=joint.std(axis=1, ddof=1 if joint.shape[1] > 1 else 0).astype(np.float32),
            objects=np.stack(places, axis=1).astype(np.float32),
            members=joint,
            extras=dict(zip(OBJECTS, outputs, strict=True)),
        )

    def save(self, directory: Path) -> None:
        """`settings.json`, `percentiles.json`, and what the copies save in `first/0`, `first/1`, …, `second/0`, …"""
        if not self._percentiles:
            raise TrainingError("this detector is not trained: there is nothing to save")
        directory = Path(directory)
        for name, copies in zip(OBJECTS, self._models, strict=True):
            for i, copy in enumerate(copies):
                copy.save(directory / name / str(i))
        tables = {name: table.to_dict() for name, table in zip(OBJECTS, self._percentiles, strict=True)}
        (directory / "percentiles.json").write_text(json.dumps(tables))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> TNT:
        """See `Detector.load`."""
        directory = Path(directory)
        detector = cls(load_settings(cls.settings_class, directory))
        tables = json.loads((directory / "percentiles.json").read_text())
        detector._percentiles = [Percentiles.from_dict(tables[name]) for name in OBJECTS]
        detector._models = [
            [
                detector._loaded(folder)
                for folder in sorted((directory / name).iterdir(), key=lambda path: int(path.name))
            ]
            for name in OBJECTS
        ]
        return detector

    def _places(self, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Percentiles of both objects' outputs."""
        return [table.apply(own) for table, own in zip(self._percentiles, outputs, strict=True)]

    def _joint(self, places: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> np.ndarray:
        return joint_score(places, outputs, combination=self.settings.combination).astype(np.float32)

    def _loaded(self, folder: Path) -> Scorer:
        if not self.settings.iterations:
            return type(self.settings.weak_detector()).load(folder)
        tagger = tagger_of(self.settings.tagger)
        tagger.load(folder)
        return tagger

    def objects(self, sample: Sample) -> tuple[Sample, Sample]:
        """Both objects of every event, with their images where these are the inputs; see `ml.objects.objects_of`."""
        settings = self.settings
        images = settings.inputs == "images"
        return objects_of(sample, settings.quantities, order=settings.object_order, images=images)

    def check_inputs(self, data: Sample) -> None:
        """Raise TrainingError for columns that are missing, constant or NaN, and for images that are missing."""
        require_columns({"data": data}, self.settings.columns)
        if self.needs_images is not None:
            require_images({"data": data}, self.needs_images.jets)

    def _training(self, events: int) -> int:
        """How many of so many events train a classifier, about."""
        parts = self.settings.parts
        return events - events // parts if self.settings.scheme == "folds" else events // parts

    def _require_tagged(self, data: Sample, window: Window | None) -> None:
        """Raise TrainingError where the samples rich in signal or in background would be too small."""
        events = inside = self._training(len(data))
        if self.windowed:
            if window is None:
                raise TrainingError(
                    "Tag N' Train with `mass_window` needs a signal window: give a window, or set mass_window to false"
                )
            masses = window.in_signal(data.mass)
            if not masses.any():
                raise TrainingError(
                    f"no events in the signal window ({window.signal[0]:g}, {window.signal[1]:g}) GeV: masses run from "
                    f"{np.min(data.mass):g} to {np.max(data.mass):g} GeV; move the window"
                )
            inside = self._training(int(masses.sum()))
        fractions = [self.settings.fractions(i + 1) for i in range(self.settings.iterations)]
        for name, count in (("signal", inside), ("background", events)):
            expected = count * min(own[f"{name}_fraction"] for own in fractions)
            require_rich(name, expected, what="each iteration", mass=self.windowed)


def _mean(copies: Copies, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n_events,) and those of each member (n_events, n_members), both the mean over copies, float32."""
    found = [copy.score(sample) for copy in copies]
    members = [one.event[:, None] if one.members is None else one.members for one in found]
    event = np.mean([np.asarray(one.event, np.float64) for one in found], axis=0)
    return event.astype(np.float32), np.mean(np.stack(members).astype(np.float64), axis=0).astype(np.float32)
