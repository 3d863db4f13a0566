"""Losses per member, weighted by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.compiled import LossFunction
from ml.keras_network import KerasNetwork
from ml.networks import DenseNetwork


def weighted_mean(values: Any, weight: Any) -> Any:
    """Σwv/Σw over the events, (members,) from (members, events); 0 where all weights are 0."""
    import tensorflow as tf

    return tf.math.divide_no_nan(tf.reduce_sum(values * weight, axis=1), tf.reduce_sum(weight, axis=1))


def binary_crossentropy(network: DenseNetwork | KerasNetwork, *, name: str = "classifier") -> LossFunction:
    """Cross-entropy of the network `name` on batch columns `x` and `label` (0 to 1), from its one logit."""

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        logit = network.apply(parameters[name], batch["x"], seed)[..., 0]
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=batch["label"], logits=logit)
        return {"loss": weighted_mean(each, batch["weight"])}

    return loss
