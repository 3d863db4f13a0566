"""Features brought to a space where one direction stands for anomalies, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ml.errors import TrainingError
from ml.preprocessing import NormalScores

DISTINCT = 1e-6  # smallest eigenvalue of the correlation of features that are told apart


class _FineScores(NormalScores):
    """Normal scores that tell the outermost of some thousand events apart."""

    LEVELS: ClassVar[int] = 2001


@dataclass(frozen=True)
class OrientedScores:
    """Normal scores, whitened, and stretched along the direction of anomalies.

    Let every feature of an anomaly be shifted by the same number of its own widths, up or down as `orientation` says
    (δ = ±1). Against a background with covariance C the most powerful linear test for that shift, however large, is
    δᵀ C⁻¹ n (Fisher, Annals of Eugenics 7 (1936) 179). The normal scores n are whitened with C^(−1/2), so that the
    direction is d ∝ C^(−1/2) δ, and all directions but that one, which is wider, are equally wide: a code of
    one dimension then follows it.

    Attributes:
        scores: normal scores of the features.
        matrix: (n_features, n_features), what they are multiplied with from the right.
        direction: (n_features,) unit vector d in the space that the networks see.
    """

    scores: NormalScores
    matrix: np.ndarray
    direction: np.ndarray

    @classmethod
    def fit(
        cls, x: np.ndarray, weights: np.ndarray, *, names: Sequence[str], orientation: Sequence[str], stretch: float
    ) -> OrientedScores:
        """From features x (n_events, n_features) with `names`; `orientation`, `stretch` as in `LatentVAESettings`.

        Raises:
            TrainingError: a feature that is constant, or nearly a function of the others; no direction.
        """
        if not orientation:
            raise TrainingError(
                f"none of the features {list(names)} is known to grow or fall towards anomalies: name some under "
                "`orientation`, those that fall with a leading '-', or take another scaling"
            )
        scores = _FineScores.fit(x, weights, names=names)
        covariance = np.atleast_2d(np.cov(scores.apply(x), rowvar=False, aweights=weights))
        eigenvalues, vectors = np.linalg.eigh(covariance)
        if eigenvalues[0] < DISTINCT:
            involved = [name for name, part in zip(names, vectors[:, 0], strict=True) if abs(part) > 0.1]
            raise TrainingError(
                f"the features {involved} determine one another, so that they cannot be whitened: leave one out, or "
                "take another scaling"
            )
        root = vectors * eigenvalues**-0.5 @ vectors.T
        signs = {name.removeprefix("-"): -1.0 if name.startswith("-") else 1.0 for name in orientation}
        direction = root @ np.array([signs.get(name, 0.0) for name in names])
        direction /= np.linalg.norm(direction)
        stretched = np.eye(len(names)) + (stretch - 1) * np.outer(direction, direction)
        return cls(scores=scores, matrix=root @ stretched, direction=direction)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """x (n_events, n_features) as the networks see it, float32."""
        return (self.scores.apply(x) @ self.matrix).astype(np.float32)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `apply` between the outermost quantiles, (…, n_features) float64."""
        return self.scores.invert(np.asarray(x, np.float64) @ np.linalg.inv(self.matrix))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "scores": self.scores.to_dict(),
            "matrix": self.matrix.tolist(),
            "direction": self.direction.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> OrientedScores:
        """The inverse of `to_dict`."""
        return cls(
            scores=NormalScores.from_dict(content["scores"]),
            matrix=np.array(content["matrix"]),
            direction=np.array(content["direction"]),
        )
