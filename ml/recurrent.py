"""Variational autoencoders that read and write a jet constituent by constituent, with LSTM layers.

Source: arXiv:2007.01850, section II.A: "no significant difference in performance was observed" to dense networks. Its
widths are not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ml.keras_network import KerasNetwork
from ml.variational import VariationalNetwork

COMPONENTS = 4


@dataclass(frozen=True)
class RecurrentEncoder:
    """Jets (inputs,) to the outputs of the last constituent, the softest, through LSTM layers and a linear one.

    Attributes:
        inputs: numbers of a jet, four for each constituent.
        units: widths of the LSTM layers.
        outputs: of the linear layer.
    """

    inputs: int
    units: tuple[int, ...]
    outputs: int

    def __call__(self) -> Any:
        """A fresh Keras model."""
        import keras

        layers = keras.layers
        shape = (self.inputs // COMPONENTS, COMPONENTS)
        return keras.Sequential(
            [
                keras.Input((self.inputs,)),
                layers.Reshape(shape),
                *(layers.LSTM(w, return_sequences=i + 1 < len(self.units)) for i, w in enumerate(self.units)),
                layers.Dense(self.outputs),
            ]
        )


@dataclass(frozen=True)
class RecurrentDecoder:
    """Latent coordinates, the same at every constituent, to four numbers for each: LSTM layers and a linear one.

    Attributes:
        latent: coordinates.
        units: widths of the LSTM layers.
        outputs: numbers of a jet.
    """

    latent: int
    units: tuple[int, ...]
    outputs: int

    def __call__(self) -> Any:
        """A fresh Keras model."""
        import keras

        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((self.latent,)),
                layers.RepeatVector(self.outputs // COMPONENTS),
                *(layers.LSTM(width, return_sequences=True) for width in self.units),
                layers.Dense(COMPONENTS),
                layers.Reshape((self.outputs,)),
            ]
        )


@dataclass(frozen=True)
class RecurrentVariationalNetwork(VariationalNetwork):
    """`VariationalNetwork` with LSTM layers of the widths `hidden` in the place of dense ones.

    Members train one after another. `activation` takes no part: LSTM units have their own.
    """

    chunk: ClassVar[int] = 1024
    xla: ClassVar[bool] = False  # no faster with it, and compiled in a third of the time without

    @property
    def encoder(self) -> KerasNetwork:
        """See `VariationalNetwork.encoder`."""
        return KerasNetwork(RecurrentEncoder(self.inputs, self.hidden, 2 * self.latent), xla=self.xla)

    @property
    def decoder(self) -> KerasNetwork:
        """See `VariationalNetwork.decoder`."""
        return KerasNetwork(RecurrentDecoder(self.latent, self.hidden[::-1], self.inputs), xla=self.xla)
