"""What detectors with an adversary have in common: what they train on, the game, and what they leave on disk."""

from __future__ import annotations

import abc
import functools
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from scipy.special import expit

from ml.adversarial_losses import (
    STANDARD,
    adversary_loss,
    classification,
    initial_statistics,
    main_loss,
    reconstruction,
    seen_statistics,
)
from ml.adversarial_settings import AdversarialClassifierSettings, AdversarialSettings
from ml.alternating import AlternatingTrainer
from ml.alternating_ensemble import ADVERSARY, MAIN
from ml.blindness import blind, largest_distance
from ml.detector import Detector, History, Progress, child_seed
from ml.errors import TrainingError
from ml.nuisance import CATEGORY, NuisanceClasses
from ml.preprocessing import Standardiser, balanced_weights
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.tagger import refuse_mass
from ml.window import Window

logger = logging.getLogger(__name__)

COLLAPSED = 1e-3  # width of the main network's output, in widths of a feature or as a probability
PROBE = 5000  # training events, at most, that it is measured on
D = TypeVar("D", bound="AdversarialDetector")


@dataclass(frozen=True)
class TrainingEvents:
    """What the networks train on.

    Attributes:
        x: (n, n_features).
        mass: (n,) GeV.
        weight: (n,) weights in L_main, of mean near 1.
        label: (n,) 1 signal, 0 background; all 0 for an autoencoder.
        raw: (n,) weights of the events as they came, those of signal and background of mean 1 each.
        nuisance: (n_background,) of the background events, in their order, or None without an adversary.
    """

    x: np.ndarray
    mass: np.ndarray
    weight: np.ndarray
    label: np.ndarray
    raw: np.ndarray
    nuisance: np.ndarray | None


class AdversarialDetector(Detector):
    """What both have in common: the game, what it leaves on disk, and its history.

    History: losses of the game, block by block, for every member: `loss` (L_main − α·L_adv), `main` (L_main), `opposed`
    (L_adv) in the turns of the main network, `adversary` (L_adv), `adversary_accuracy`, `adversary_spread` (standard
    deviation of what the adversary sees) in those of the adversary, and the same of events that do not train as
    `validation_…`. Facts: `classes`, `chance` (the accuracy of a guess; classes have equal weights), `output_width`
    (standard deviation of each main network's output over events, root mean square over features), `collapsed`: the
    members for which that is nothing, which hide the nuisance by saying the same of all events and do not count in
    scores; `useless`: those whose L_main ended above that of a constant output, which are told in a warning and count;
    `accuracy`, the adversary's in the end; `class_distance`, how far apart scores of two classes are (`ml.blindness`),
    and `blind`: the members whose adversary does not see it.
    """

    windowed = False
    settings_class: ClassVar[type[AdversarialSettings]]
    output_activation: ClassVar[str]
    constant_loss: ClassVar[float]  # L_main of a network that says the same of all events, at best
    settings: AdversarialSettings

    def __init__(self, settings: AdversarialSettings | None = None) -> None:
        self.settings = settings or self.settings_class()
        self.parameters: dict[str, list[np.ndarray]] = {}
        self.counted = np.ones(self.settings.members, dtype=bool)
        self._scaler: Standardiser | None = None
        self._classes: NuisanceClasses | None = None

    @property
    def reads_category(self) -> bool:
        """See `Detector.reads_category`."""
        return self.uses_labels or (self.settings.adversary and self.settings.nuisance == CATEGORY)

    @property
    def classes(self) -> NuisanceClasses | None:
        """The classes that the adversary told apart; None without one."""
        return self._classes

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also features that are missing, constant, NaN or the mass, a nuisance of one class."""
        super().check(samples, window=window)
        events = self.events_of(samples)
        refuse_mass(self.settings.features, events.x, events.mass)
        self._adversary_weights(events, self._fit_classes(events))

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """See `Detector.fit`; `window` takes no part. Member i draws from the child of `seeds` with key i."""
        self.check(samples, window=window)
        settings, events = self.settings, self.events_of(samples)
        self._scaler = Standardiser.fit(events.x, events.weight, names=settings.features)
        self._classes = self._fit_classes(events)
        members = [child_seed(seeds, member) for member in range(settings.members)]
        initial = {MAIN: settings.network.initial([child_seed(seed, 0, 0) for seed in members])}
        data = {"x": self._scaler.apply(events.x), "label": events.label, "weight": events.weight}
        own = None
        if self._classes is not None:
            opponent = settings.opponent(len(self._classes))
            initial[ADVERSARY] = opponent.initial([child_seed(seed, 0, 1) for seed in members])
            initial[STANDARD] = initial_statistics(len(members))
            index, own, opposed = self._adversary_weights(events, self._classes)
            data |= {"nuisance": index, "opposed_weight": opposed}
        trainer = _trainer(settings, None if self._classes is None else len(self._classes))
        self.parameters, history = trainer.fit(
            initial, data, seeds=[child_seed(seed, 1) for seed in members], adversary_weight=own, progress=progress
        )
        probe = np.linspace(0, len(events.x) - 1, min(PROBE, len(events.x))).astype(int)
        seen = None if own is None else (data["nuisance"][probe], own[probe])
        return self._with_facts(history, data["x"][probe], seen)

    def save(self, directory: Path) -> None:
        """`main/` and `adversary/` with one Keras model per member, `settings.json` and `preprocessing.json`."""
        directory = Path(directory)
        scaler = self.trained_scaler("there is nothing to save")
        self.settings.network.save(self.parameters[MAIN], directory / MAIN, output_activation=self.output_activation)
        fitted: dict[str, Any] = {"standardiser": scaler.to_dict(), "classes": None, "adversary_input": None}
        fitted["counted"] = self.counted.tolist()
        if self._classes is not None:
            self.settings.opponent(len(self._classes)).save(
                self.parameters[ADVERSARY], directory / ADVERSARY, output_activation="softmax"
            )
            fitted["classes"] = self._classes.to_dict()
            fitted["adversary_input"] = [array[:, 0].tolist() for array in self.parameters[STANDARD]]
        (directory / "preprocessing.json").write_text(json.dumps(fitted, allow_nan=False))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls: type[D], directory: Path) -> D:
        """See `Detector.load`."""
        directory = Path(directory)
        detector = cls(load_settings(cls.settings_class, directory))
        fitted = json.loads((directory / "preprocessing.json").read_text())
        detector._scaler = Standardiser.from_dict(fitted["standardiser"])
        detector.counted = np.array(fitted["counted"], dtype=bool)
        detector.parameters = {MAIN: detector.settings.network.load(directory / MAIN)}
        if fitted["classes"] is not None:
            detector._classes = NuisanceClasses.from_dict(fitted["classes"])
            opponent = detector.settings.opponent(len(detector._classes))
            detector.parameters[ADVERSARY] = opponent.load(directory / ADVERSARY)
            detector.parameters[STANDARD] = [np.array(v, np.float32)[:, None] for v in fitted["adversary_input"]]
        return detector

    @abc.abstractmethod
    def anomaly(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The score of every member (members, n_events), of its network's output (members, n_events, …) for x."""

    @abc.abstractmethod
    def events_of(self, samples: Mapping[str, Sample]) -> TrainingEvents:
        """What trains; TrainingError for samples that cannot."""

    def _fit_classes(self, events: TrainingEvents) -> NuisanceClasses | None:
        if events.nuisance is None:
            return None
        raw = events.raw[events.label == 0]
        return NuisanceClasses.fit(self.settings.nuisance, events.nuisance, raw, bins=self.settings.nuisance_bins)

    def _adversary_weights(
        self, events: TrainingEvents, classes: NuisanceClasses | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Class of each event (n,), and its weights in L_adv in the adversary's and in the main network's turns.

        Classes have equal sums of weights, in either. Signal has class 0 and no weight unless the settings say which.
        """
        index, background = np.zeros(len(events.label), np.int64), events.label == 0
        if classes is None:
            return index, np.zeros(len(index)), np.zeros(len(index))
        assert events.nuisance is not None
        index[background] = classes.index(events.nuisance)
        shares = dict.fromkeys(range(len(classes)), 1 / len(classes))
        own = balanced_weights(np.where(background, events.raw, 0.0), index, shares)
        counted = getattr(self.settings, "signal_category", None)
        if counted is None:
            return index, own, own
        index[~background] = classes.index(np.array([counted]))[0]
        return index, own, balanced_weights(events.raw, index, shares)

    def counting(self) -> list[np.ndarray]:
        """Weights of the main networks whose scores count."""
        return [array[self.counted] for array in self.parameters[MAIN]]

    def trained_scaler(self, otherwise: str = "call fit or load first") -> Standardiser:
        """What standardises the features; TrainingError for a detector that is not trained."""
        if self._scaler is None or not self.parameters:
            raise TrainingError(f"this detector is not trained: {otherwise}")
        return self._scaler

    def _with_facts(
        self, history: History, x: np.ndarray, nuisance: tuple[np.ndarray, np.ndarray] | None = None
    ) -> History:
        """The history, with what is to be known of the members; decides which of them count.

        `x` (n, n_features) are standardised events, `nuisance` their class and weight in the adversary's turn.
        """
        output = self.settings.network.predict(self.parameters[MAIN], x)
        distance = None if nuisance is None else largest_distance(self.anomaly(output, x), *nuisance)
        if self.output_activation == "sigmoid":
            output = expit(output)
        width = np.sqrt(output.var(axis=1, dtype=np.float64).mean(axis=1))
        collapsed = width < COLLAPSED
        if collapsed.all():
            raise TrainingError(
                f"all {len(collapsed)} members collapsed: their main networks give the same output for every event; "
                f"take a smaller alpha than {self.settings.alpha:g}, smaller learning rates, game.optimizer adam, or "
                "game.clip_norm"
            )
        if collapsed.any():
            logger.warning(
                "the members %s, %d of %d, collapsed and do not count: their main networks give the same output for "
                "every event; a smaller alpha or learning rate, game.optimizer adam or game.clip_norm keeps them",
                np.flatnonzero(collapsed).tolist(), collapsed.sum(), len(collapsed),
            )  # fmt: skip
        self.counted = ~collapsed
        useless = _last(history, "main") > self.constant_loss
        if useless.any():
            logger.warning(
                "the members %s, %d of %d, ended with a loss that a constant output would have, or more: the adversary "
                "drove them away from what they learned; take a smaller alpha than %g, smaller learning rates, "
                "game.optimizer adam, or game.clip_norm",
                np.flatnonzero(useless).tolist(), useless.sum(), len(useless), self.settings.alpha,
            )  # fmt: skip
        facts: dict[str, Any] = {
            "output_width": width.tolist(), "collapsed": collapsed.tolist(), "useless": useless.tolist(),
        }  # fmt: skip
        if self._classes is not None:
            facts |= {"classes": len(self._classes), "chance": 1 / len(self._classes)}
        if distance is not None:
            accuracy = _last(history, "adversary_accuracy")
            facts |= {"accuracy": accuracy.tolist(), "class_distance": distance.tolist()}
            facts["blind"] = self._blind(accuracy, distance).tolist()
        return replace(history, facts=facts)

    def _blind(self, accuracy: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """The members, (members,) bool, whose adversary does not see how far apart (members,) the classes are."""
        found = blind(distance, accuracy, classes=len(self._classes or ()))
        if found.any() and self.settings.alpha:
            logger.warning(
                "the adversaries of the members %s, %d of %d, are blind: classes of the nuisance are up to %.2f "
                "(Kolmogorov-Smirnov) apart in the score, and they guess; take adversary_activation tanh, a smaller "
                "game.adversary_learning_rate, or more game.adversary_steps",
                np.flatnonzero(found).tolist(), found.sum(), len(found), distance[found].max(),
            )  # fmt: skip
        return found


def _last(history: History, loss: str) -> np.ndarray:
    """A loss at the end, (members,): of events that do not train, where there are any."""
    return np.asarray(history.losses.get(f"validation_{loss}", history.losses[loss])[-1])


@functools.lru_cache(maxsize=8)
def _trainer(settings: Any, classes: int | None) -> AlternatingTrainer:
    """One trainer per settings: folds share what it compiled."""
    kind = classification if isinstance(settings, AdversarialClassifierSettings) else reconstruction
    outputs, opponent = kind(settings.network, settings.adversary_input), settings.opponent(classes or 2)
    plain = main_loss(outputs, opponent, alpha=0.0, standardised=settings.standardise)
    if classes is None:
        return AlternatingTrainer(settings.game, {MAIN: (plain, plain)})
    against = adversary_loss(outputs, opponent, standardised=settings.standardise)
    game = plain
    if settings.alpha:
        game = main_loss(outputs, opponent, alpha=settings.alpha, standardised=settings.standardise)
    losses = {MAIN: (plain, game), ADVERSARY: (against, against)}
    return AlternatingTrainer(settings.game, losses, seen_statistics(outputs))
