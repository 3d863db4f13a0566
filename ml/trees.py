"""Gradient-boosted trees: trained by scikit-learn, kept and evaluated as plain arrays."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from ml.classifier import Classifier
from ml.detector import History, Progress
from ml.errors import TrainingError
from ml.threads import available


@dataclass(frozen=True)
class BDTSettings:
    """Gradient-boosted trees (scikit-learn's HistGradientBoostingClassifier).

    Attributes:
        iterations: largest number of trees.
        learning_rate: shrinkage.
        max_leaf_nodes: leaves per tree.
        min_samples_leaf: events per leaf.
        l2_regularization: on leaf values.
        patience: trees without improvement of the validation loss after which a member stops.
        validation_fraction: share of events that decides it, a different one for each member.
    """

    iterations: int = 200
    learning_rate: float = 0.1
    max_leaf_nodes: int = 31
    min_samples_leaf: int = 20
    l2_regularization: float = 0.0
    patience: int = 10
    validation_fraction: float = 0.5

    def __post_init__(self) -> None:
        if min(self.iterations, self.min_samples_leaf, self.patience) < 1 or self.max_leaf_nodes < 2:
            raise TrainingError(
                f"iterations, min_samples_leaf and patience must be at least 1, max_leaf_nodes at least 2: got {self}"
            )
        if not (self.learning_rate > 0 and self.l2_regularization >= 0 and 0 < self.validation_fraction < 1):
            raise TrainingError(
                "learning_rate must be positive, l2_regularization not negative, validation_fraction between 0 and 1: "
                f"got {self}"
            )


@dataclass(frozen=True)
class Forest:
    """One boosted classifier as arrays.

    Attributes:
        baseline: log-odds before the first tree.
        roots: (n_trees,) index of each tree's root node.
        feature, threshold, left, right, value: (n_nodes,); the feature of a leaf is −1.
    """

    baseline: float
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Log-odds (n,) float64 of x (n, features) float64; the same bits as scikit-learn's own."""
        arrays = (self.roots, self.feature, self.threshold, self.left, self.right, self.value)
        return _evaluate()(np.ascontiguousarray(x, dtype=np.float64), self.baseline, *arrays)

    @classmethod
    def from_sklearn(cls, model: Any) -> Forest:
        """Read the trees of a fitted binary HistGradientBoostingClassifier without categorical features."""
        trees = [stage[0].nodes for stage in model._predictors]
        sizes = np.array([len(tree) for tree in trees], dtype=np.int64)
        roots = np.cumsum(sizes) - sizes
        nodes = np.concatenate(trees)
        offset = np.repeat(roots, sizes)
        leaf = nodes["is_leaf"].astype(bool)
        return cls(
            baseline=float(model._baseline_prediction.item()),
            roots=roots,
            feature=np.where(leaf, -1, nodes["feature_idx"]).astype(np.int64),
            threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
            left=np.where(leaf, 0, nodes["left"] + offset).astype(np.int64),
            right=np.where(leaf, 0, nodes["right"] + offset).astype(np.int64),
            value=np.where(leaf, nodes["value"], 0.0),
        )


class BDTClassifier(Classifier):
    """Boosted trees; members differ in the events that stop them."""

    def __init__(self, settings: BDTSettings) -> None:
        self.settings = settings
        self._forests: list[Forest] = []

    def fit(
        self,
        x: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        *,
        seeds: Sequence[np.random.SeedSequence],
        progress: Progress | None = None,
    ) -> History:
        """See `Classifier.fit`; an epoch of the history is a tree."""
        started, exact, target = time.perf_counter(), x.astype(np.float64), labels.astype(np.int64)

        def train(seed: np.random.SeedSequence) -> Any:
            # one thread per member: OpenMP's own threads wait for one another badly on a busy machine
            with threadpool_limits(1, user_api="openmp"):
                model = self._model(int(np.random.default_rng(seed).integers(2**31)))
                try:
                    return model.fit(exact, target, sample_weight=weights)
                except ValueError as error:  # too few events for a validation split
                    counts = f"{int((target == 1).sum())} against {int((target == 0).sum())} events"
                    raise TrainingError(f"boosted trees cannot be trained on {counts}: {error}") from error

        with ThreadPoolExecutor(min(len(seeds), available())) as pool:
            models = []
            for model in pool.map(train, seeds):
                models.append(model)
                if progress is not None:
                    progress(len(models) / len(seeds), f"boosted classifier {len(models)} of {len(seeds)}")
        self._forests = [Forest.from_sklearn(model) for model in models]
        losses = {
            "loss": _side_by_side([-m.train_score_ for m in models]),
            "validation_loss": _side_by_side([-m.validation_score_ for m in models]),
        }
        return History(
            losses=losses,
            best_epoch=np.array([m.n_iter_ for m in models]),
            seconds=time.perf_counter() - started,
        )

    def predict(self, x: np.ndarray) -> np.ndarray:
        """See `Classifier.predict`."""
        if not self._forests:
            raise TrainingError("this classifier is not trained: call fit or load first")
        exact = np.ascontiguousarray(x, dtype=np.float64)
        _evaluate()  # compiled once, not by every thread
        with ThreadPoolExecutor(min(len(self._forests), available())) as pool:
            return expit(np.stack(list(pool.map(lambda forest: forest.predict(exact), self._forests))))

    def save(self, directory: Path) -> None:
        """`member-NNN.npz`, one per member."""
        directory.mkdir(parents=True, exist_ok=True)
        for i, forest in enumerate(self._forests):
            np.savez_compressed(directory / f"member-{i:03d}.npz", **vars(forest))

    def load(self, directory: Path) -> None:
        """See `Classifier.load`."""
        self._forests = []
        for file in sorted(Path(directory).glob("member-*.npz")):
            with np.load(file, allow_pickle=False) as arrays:
                content = {name: arrays[name] for name in arrays.files}
            content["baseline"] = float(content["baseline"])
            self._forests.append(Forest(**content))
        if not self._forests:
            raise TrainingError(f"no member-*.npz in {directory}: not a saved ensemble of trees")

    def _model(self, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        s = self.settings
        return HistGradientBoostingClassifier(
            max_iter=s.iterations,
            learning_rate=s.learning_rate,
            max_leaf_nodes=s.max_leaf_nodes,
            min_samples_leaf=s.min_samples_leaf,
            l2_regularization=s.l2_regularization,
            early_stopping=True,
            n_iter_no_change=s.patience,
            validation_fraction=s.validation_fraction,
            random_state=seed,
        )


def _side_by_side(columns: Sequence[np.ndarray]) -> np.ndarray:
    rows = max(len(c) for c in columns)
    return np.stack([np.concatenate([c, np.full(rows - len(c), np.nan)]) for c in columns], axis=1)


@functools.cache
def _evaluate() -> Any:
    """The compiled walk through all trees; compiled on first use, which costs about a second."""
    import numba

    @numba.njit(nogil=True)
    def evaluate(x, baseline, roots, feature, threshold, left, right, value):  # type: ignore[no-untyped-def]
        total = np.full(len(x), baseline)
        for i in range(len(x)):
            for root in roots:
                node = root
                while feature[node] >= 0:
                    node = left[node] if x[i, feature[node]] <= threshold[node] else right[node]
                total[i] += value[node]
        return total

    return evaluate
