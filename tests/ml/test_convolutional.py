"""Convolutional networks: sizes, outputs, and the same numbers with and without XLA."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, child_seed
from ml.convolutional import ConvolutionalAutoencoder, ConvolutionalClassifier, halved
from ml.keras_network import KerasNetwork
from ml.losses import binary_crossentropy
from ml.optimizers import make_optimizer
from ml.training import Schedule, Trainer

SEEDS = [child_seed(np.random.SeedSequence(3), i) for i in range(2)]


@pytest.mark.parametrize(
    ("size", "times", "sizes"), [(40, 3, [40, 20, 10, 5]), (5, 2, [5, 3, 2]), (1, 1, [1, 1]), (9, 0, [9])]
)
def test_pooling_halves_and_rounds_up(size: int, times: int, sizes: list[int]) -> None:
    assert halved(size, times) == sizes


def layers_of(model: Any, kind: str) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


@pytest.mark.parametrize(("pixels", "filters", "dense"), [(8, (2, 3), ()), (10, (2, 3, 2), (6,)), (7, (3,), (5, 4))])
def test_an_autoencoder_is_mirrored_and_linear(pixels: int, filters: tuple[int, ...], dense: tuple[int, ...]) -> None:
    model = ConvolutionalAutoencoder((pixels, pixels), filters, dense, latent=4)()
    assert model.output_shape == (None, pixels, pixels)
    convolutions = layers_of(model, "Conv2D")
    assert [layer.filters for layer in convolutions] == [*filters, *filters[-2::-1], 1]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert len(layers_of(model, "MaxPooling2D")) == len(layers_of(model, "UpSampling2D")) == len(filters)
    linear = [layer.activation.__name__ == "linear" for layer in convolutions]
    assert linear == [False] * (2 * len(filters) - 1) + [True]
    sizes = [layer.output.shape[1] for layer in layers_of(model, "MaxPooling2D")]
    assert sizes == halved(pixels, len(filters))[1:]
    widths = [layer.units for layer in layers_of(model, "Dense")]
    assert widths == [*dense, 4, *dense[::-1], sizes[-1] ** 2 * filters[-1]]
    narrow = layers_of(model, "Dense")[len(dense)]
    assert narrow.activation.__name__ == "linear"


@pytest.mark.parametrize(("shape", "channels"), [((7, 7), 1), ((2, 8, 8), 2)])
def test_a_classifier_has_one_logit(shape: tuple[int, ...], channels: int) -> None:
    model = ConvolutionalClassifier(shape, filters=(2, 3), dense=(5, 4))()
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 1)
    assert model.layers[-1].activation.__name__ == "linear"
    assert layers_of(model, "Conv2D")[0].kernel.shape == (3, 3, channels, 2)


def test_jets_become_channels_pixel_by_pixel() -> None:
    """What a network of two jets sees of the first does not depend on the second."""
    network = ConvolutionalClassifier((2, 8, 8), filters=(2,), dense=()).network
    weights = network.initial(SEEDS[:1])
    weights[0][:, :, :, 1] = 0  # filters that ignore the second jet
    images = np.random.default_rng(1).normal(size=(5, 2, 8, 8)).astype(np.float32)
    other = images.copy()
    other[:, 1] = 7
    np.testing.assert_array_equal(network.predict(weights, images), network.predict(weights, other))
    other[:, 0] = 7
    assert (network.predict(weights, images) != network.predict(weights, other)).any()


def test_equal_networks_share_what_was_compiled_and_travel() -> None:
    one, same = ConvolutionalClassifier((8, 8)), ConvolutionalClassifier((8, 8))
    assert one.network == same.network
    assert hash(one.network) == hash(same.network)
    assert pickle.loads(pickle.dumps(one.network)) == one.network  # noqa: S301 (our own, just made)
    assert one.network != ConvolutionalClassifier((8, 8), dense=(3,)).network


def test_training_without_xla_gives_the_same() -> None:
    architecture = ConvolutionalClassifier((4, 4), filters=(2,), dense=())
    random = np.random.default_rng(5)
    data = {"x": random.normal(size=(64, 4, 4)).astype(np.float32), "label": np.arange(64, dtype=np.float32) % 2}
    schedule = Schedule(epochs=1, batch_size=16, validation_fraction=0.0, patience=None)
    found = []
    for xla in (True, False):
        network = KerasNetwork(architecture, xla=xla)
        trainer = Trainer(binary_crossentropy(network), lambda: make_optimizer("adam", 1e-2), xla=xla)
        parameters, history = trainer.fit(
            {"classifier": network.initial(SEEDS[:1])}, data, schedule=schedule, seeds=SEEDS[:1]
        )
        found.append((network.predict(parameters["classifier"], data["x"]), history.losses["loss"]))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=2e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=2e-5)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (ConvolutionalClassifier, {"filters": ()}, "filters are empty"),
        (ConvolutionalClassifier, {"filters": (4, 0)}, r"at least one unit: got filters \[4, 0\]"),
        (ConvolutionalClassifier, {"shape": (8, 9)}, r"\(8, 9\) cannot be convolved"),
        (ConvolutionalClassifier, {"shape": (8,)}, "pixels, pixels"),
        (ConvolutionalAutoencoder, {"shape": (2, 8, 8)}, r"expected \(pixels, pixels\)$"),
        (ConvolutionalAutoencoder, {"latent": 0}, "latent"),
    ],
)
def test_impossible_networks_are_refused(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        kind(**{"shape": (8, 8), **arguments})
