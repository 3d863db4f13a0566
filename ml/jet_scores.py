"""Anomaly scores of jets, each larger for more anomalous ones, and how those of an event's jets are joined.

Source: arXiv:2007.01850, section III.A. `mss` needs no network: it is what the others have to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ml.image_batches import JETS
from ml.jet_vae_settings import CombineName

SCORES = ("nll", "beta_nll", "mse", "kl", "mss")
"""Those that cost nothing beyond a pass through the network; `emd` is the other one."""

_COMBINED: dict[CombineName, Callable[..., np.ndarray]] = {"mean": np.mean, "max": np.max, "min": np.min}


def network_scores(
    terms: Mapping[str, np.ndarray], x: np.ndarray, *, latent: int, beta: float
) -> dict[str, np.ndarray]:
    """Every score of `SCORES`, (members, n_jets) float64 each.

    With z at its mean: mse is the mean squared error over the numbers of a jet, kl the KL divergence averaged over
    latent dimensions, nll = mse + kl (the negative log-likelihood of section III.A) and beta_nll = mse + β·kl, the loss
    that was minimised and that DisCo makes independent of the mass. mss is the mean square of the standardised inputs.

    Args:
        terms: of `ml.variational.VariationalNetwork.terms`.
        x: (n_jets, inputs) standardised.
        latent: dimensions of the latent space.
        beta: β of equation 5.
    """
    mse, kl = np.asarray(terms["reconstruction"], np.float64), terms["kl"] / latent
    mss = np.broadcast_to(mean_squared_sum(x), mse.shape)
    return {"nll": mse + kl, "beta_nll": mse + beta * kl, "mse": mse, "kl": kl, "mss": mss}


def mean_squared_sum(x: np.ndarray) -> np.ndarray:
    """(n_jets,) mean square of standardised inputs (n_jets, inputs); on average 1 over the jets they were fitted on."""
    return np.square(x, dtype=np.float64).mean(axis=-1)


def combined(jets: np.ndarray, how: CombineName) -> np.ndarray:
    """Scores of events (…, n_events) from those of their jets (…, n_events, jets)."""
    return _COMBINED[how](jets, axis=-1)


def objects_of(scores: np.ndarray, jets: Sequence[str]) -> np.ndarray | None:
    """What `Scores.objects` holds of scores (members, n_events, jets): the means over members, of j1 and j2 alone."""
    return scores.mean(axis=0).astype(np.float32) if tuple(jets) == JETS else None
