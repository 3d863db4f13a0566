"""SALAD: simulation reweighted to data beside the window, then told from data inside it.

Andreassen, Nachman, Shih, arXiv:2001.05001. Data in the window are background plus perhaps a signal; simulation,
reweighted by what its sidebands lack, is background alone. The classifier g(x) between the two is monotonic in
p(x | signal + background)/p(x | background) (equation 2.3).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from ml.classifiers import MLPSettings
from ml.detector import Detector, History, Progress, child_seed
from ml.errors import TrainingError
from ml.feature_detector import FeatureDetector
from ml.labelled import data_and_simulation
from ml.preprocessing import balanced_weights
from ml.reweighting import PAPER_MLP, Reweighter, ReweightingSettings, Weights
from ml.sample import Sample
from ml.tagger import TaggerSettings
from ml.window import Window

S = TypeVar("S", bound="SALAD")


@dataclass(frozen=True)
class SALADSettings(TaggerSettings):
    """Settings of the window classifier g(x), as of any feature classifier, and of the reweighting f(x, m).

    Attributes:
        reweight: False trains g against simulation as it is, brought to the sidebands' yield by one constant: the line
            to compare with.
        reweighting: the networks f(x, m); unused without `reweight`.
    """

    features: tuple[str, ...] = ("j1_m", "j1_tau21", "j2_m", "j2_tau21")
    members: int = 10
    truncation: float = 0.1
    mlp: MLPSettings = field(default_factory=lambda: PAPER_MLP)
    reweight: bool = True
    reweighting: ReweightingSettings = field(default_factory=ReweightingSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decorrelation == "slices":
            raise TrainingError(
                "SALAD cannot take decorrelation 'slices': its classifier is trained in the window alone, where there "
                "are no sidebands to fit slices on; use 'none' or 'ratio'"
            )
        missing = [name for name in self.features if name not in self.reweighting_features]
        if missing:
            raise TrainingError(
                f"reweighting.features lacks {missing}, which the window classifier uses: what is not reweighted, it "
                "would take for an anomaly"
            )

    @property
    def reweighting_features(self) -> tuple[str, ...]:
        """The columns that f sees beside the mass."""
        return self.features if self.reweighting.features is None else self.reweighting.features

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that either sample must have."""
        return tuple(dict.fromkeys((*self.features, *self.reweighting_features)))


class SALAD(FeatureDetector):
    """Data against reweighted simulation in the window; the resonance mass is an input of the reweighting alone."""

    needs: ClassVar[frozenset[str]] = frozenset({"data", "simulation"})
    settings_class: ClassVar[type[TaggerSettings]] = SALADSettings
    settings: SALADSettings

    def __init__(self, settings: SALADSettings | None = None) -> None:
        super().__init__(settings)
        self._reweighter = Reweighter(self.settings.reweighting, self.settings.reweighting_features)
        self._constant: float | None = None

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train f on the sidebands of data and simulation, then g on their windows; steps 1 and 2 of section 2.

        Returns:
            A history with the parts "reweighting" (where there is one) and "classifier".

        Raises:
            TrainingError: no window; a sample that is missing or has no events, or no positive sum of weights, in the
                window or a sideband; a feature that is missing, constant or NaN in either sample.
        """
        self.check(samples, window=window)
        assert window is not None
        data, simulation = samples["data"], samples["simulation"]
        parts = {}
        if self.settings.reweight:
            report = _share(progress, 0.0, "reweighting")
            parts["reweighting"] = self._reweighter.fit(
                data, simulation, window=window, seeds=child_seed(seeds, 0), progress=report
            )
        else:
            self._constant = _yield(data, window) / _yield(simulation, window)
        inside = simulation.select(window.in_signal(simulation.mass))
        inside = replace(inside, weight=inside.weight * self.weights(inside).value)
        both, labels = data_and_simulation(data.select(window.in_signal(data.mass)), inside, self.settings.features)
        parts["classifier"] = self._tagger.fit(
            both,
            labels,
            balanced_weights(both.weight, labels, {0: 0.5, 1: 0.5}),
            seeds=child_seed(seeds, 1),
            progress=_share(progress, 0.5, "window classifier"),
        )
        return History(parts=parts, seconds=sum(part.seconds for part in parts.values()))

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`."""
        if window is None:
            raise TrainingError("SALAD needs a signal window and its sidebands: give a window")
        super().check(samples, window=window)

    def weights(self, sample: Sample) -> Weights:
        """What simulated events of any mass are to be multiplied by; one constant without `reweight`.

        Raises:
            TrainingError: before a fit; a feature of the reweighting that is missing or NaN.
        """
        if self.settings.reweight:
            return self._reweighter.weights(sample)
        if self._constant is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        value = np.full(len(sample), self._constant)
        nothing = np.zeros(len(sample), dtype=bool)
        return Weights(value, value[:, None], np.full(len(sample), 0.5), nothing, self._constant)

    def save(self, directory: Path) -> None:
        """The window classifier, and the reweighting in the folder `reweighting`."""
        super().save(directory)
        if self.settings.reweight:
            self._reweighter.save(Path(directory) / "reweighting")
        else:
            (Path(directory) / "constant.json").write_text(json.dumps({"constant": self._constant}))

    @classmethod
    def load(cls: type[S], directory: Path) -> S:
        """See `Detector.load`; weights are identical, too."""
        detector = super().load(directory)
        if detector.settings.reweight:
            detector._reweighter.load(Path(directory) / "reweighting")
        else:
            detector._constant = float(json.loads((Path(directory) / "constant.json").read_text())["constant"])
        return detector


def weight_columns(detector: Detector, sample: Sample) -> dict[str, np.ndarray]:
    """`Weights.columns` of a part of a sample: hand it to `CrossFit.map` for weights out of fold.

    Raises:
        TrainingError: a detector without weights.
    """
    if not isinstance(detector, SALAD):
        raise TrainingError(f"{type(detector).__name__} has no weights: only SALAD reweights simulation")
    return detector.weights(sample).columns()


def other_weight_columns(
    detectors: Sequence[Detector],
) -> Callable[[Detector, Sample], dict[str, np.ndarray]]:
    """For `CrossFit.map`: `Weights.columns` by the detectors of the other folds, their mean over folds.

    A window classifier g_i seeks what its own f_i got wrong: weighted by f_i, the simulation that it selects falls
    short of the data, also for events that neither has seen. The other folds' f took no part in the training of g_i.
    Simulated events in the sidebands did train those f, where weights may serve for the normalisation only; events of
    the window and of the validation bands train no f. With two folds the other f has seen the other half of the
    events; with more folds their training samples overlap, and what they learnt wrong is partly the same. `clipped` is
    whether any of them was.

    Args:
        detectors: of all folds, `CrossFit.detectors`.

    Raises:
        TrainingError: a detector without weights.
    """

    def weigh(detector: Detector, sample: Sample) -> dict[str, np.ndarray]:
        found = [weight_columns(other, sample) for other in detectors if other is not detector]
        mean = {name: np.mean([one[name] for one in found], axis=0) for name in found[0] if name != "clipped"}
        return {**mean, "clipped": np.any([one["clipped"] for one in found], axis=0)}

    return weigh


def _yield(sample: Sample, window: Window) -> float:
    return float(np.sum(sample.weight[window.sideband_index(sample.mass) >= 0]))


def _share(progress: Progress | None, start: float, what: str) -> Progress | None:
    if progress is None:
        return None
    return lambda fraction, text: progress(start + 0.5 * fraction, f"{what}: {text}")
