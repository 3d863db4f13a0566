"""Recurrent networks have the shapes of dense ones, and read jets constituent by constituent."""

from __future__ import annotations

import numpy as np

from ml.detector import child_seed
from ml.recurrent import RecurrentVariationalNetwork
from ml.variational import DECODER, ENCODER

NETWORK = RecurrentVariationalNetwork(12, 2, (5, 4), "relu")
SEEDS = [child_seed(np.random.SeedSequence(1), i) for i in range(2)]


def test_members_start_apart_and_the_same_seed_the_same() -> None:
    first, again = NETWORK.initial(SEEDS), NETWORK.initial(SEEDS)
    for name in (ENCODER, DECODER):
        for one, other in zip(first[name], again[name], strict=True):
            np.testing.assert_array_equal(one, other)
        assert (first[name][0][0] != first[name][0][1]).any()


def test_codes_and_outputs_are_what_layers_of_keras_say() -> None:
    parameters = NETWORK.initial(SEEDS)
    x = np.random.default_rng(2).normal(size=(2, 7, 12)).astype(np.float32)
    code = np.asarray(NETWORK.encoder.apply(parameters[ENCODER], x))
    assert code.shape == (2, 7, 4)
    output = np.asarray(NETWORK.decoder.apply(parameters[DECODER], code[..., :2]))
    assert output.shape == (2, 7, 12)
    encoder = NETWORK.encoder.to_keras(parameters[ENCODER], 1)
    decoder = NETWORK.decoder.to_keras(parameters[DECODER], 1)
    np.testing.assert_allclose(np.asarray(encoder(x[1])), code[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.asarray(decoder(code[1, :, :2])), output[1], rtol=1e-4, atol=1e-6)


def test_the_order_of_constituents_counts() -> None:
    parameters = NETWORK.initial(SEEDS)
    x = np.random.default_rng(3).normal(size=(2, 1, 12)).astype(np.float32)
    turned = x.reshape(2, 1, 3, 4)[:, :, ::-1].reshape(2, 1, 12)
    codes = [np.asarray(NETWORK.encoder.apply(parameters[ENCODER], own)) for own in (x, turned)]
    assert np.abs(codes[0] - codes[1]).max() > 1e-3
