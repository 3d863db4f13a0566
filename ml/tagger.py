"""Features to scores by a classifier ensemble: decorrelation, scaling, training, saving in one piece."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ml.classifiers import BDTSettings, ClassifierName, MLPSettings, classifier_of
from ml.detector import History, Progress, Scores, child_seed
from ml.ensembles import require_truncation
from ml.errors import TrainingError
from ml.preprocessing import SliceQuantiles, Standardiser
from ml.sample import Sample
from ml.settings import save_settings

DEFAULT_FEATURES = ("j1_m", "j1_tau21", "j1_tau32", "j2_m", "j2_tau21", "j2_tau32")

RANKED = 10_000  # events, evenly spaced, whose order by a feature is compared with that by mass
SLICES = 5  # by default
SAME_ORDER = 0.999  # rank correlation with the mass above which a feature is refused


def require_features(features: Sequence[str]) -> None:
    """Raise TrainingError for no features, for one listed twice, and for the resonance mass."""
    if len(set(features)) != len(features) or not features:
        raise TrainingError(f"features must be distinct, and at least one: got {list(features)}")
    if "mjj" in features:
        raise TrainingError("the resonance mass 'mjj' cannot be a feature: its selection feeds a bump hunt")


@dataclass(frozen=True)
class TaggerSettings:
    """What a feature classifier is made of.

    Attributes:
        features: columns of the sample; the resonance mass is refused.
        classifier: mlp (dense networks) or bdt (gradient-boosted trees).
        members: size of the ensemble.
        truncation: share of the members left out at either end, event by event, before the score is the mean of the
            others' outputs; 0 is the plain mean.
        decorrelation: none; ratio (the columns in `ratio_features` are divided by the resonance mass); slices
            (normal scores within mass slices of the sidebands, see `ml.preprocessing.SliceQuantiles`).
        ratio_features: columns that `ratio` divides; by default those ending in _m or _pt.
        slices: mass slices per sideband for `slices`.
        mlp, bdt: settings of either classifier; those of the other are not read, so that `classifier` can be changed
            alone.
    """

    features: tuple[str, ...] = DEFAULT_FEATURES
    classifier: ClassifierName = "mlp"
    members: int = 8
    truncation: float = 0.0
    decorrelation: Literal["none", "ratio", "slices"] = "none"
    ratio_features: tuple[str, ...] | None = None
    slices: int = SLICES
    mlp: MLPSettings = field(default_factory=MLPSettings)
    bdt: BDTSettings = field(default_factory=BDTSettings)

    def __post_init__(self) -> None:
        if self.members < 1 or self.slices < 1:
            raise TrainingError(f"members and slices must be at least 1: got {self.members} and {self.slices}")
        require_truncation(self.truncation)
        require_features(self.features)
        unknown = set(self.ratio_features or ()) - set(self.features)
        if unknown:
            raise TrainingError(f"ratio_features {sorted(unknown)} are not among the features {list(self.features)}")
        self._refuse_ignored()

    def _refuse_ignored(self) -> None:
        given = {"ratio_features": self.ratio_features is not None, "slices": self.slices != SLICES}
        for key, needed in (("ratio_features", "ratio"), ("slices", "slices")):
            if given[key] and self.decorrelation != needed:
                raise TrainingError(
                    f"{key} has no effect with decorrelation {self.decorrelation!r}: leave it out, or take {needed!r}"
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have; detectors with several classifiers need more than `features`."""
        return self.features

    @property
    def divided(self) -> np.ndarray:
        """(n_features,) bool: which features `ratio` divides by the resonance mass."""
        if self.ratio_features is not None:
            return np.array([f in self.ratio_features for f in self.features])
        return np.array([f.endswith(("_m", "_pt")) for f in self.features])


class Tagger:
    """A trained feature classifier: every transformation is fitted once, on training events, and saved."""

    def __init__(self, settings: TaggerSettings) -> None:
        self.settings = settings
        self._classifier = classifier_of(settings.mlp if settings.classifier == "mlp" else settings.bdt)
        self._slices: SliceQuantiles | None = None
        self._scaler: Standardiser | None = None

    def fit(
        self,
        sample: Sample,
        labels: np.ndarray,
        weights: np.ndarray,
        *,
        seeds: np.random.SeedSequence,
        reference: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Train on every event of `sample`.

        Args:
            sample: the training events.
            labels: (n_events,) 1 or 0.
            weights: (n_events,) of mean near 1.
            seeds: member i uses the child with key i.
            reference: (n_events,) index of the background band of each event, −1 for events outside; what
                `decorrelation: slices` is fitted on.
            progress: passed on to the training.
        """
        x = sample.features(self.settings.features)
        refuse_mass(self.settings.features, x, sample.mass)
        if self.settings.decorrelation == "slices":
            self._slices = self._fit_slices(x, sample, reference)
        x = self._decorrelate(x, sample.mass)
        self._scaler = Standardiser.fit(x, weights, names=self.settings.features)
        members = [child_seed(seeds, i) for i in range(self.settings.members)]
        return self._classifier.fit(self._scaler.apply(x), labels, weights, seeds=members, progress=progress)

    def score(self, sample: Sample) -> Scores:
        """(Truncated) mean, spread and member outputs for every event; nothing is refitted."""
        if self._scaler is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        x = self._decorrelate(sample.features(self.settings.features), sample.mass)
        outputs = self._classifier.predict(self._scaler.apply(x))
        return Scores.from_members(outputs, truncation=self.settings.truncation)

    def save(self, directory: Path) -> None:
        """Members, `preprocessing.json` and `settings.json`."""
        if self._scaler is None:
            raise TrainingError("this detector is not trained: there is nothing to save")
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._classifier.save(directory)
        slices = None if self._slices is None else self._slices.to_dict()
        content = {"standardiser": self._scaler.to_dict(), "slices": slices}
        (directory / "preprocessing.json").write_text(json.dumps(content))
        save_settings(self.settings, directory)

    def load(self, directory: Path) -> None:
        """Read members and transformations that `save` wrote."""
        content = json.loads((Path(directory) / "preprocessing.json").read_text())
        self._scaler = Standardiser.from_dict(content["standardiser"])
        self._slices = None if content["slices"] is None else SliceQuantiles.from_dict(content["slices"])
        self._classifier.load(Path(directory))

    def _fit_slices(self, x: np.ndarray, sample: Sample, reference: np.ndarray | None) -> SliceQuantiles:
        if reference is None:
            raise TrainingError("decorrelation 'slices' needs sidebands to be fitted on: give a window")
        rows = reference >= 0
        if not rows.any():
            raise TrainingError(
                "decorrelation 'slices' needs sidebands to be fitted on: the window's sidebands hold no events"
            )
        return SliceQuantiles.fit(
            x[rows], sample.mass[rows], sample.weight[rows], slices=self.settings.slices, groups=reference[rows]
        )

    def _decorrelate(self, x: np.ndarray, mass: np.ndarray) -> np.ndarray:
        if self.settings.decorrelation == "ratio":
            return np.where(self.settings.divided, x / mass[:, None], x)
        return x if self._slices is None else self._slices.apply(x, mass)


def refuse_mass(features: Sequence[str], x: np.ndarray, mass: np.ndarray) -> None:
    """Raise TrainingError for a feature that orders events as the resonance mass does: in any unit or precision, its
    logarithm, …

    A function of the mass that rises and falls, or of the mass and other columns, is not recognised.

    Args:
        features: names of the columns of `x` (n_events, n_features). mass: (n_events,) GeV.
    """
    rows = np.unique(np.linspace(0, len(mass) - 1, RANKED).astype(int))
    ranks = _centred_ranks(mass[rows])
    for name, column in zip(features, x[rows].T, strict=True):
        own = _centred_ranks(column)
        scale = np.sqrt((own**2).sum() * (ranks**2).sum())
        if scale > 0 and abs((own * ranks).sum()) > SAME_ORDER * scale:
            raise TrainingError(
                f"feature {name!r} is the resonance mass, or a monotonic function of it: its selection feeds a "
                "bump hunt; remove it"
            )


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of values (n,), equal ones sharing their mean rank, about their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place] - (len(values) + 1) / 2
