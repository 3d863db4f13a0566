"""What every anomaly detector is: something that fits samples and scores events."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ml.ensembles import truncated_mean
from ml.errors import TrainingError
from ml.sample import Sample
from ml.window import Window

if TYPE_CHECKING:
    from ml.constituent_batches import WantedConstituents
    from ml.image_batches import WantedImages

__all__ = ["Detector", "History", "Progress", "Sample", "Scores", "TrainingError", "Window", "child_seed"]

Progress = Callable[[float, str], None]
"""Called now and then with the finished fraction, 0 to 1, and what is being done."""

D = TypeVar("D", bound="Detector")


@dataclass(frozen=True)
class Scores:
    """Anomaly scores; larger is more anomalous.

    Attributes:
        event: (n_events,) float32.
        spread: (n_events,) float32, standard deviation over the members of the ensemble.
        objects: (n_events, 2) float32, one score for each of two objects, or None.
        members: (n_events, n_members) float32, what `event` averages, or None.
        extras: further named arrays, (n_events,) each.
    """

    event: np.ndarray
    spread: np.ndarray
    objects: np.ndarray | None = None
    members: np.ndarray | None = None
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def from_members(cls, members: np.ndarray, *, truncation: float = 0.0) -> Scores:
        """Mean and spread of member scores (n_members, n_events); the mean of outputs, not of ranks or logits.

        `truncation` is the share of members left out at either end, see `ml.ensembles.truncated_mean`; the spread is
        that of all members. Raises TrainingError for scores that are not finite.
        """
        exact = np.asarray(members, dtype=np.float64)
        bad = ~np.isfinite(exact).all(axis=1)
        if bad.any():
            member = int(np.argmax(bad))
            count = np.count_nonzero(~np.isfinite(exact[member]))
            raise TrainingError(
                f"{count} of {exact.shape[1]} scores of member {member} are not finite: "
                "look for missing or extreme values among the features, or train with a lower learning rate"
            )
        return cls(
            event=truncated_mean(exact, truncation).astype(np.float32),
            spread=exact.std(axis=0, ddof=1 if len(exact) > 1 else 0).astype(np.float32),
            members=np.ascontiguousarray(exact.T, dtype=np.float32),
        )

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True)
class History:
    """How a training went.

    Attributes:
        losses: name → (n_epochs, n_members); a stopped member's later epochs are NaN.
        best_epoch: (n_members,) index of the epoch whose weights were kept.
        seconds: wall-clock time of the training.
        facts: what else is to be known of the members, JSON-ready, by name.
        parts: histories of what was trained on the way, by name (folds, or several networks).
    """

    losses: Mapping[str, np.ndarray] = field(default_factory=dict)
    best_epoch: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, History] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; NaN becomes None."""
        return {
            "losses": {
                name: [[float(v) if np.isfinite(v) else None for v in row] for row in values]
                for name, values in self.losses.items()
            },
            "best_epoch": [int(e) for e in self.best_epoch],
            "seconds": self.seconds,
            "facts": dict(self.facts),
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return cls(
            losses={name: np.array(rows, dtype=np.float64) for name, rows in content["losses"].items()},
            best_epoch=np.array(content["best_epoch"], dtype=np.int64),
            seconds=float(content["seconds"]),
            facts=dict(content.get("facts", {})),
            parts={name: cls.from_dict(part) for name, part in content["parts"].items()},
        )


class Detector(abc.ABC):
    """Fits samples by role, then gives every event a score.

    `needs` are the roles `fit` expects among its samples. `uses_labels` is True only for references trained on
    truth, which the report marks. `windowed` says whether it learns from a signal window (settings may decide it: ask
    an instance), and `cross_fitted` whether events must be scored by what never trained on them: classifiers remember
    what class an event was of, while an autoencoder has none to remember. `scores_objects` says whether
    `Scores.objects` is there. `needs_images` or `needs_constituents` are the images or the constituents of jets that
    it asks to find in `Sample.batch` (an instance says it, by its settings; never both). `settings` is a frozen
    dataclass: with seeds and samples it decides the result.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data"})
    uses_labels: ClassVar[bool] = False
    windowed: bool = True
    cross_fitted: ClassVar[bool] = True
    scores_objects: ClassVar[bool] = False
    needs_images: WantedImages | None = None
    needs_constituents: WantedConstituents | None = None
    settings: Any

    @property
    def roles(self) -> frozenset[str]:
        """The roles of the samples that `fit` trains on: `needs`, and what the settings ask for besides."""
        return self.needs

    @property
    def reads_category(self) -> bool:
        """Whether `Sample.category` takes part in the training: as labels, or as a nuisance by the settings."""
        return self.uses_labels

    @abc.abstractmethod
    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on the samples of the roles in `needs`.

        Raises:
            TrainingError: for data or settings that cannot be trained on, and for a loss that is not finite.
        """

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """Raise TrainingError for samples that `fit` would refuse, without training.

        It is asked of all events before folds are cut from them, so that an error speaks of the whole sample.
        """
        for name in sorted(self.needs):
            self.role(samples, name)

    @abc.abstractmethod
    def score(self, sample: Sample) -> Scores:
        """Score every event, whatever its mass. Nothing is refitted on `sample`."""

    @abc.abstractmethod
    def save(self, directory: Path) -> None:
        """Write weights and settings: `.keras` or `.npz`, and JSON."""

    @classmethod
    @abc.abstractmethod
    def load(cls: type[D], directory: Path) -> D:
        """Read what `save` wrote; scores are identical."""

    def variant(self: D, settings: Any) -> D:
        """Another detector made from what this one has learned, without training; asked untrained, only the check.

        Raises:
            TrainingError: settings that need another training, which for most detectors are all.
        """
        raise TrainingError(
            f"a {type(self).__name__} makes nothing else from its training: train one with these settings"
        )

    def variant_history(self, history: History) -> History:
        """What of the history of another's training is that of this variant of it."""
        return history

    def describe(self) -> dict[str, Any]:
        """Class and settings, JSON-ready: part of the key of a finished training."""
        return {"detector": type(self).__name__, "settings": dataclasses.asdict(self.settings)}

    def role(self, samples: Mapping[str, Sample], name: str) -> Sample:
        """The sample of a role; TrainingError where it is missing or empty, or has negative weights or none."""
        if name not in samples:
            raise TrainingError(f"{type(self).__name__} needs a sample of role {name!r}: got {sorted(samples)}")
        if not len(samples[name]):
            raise TrainingError(f"the sample of role {name!r} has no events: {type(self).__name__} cannot train")
        negative = int((np.asarray(samples[name].weight) < 0).sum())
        if negative:
            raise TrainingError(
                f"{negative} of {len(samples[name])} event weights of the sample of role {name!r} are negative: a "
                "classifier is not defined on them; use a generator without negative weights, merge such events with "
                "neighbours of positive weight, or drop them"
            )
        total = float(np.sum(samples[name].weight))
        if not total > 0:
            raise TrainingError(
                f"the event weights of the sample of role {name!r} sum to {total:g}: training needs a positive sum; "
                "check the cross section and the generator weights"
            )
        return samples[name]


def child_seed(seeds: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """The seed sequence at `key` (fold, member, …) below `seeds`.

    Unlike `SeedSequence.spawn` it keeps no count: the same key gives the same child, in whatever order and however
    often it is asked for. That is what makes a resumed training equal to an uninterrupted one.
    """
    return np.random.SeedSequence(seeds.entropy, spawn_key=(*seeds.spawn_key, *key))
