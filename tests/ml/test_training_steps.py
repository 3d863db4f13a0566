"""Step by step, the engine does what a plain Keras model does from the same weights on the same batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ml import child_seed
from ml.losses import weighted_mean
from ml.networks import DenseNetwork
from ml.rows import MemberRows, whole
from ml.training import Schedule, Trainer

EVENTS, BATCH, EPOCHS = 430, 20, 2  # the last 10 events of an epoch are left out
NETWORK = DenseNetwork(inputs=6, hidden=(16, 8, 16), outputs=6, activation="selu")


def test_an_autoencoder_takes_the_steps_of_plain_keras() -> None:
    import keras
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(EVENTS, NETWORK.inputs)).astype(np.float32)
    initial, seed = NETWORK.initial([np.random.SeedSequence(1)]), child_seed(np.random.SeedSequence(2), 0)

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        output = NETWORK.apply(parameters["network"], batch["x"])
        return {"loss": weighted_mean(tf.reduce_mean(tf.square(output - batch["x"]), axis=-1), batch["weight"])}

    engine = Trainer(loss, lambda: keras.optimizers.Adam(0.01), threads=1)
    schedule = Schedule(epochs=EPOCHS, batch_size=BATCH, validation_fraction=0, patience=None, restore_best=False)
    fitted, history = engine.fit({"network": initial}, {"x": x}, schedule=schedule, seeds=[seed])

    model = NETWORK.to_keras(initial, 0)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    rows, chunk, losses = MemberRows([seed], validation_fraction=0), whole({"x": x}), []
    for _ in range(EPOCHS):
        order = rows.training(chunk)[0]
        rows.draws()
        for start in range(0, EVENTS - BATCH + 1, BATCH):
            part = x[order[start : start + BATCH]]
            model.reset_metrics()
            losses.append(float(np.ravel(model.train_on_batch(part, part))[0]))
    expected = np.reshape(losses, (EPOCHS, -1)).mean(axis=1)
    np.testing.assert_allclose(history.losses["loss"][:, 0], expected, rtol=1e-5)
    for ours, theirs, before in zip(fitted["network"], model.get_weights(), initial, strict=True):
        np.testing.assert_allclose(np.reshape(ours, theirs.shape), theirs, atol=2e-4)
        assert np.abs(np.reshape(before, theirs.shape) - theirs).max() > 0.02, "the steps are long enough to tell"
