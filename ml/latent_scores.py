"""Scores of a variational autoencoder, each larger for more anomalous events, and which end of its latent space is so.

`kl`, `reconstruction` and `elbo` are the paper's (arXiv:2103.06595, section IV). None of them knows whether signal lies
nearer to the prior than background, or farther: see docs/latent_vae.md. `coordinate` and `oriented_kl` do: they are
given a sign by features that point to anomalies, without any label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.errors import TrainingError

SCORES = ("coordinate", "kl", "oriented_kl", "reconstruction", "elbo")
ORIENTED = frozenset({"coordinate", "oriented_kl"})  # those that need to know which way anomalies lie


@dataclass(frozen=True)
class Orientation:
    """Which way each member's latent space points towards anomalies; fitted on training events, then fixed.

    Attributes:
        direction: (members, latent) covariance of z̄ with the sum of the oriented features.
        mean, width: (members,) of the projection of z̄ on that direction, over the training events.
        alignment: (members,) correlation of that projection with the sum of the oriented features. The sign of a
            latent coordinate can be chosen, not what it follows: one near 0 follows something else.
        kl_alignment: (members,) correlation of the KL divergence with that sum; its sign is that of `oriented_kl`.

    All are NaN for a member whose latent space does not depend on the events, so that it has no anomalous end.
    """

    direction: np.ndarray
    mean: np.ndarray
    width: np.ndarray
    alignment: np.ndarray
    kl_alignment: np.ndarray

    @classmethod
    def fit(cls, mean: np.ndarray, kl: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Orientation:
        """Orient z̄ (members, n_events, latent) and the KL divergence (members, n_events) of training events.

        `target` (n_events,) grows towards anomalies, `weight` (n_events,) is that of the events.

        Raises:
            TrainingError: the latent coordinates of no member depend on the events: every posterior collapsed.
        """
        share = weight / weight.sum()
        z = np.asarray(mean, np.float64)
        centred = z - np.einsum("mnl,n->ml", z, share)[:, None]
        direction = np.einsum("mnl,n->ml", centred, share * (target - share @ target))
        along = np.einsum("mnl,ml->mn", z, direction)
        middle = along @ share
        width = np.sqrt(np.maximum((along - middle[:, None]) ** 2 @ share, 0))
        kl_alignment = _correlation(np.asarray(kl, np.float64), target, share)
        known = (width > 1e-6 * np.abs(direction).max(axis=1)) & np.isfinite(kl_alignment)
        if not known.any():
            raise TrainingError(
                f"the latent space of none of {len(known)} members depends on the events (their posteriors collapsed "
                "on the prior): give the reconstruction more weight with a larger alpha"
            )
        found = (direction, middle, width, _correlation(along, target, share), kl_alignment)
        return cls(*(np.where(known if one.ndim == 1 else known[:, None], one, np.nan) for one in found))

    @classmethod
    def unknown(cls, members: int, latent: int) -> Orientation:
        """That of members without direction: `coordinate` and `oriented_kl` are NaN."""
        nothing = np.full(members, np.nan)
        return cls(np.full((members, latent), np.nan), nothing, nothing, nothing, nothing)

    @property
    def known(self) -> np.ndarray:
        """(members,) bool, those that have an anomalous end."""
        return np.isfinite(self.width)

    def counted(self, score: str) -> np.ndarray:
        """(members,) bool, those that the mean of `score` is taken over: of oriented ones, the known."""
        return self.known if score in ORIENTED else np.ones_like(self.known)

    def apply(self, mean: np.ndarray) -> np.ndarray:
        """Coordinates (members, n_events) of z̄, in standard deviations of the training events; NaN if not known."""
        along = np.einsum("mnl,ml->mn", np.asarray(mean, np.float64), self.direction)
        return (along - self.mean[:, None]) / self.width[:, None]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what is not known becomes None."""
        return {name: _listed(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Orientation:
        """The inverse of `to_dict`."""
        return cls(**{name: np.array(content[name], np.float64) for name in _FIELDS})


_FIELDS = ("direction", "mean", "width", "alignment", "kl_alignment")


def _listed(values: np.ndarray) -> list[Any]:
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return list(plain.tolist())


def _correlation(values: np.ndarray, target: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Of values (members, n_events) with the target (n_events,), weighted; NaN for values that are constant."""
    left, right = values - (values @ share)[:, None], target - share @ target
    with np.errstate(invalid="ignore", divide="ignore"):
        result: np.ndarray = left @ (share * right) / np.sqrt((left**2 @ share) * (share @ right**2))
    return result


def scores_of(terms: Mapping[str, np.ndarray], orientation: Orientation, *, alpha: float) -> dict[str, np.ndarray]:
    """Every score of `SCORES`, (members, n_events) each, from `VariationalNetwork.terms`.

    `elbo` is the loss of equation 1, with z at its mean. Oriented scores of members without orientation are NaN.
    """
    return {
        "coordinate": orientation.apply(terms["mean"]),
        "kl": terms["kl"],
        "oriented_kl": np.sign(orientation.kl_alignment)[:, None] * terms["kl"],
        "reconstruction": np.asarray(terms["reconstruction"], np.float64),
        "elbo": alpha * terms["reconstruction"] + terms["kl"],
    }


def oriented_sum(
    x: np.ndarray, features: tuple[str, ...], orientation: tuple[str, ...], *, weight: np.ndarray
) -> np.ndarray:
    """Sum over the oriented features of x (n_events, n_features), each in units of its width, falling ones negative.

    `weight` (n_events,) is what events count with in the widths; 0 for those that take no part.

    Returns:
        (n_events,).
    """
    if not orientation:
        raise TrainingError(
            f"none of the features {list(features)} is known to grow or fall towards anomalies: name some under "
            "`orientation`, those that fall with a leading '-'"
        )
    total, share = np.zeros(len(x)), np.asarray(weight, np.float64) / np.sum(weight)
    for name in orientation:
        column = np.asarray(x[:, features.index(name.removeprefix("-"))], np.float64)
        width = float(np.sqrt((column - share @ column) ** 2 @ share))
        total += (-1.0 if name.startswith("-") else 1.0) * column / max(width, 1e-12)
    return total
