"""Losses of a network and of the adversary that reads a nuisance from its output.

Source: arXiv:1905.10384, equations 3.1 and 4.1 and figure 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ml.alternating_ensemble import ADVERSARY, MAIN, Statistics
from ml.compiled import LossFunction
from ml.losses import weighted_mean
from ml.networks import DenseNetwork

STANDARD = "standard"
"""Name of the parameters, mean and standard deviation (members, 1) each, that standardise what the adversary sees."""

Outputs = Callable[[Any, Mapping[str, Any]], tuple[Any, Any]]
"""(arrays of the main network, batch) → (members, events): loss of each event, and what the adversary sees of it."""


def reconstruction(network: DenseNetwork, seen: str) -> Outputs:
    """The loss is the squared error of the batch column `x`, averaged over features; the adversary sees it, too.

    `seen` is "loss", or "log_loss", whose distribution has no long tail.
    """

    def outputs(arrays: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        import tensorflow as tf

        errors = tf.reduce_mean(tf.square(batch["x"] - network.apply(arrays, batch["x"])), axis=-1)
        return errors, tf.math.log(errors + 1e-6) if seen == "log_loss" else errors

    return outputs


def classification(network: DenseNetwork, seen: str) -> Outputs:
    """The loss is the cross-entropy of the batch columns `x` and `label`; the adversary sees "output" or "logit"."""

    def outputs(arrays: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        import tensorflow as tf

        logit = network.apply(arrays, batch["x"])[..., 0]
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=batch["label"], logits=logit)
        return each, logit if seen == "logit" else tf.sigmoid(logit)

    return outputs


def main_loss(outputs: Outputs, adversary: DenseNetwork, *, alpha: float, standardised: bool) -> LossFunction:
    """L_main − α·L_adv; L_adv is weighted by the batch column `opposed_weight`. Losses: loss, main, opposed (L_adv).

    With α = 0 nothing of the adversary is computed, and there is no "opposed".
    """

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        each, seen = outputs(parameters[MAIN], batch)
        own = weighted_mean(each, batch["weight"])
        if not alpha:
            return {"loss": own, "main": own}
        entropy, _ = _told(adversary, parameters, seen, batch["nuisance"], standardised)
        opposed = weighted_mean(entropy, batch["opposed_weight"])
        return {"loss": own - alpha * opposed, "main": own, "opposed": opposed}

    return loss


def adversary_loss(outputs: Outputs, adversary: DenseNetwork, *, standardised: bool) -> LossFunction:
    """Cross-entropy of the adversary on the batch column `nuisance`, the class.

    Losses: loss; accuracy; spread, the standard deviation of what the adversary sees, which a main network that says
    the same of all events brings to 0.
    """

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        _, seen = outputs(parameters[MAIN], batch)
        entropy, right = _told(adversary, parameters, seen, batch["nuisance"], standardised)
        return {
            "loss": weighted_mean(entropy, batch["weight"]),
            "accuracy": weighted_mean(right, batch["weight"]),
            "spread": _moments(seen, batch["weight"])[1][:, 0],
        }

    return loss


def seen_statistics(outputs: Outputs) -> Statistics:
    """Weighted mean and standard deviation of what the adversary sees."""

    def statistics(parameters: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
        _, seen = outputs(parameters[MAIN], batch)
        return {STANDARD: list(_moments(seen, batch["weight"]))}

    return statistics


def initial_statistics(members: int) -> list[np.ndarray]:
    """What stands in their place before there are any: mean 0, standard deviation 1."""
    return [np.zeros((members, 1), np.float32), np.ones((members, 1), np.float32)]


def _moments(seen: Any, weight: Any) -> tuple[Any, Any]:
    """Weighted mean and standard deviation over events, (members, 1) each."""
    import tensorflow as tf

    mean = weighted_mean(seen, weight)[:, None]
    return mean, tf.sqrt(weighted_mean(tf.square(seen - mean), weight))[:, None]


def _told(
    adversary: DenseNetwork, parameters: Mapping[str, Any], seen: Any, nuisance: Any, standardised: bool
) -> tuple[Any, Any]:
    """(members, events): cross-entropy of the adversary's softmax, and 1 where its best guess is right."""
    import tensorflow as tf

    if standardised:
        mean, scale = parameters[STANDARD]
        seen = (seen - mean) / tf.maximum(scale, 1e-6)
    logits = adversary.apply(parameters[ADVERSARY], seen[..., None])
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=nuisance, logits=logits)
    guess = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return entropy, tf.cast(guess == nuisance, entropy.dtype)
