"""Can a fresh classifier still tell data from reweighted simulation?

The reweighter's own output proves nothing about what it did not learn. A classifier that took no part, trained and
tested on different events, has a weighted AUC of 0.5 where the weights are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.classifiers import BDTSettings, MLPSettings, classifier_of
from ml.detector import child_seed
from ml.errors import TrainingError
from ml.labelled import data_and_simulation, require_columns
from ml.metrics import Measured, auc
from ml.preprocessing import Standardiser, balanced_weights
from ml.reweighting import effective_sample_size
from ml.sample import Sample

CLOSURE_TREES = BDTSettings(iterations=100, max_leaf_nodes=15, min_samples_leaf=50, validation_fraction=0.2)
"""Trees that stop early: they see differences in bulk and correlations, and leave noise alone."""


@dataclass(frozen=True)
class Closure:
    """How well a fresh classifier tells data from (weighted) simulation.

    Attributes:
        auc: mean over folds of the area under the ROC curve of events that took no part; 0.5 is closure.
        effective_events: of the weighted simulation, (Σw)²/Σw².
        folds: of the cross-fitting.
        data_output, simulation_output: (n,) float64 out-of-fold outputs, the probability of data.
    """

    auc: Measured
    effective_events: float
    folds: int
    data_output: np.ndarray
    simulation_output: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the outputs."""
        return {"auc": self.auc.to_dict(), "effective_events": self.effective_events, "folds": self.folds}


def closure(
    data: Sample,
    simulation: Sample,
    *,
    features: Sequence[str],
    seeds: np.random.SeedSequence,
    weights: np.ndarray | None = None,
    folds: int = 5,
    settings: BDTSettings | MLPSettings = CLOSURE_TREES,
) -> Closure:
    """Train a fresh classifier, data (1) against simulation (0) with weights, and test it on other events.

    Each event is scored by a classifier trained on the events of the other folds (`Sample.fold % folds`). Outputs of
    different folds are not comparable, so the AUC is that within each fold, averaged by the number of events.
    The folds train on one another's test events. Where the two samples are equal that correlates them: the fluctuation
    that two folds share counts in both, and to first order the variance of their mean is twice that of independent
    tests. The quoted uncertainty, from DeLong's of each fold, contains that factor.

    Args:
        data, simulation: events of the same region.
        features: what the classifier sees.
        seeds: fold i draws from the child with key i.
        weights: (n_simulation,) factors that multiply the simulation's event weights; None for none.
        folds: at least 2.
        settings: of the classifier.

    Raises:
        TrainingError: no events, a sum of weights that is not positive (in any fold), weights that are not finite; a
            feature that is missing, constant or NaN.
    """
    weighted = _weighted(data, simulation, weights, features, folds)
    both, labels = data_and_simulation(data, simulation, features)
    output = np.zeros(len(both))
    areas = []
    for fold in range(folds):
        test = np.asarray(both.fold) % folds == fold
        output[test] = _trained_outputs(both, labels, weighted, test, settings, child_seed(seeds, fold))
        areas.append(auc(output[test], labels[test], weight=weighted[test]))
    return Closure(
        auc=_mean(areas),
        effective_events=effective_sample_size(weighted[labels == 0]),
        folds=folds,
        data_output=output[labels == 1],
        simulation_output=output[labels == 0],
    )


def _weighted(
    data: Sample, simulation: Sample, weights: np.ndarray | None, features: Sequence[str], folds: int
) -> np.ndarray:
    """Event weights of data and simulation, one after the other; refuses what cannot be tested."""
    if folds < 2:
        raise TrainingError(f"a closure test needs at least 2 folds: got {folds}")
    factors = np.ones(len(simulation)) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.shape != (len(simulation),) or not np.isfinite(factors).all():
        raise TrainingError(
            f"closure weights must be one finite number for each of {len(simulation)} simulated events: got shape "
            f"{factors.shape}, {int((~np.isfinite(factors)).sum())} not finite"
        )
    roles = {"data": data, "simulation": simulation}
    weighted = {"data": data.weight, "simulation": simulation.weight * factors}
    for role, sample in roles.items():
        for fold in range(folds):
            total = float(weighted[role][np.asarray(sample.fold) % folds == fold].sum())
            if not total > 0:
                raise TrainingError(
                    f"the weights of the {role} sum to {total:g} in fold {fold} of {folds} of a closure test "
                    f"({len(sample)} events in all): both samples need events in every fold; use fewer folds"
                )
    require_columns(roles, features)
    return np.concatenate(list(weighted.values()))


def _trained_outputs(
    both: Sample,
    labels: np.ndarray,
    weighted: np.ndarray,
    test: np.ndarray,
    settings: BDTSettings | MLPSettings,
    seeds: np.random.SeedSequence,
) -> np.ndarray:
    """Train on the events outside `test`; outputs of those inside."""
    x, names = both.features(list(both.columns)), list(both.columns)
    balanced = balanced_weights(weighted[~test], labels[~test], {0: 0.5, 1: 0.5})
    scaler = Standardiser.fit(x[~test], balanced, names=names)
    classifier = classifier_of(settings)
    classifier.fit(scaler.apply(x[~test]), labels[~test], balanced, seeds=[seeds])
    return classifier.predict(scaler.apply(x[test]))[0]


def _mean(areas: Sequence[Measured]) -> Measured:
    counts = np.array([a.n_signal + a.n_background for a in areas], dtype=np.float64)
    shares = counts / counts.sum()
    variance = 2 * float(np.sum(shares**2 * np.array([a.uncertainty for a in areas]) ** 2))
    return Measured(
        value=float(np.sum(shares * np.array([a.value for a in areas]))),
        uncertainty=float(np.sqrt(variance)),
        n_signal=sum(a.n_signal for a in areas),
        n_background=sum(a.n_background for a in areas),
    )
