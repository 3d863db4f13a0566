"""Convolutional networks for images: an autoencoder and a classifier, as in section 3 of arXiv:2002.12376.

Both are described by frozen dataclasses that build the Keras model when they are called: equal ones share what was
compiled, and they travel to other processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ml.errors import TrainingError
from ml.keras_network import KerasNetwork

KERNEL = 3
ACTIVATION = "relu"


@dataclass(frozen=True)
class ConvolutionalClassifier:
    """Images to one logit: 3 × 3 convolutions, each followed by max pooling, then dense layers.

    Attributes:
        shape: of an image, (pixels, pixels), or (channels, pixels, pixels) for the images of several jets at once.
        filters: of the convolutions, one after another; each pooling halves the image, odd sizes rounded up.
        dense: widths of the hidden dense layers.
    """

    shape: tuple[int, ...]
    filters: tuple[int, ...] = (8, 8, 8)
    dense: tuple[int, ...] = (32,)

    def __post_init__(self) -> None:
        check_widths(filters=self.filters, dense=self.dense)
        _check_shape(self.shape, channels=True)

    def __call__(self) -> Any:
        """A fresh Keras model."""
        import keras

        hidden = [keras.layers.Dense(width, activation=ACTIVATION) for width in self.dense]
        return keras.Sequential([*_encoding(self.shape, self.filters), *hidden, keras.layers.Dense(1)])

    @property
    def network(self) -> KerasNetwork:
        """An ensemble of these."""
        return KerasNetwork(self, xla=False)


@dataclass(frozen=True)
class ConvolutionalAutoencoder:
    """Images to images through a narrow layer: convolutions and max pooling, dense layers, and the same in reverse.

    Upsampling stands in the place of pooling. Bottleneck and output are linear: scaled pixels are below 0 as often as
    above, and neither a softmax nor a rectifier could reproduce them.

    Attributes:
        shape: of an image, (pixels, pixels).
        filters: of the encoder's convolutions; see `ConvolutionalClassifier`.
        dense: widths of dense layers between the convolutions and the bottleneck.
        latent: width of the bottleneck.
    """

    shape: tuple[int, ...]
    filters: tuple[int, ...] = (8, 8, 8)
    dense: tuple[int, ...] = ()
    latent: int = 16

    def __post_init__(self) -> None:
        check_widths(filters=self.filters, dense=self.dense, latent=(self.latent,))
        _check_shape(self.shape, channels=False)

    def __call__(self) -> Any:
        """A fresh Keras model."""
        import keras

        layers, sizes = keras.layers, halved(self.shape[-1], len(self.filters))
        model = [
            *_encoding(self.shape, self.filters),
            *(layers.Dense(width, activation=ACTIVATION) for width in self.dense),
            layers.Dense(self.latent),
            *(layers.Dense(width, activation=ACTIVATION) for width in self.dense[::-1]),
            layers.Dense(sizes[-1] ** 2 * self.filters[-1], activation=ACTIVATION),
            layers.Reshape((sizes[-1], sizes[-1], self.filters[-1])),
        ]
        outputs = (1, *self.filters[:-1])
        for size, filters in zip(sizes[-2::-1], outputs[::-1], strict=True):
            model.append(layers.UpSampling2D(2))
            if size % 2:  # pooling had rounded up
                model.append(layers.Cropping2D(((0, 1), (0, 1))))
            inner = None if size == self.shape[-1] and filters == outputs[0] else ACTIVATION
            model.append(layers.Conv2D(filters, KERNEL, padding="same", activation=inner))
        return keras.Sequential([*model, layers.Reshape(self.shape)])

    @property
    def network(self) -> KerasNetwork:
        """An ensemble of these."""
        return KerasNetwork(self, xla=False)


def halved(size: int, times: int) -> list[int]:
    """The size of an image, and that after each of so many poolings: 40, 20, 10, 5; odd ones are rounded up."""
    sizes = [size]
    for _ in range(times):
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def check_widths(*, filters: tuple[int, ...], **others: tuple[int, ...]) -> None:
    """Raise TrainingError for no convolution at all, and for layers of no unit."""
    if not filters:
        raise TrainingError("filters are empty: a convolutional network has at least one convolution, such as [8]")
    for name, widths in {"filters": filters, **others}.items():
        if min(widths, default=1) < 1:
            raise TrainingError(f"every layer needs at least one unit: got {name} {list(widths)}")


def _encoding(shape: tuple[int, ...], filters: tuple[int, ...]) -> list[Any]:
    """Layers from an image to a flat vector."""
    import keras

    layers = keras.layers
    channels_last = layers.Permute((2, 3, 1)) if len(shape) == 3 else layers.Reshape((*shape, 1))
    model: list[Any] = [keras.Input(shape), channels_last]
    for width in filters:
        model.append(layers.Conv2D(width, KERNEL, padding="same", activation=ACTIVATION))
        model.append(layers.MaxPooling2D(2, padding="same"))
    return [*model, layers.Flatten()]


def _check_shape(shape: tuple[int, ...], *, channels: bool) -> None:
    expected = "(pixels, pixels)" + (" or (channels, pixels, pixels)" if channels else "")
    if len(shape) not in ((2, 3) if channels else (2,)) or shape[-1] != shape[-2] or min(shape) < 1:
        raise TrainingError(f"images of shape {tuple(shape)} cannot be convolved here: expected {expected}")
