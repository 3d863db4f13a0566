"""Tag N' Train: one object of an event tags, the other one trains; no labels.

Source: Amram, Mantilla Suarez, arXiv:2002.12376. Weak classifiers of each object make samples rich in signal or
in background; a classifier of the other object learns to tell them apart, which is optimal in the limit of many events
if the two objects are independent in background. The new classifiers then tag in their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.inputs import require_images, tagger_of
from ml.labelled import require_columns
from ml.objects import OBJECTS, jet_names, joint_score, objects_of
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.tagger import refuse_mass
from ml.tagging import Split, parts_of
from ml.tnt_settings import TNTSettings
from ml.tnt_training import Copies, Iteration, Iterations, Scorer, numbered, require_rich
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
        self._done: list[Iteration] = []

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also features that are missing, constant, NaN or the mass, images that are missing, and
        too few events."""
        super().check(samples, window=window)
        data, settings = samples["data"], self.settings
        self.check_inputs(data)
        parts_of(data.event_id, settings.parts, salt=0)
        weak = settings.weak_detector()
        names = tuple(dict.fromkeys((*jet_names(settings.features), *weak.settings.columns)))
        for own in self.objects(data):
            if settings.inputs == "features":
                refuse_mass(names, own.features(names), own.mass)
            # as many events as train
            weak.check({"data": own.select(np.arange(self._training(len(own))))}, window=None)
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
        self._done, history = iterations.run()
        return history

    def score(self, sample: Sample) -> Scores:
        """Joint score of every event; see the class, and `Detector.score`."""
        if not self._done:
            raise TrainingError("this detector is not trained: call fit or load first")
        found = [_mean(copies, own) for own, copies in zip(self.objects(sample), self._done[-1].copies, strict=True)]
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
        """`settings.json`, and every iteration in a folder of its number, see `Iteration.save`."""
        if not self._done:
            raise TrainingError("this detector is not trained: there is nothing to save")
        directory = Path(directory)
        for number, iteration in enumerate(self._done):
            iteration.save(directory / str(number))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> TNT:
        """See `Detector.load`."""
        directory = Path(directory)
        detector = cls(load_settings(cls.settings_class, directory))
        scorers = detector._scorers()
        detector._done = [
            Iteration.load(folder, scorer) for folder, scorer in zip(numbered(directory), scorers, strict=True)
        ]
        return detector

    def variant(self, settings: TNTSettings) -> TNT:
        """What this detector's first `settings.iterations` iterations make with `settings.combination`.

        Raises:
            TrainingError: settings that differ in anything else, or more iterations than there are.
        """
        own, theirs = asdict(self.settings), asdict(settings)
        other = sorted(key for key in own if own[key] != theirs[key] and key not in ("iterations", "combination"))
        if other:
            raise TrainingError(
                f"{', '.join(other)}: a variant of a training differs from it in `iterations` and `combination` alone"
            )
        if settings.iterations > self.settings.iterations:
            raise TrainingError(
                f"iterations: {settings.iterations} of a training that has {self.settings.iterations}; give that more, "
                "or this fewer"
            )
        found = type(self)(settings)
        found._done = self._done[: settings.iterations + 1]
        return found

    def variant_history(self, history: History) -> History:
        """See `Detector.variant_history`: as many iterations as this detector has."""
        numbers = range(self.settings.iterations + 1)
        return History(
            losses={name: rows[: len(numbers)] for name, rows in history.losses.items()},
            parts={str(number): history.parts[str(number)] for number in numbers},
        )

    def _places(self, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Percentiles of both objects' outputs."""
        return [table.apply(own) for table, own in zip(self._done[-1].percentiles, outputs, strict=True)]

    def _joint(self, places: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> np.ndarray:
        return joint_score(places, outputs, combination=self.settings.combination).astype(np.float32)

    def _scorers(self) -> list[Callable[[Path], Scorer]]:
        """What reads a copy of each iteration."""
        weak = self.settings.weak_detector()
        return [type(weak).load, *[self._tagger] * self.settings.iterations]

    def _tagger(self, folder: Path) -> Scorer:
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
