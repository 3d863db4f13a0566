"""Members of an ensemble on disk: one ordinary `.keras` file each."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import TrainingError


def save_members(models: Sequence[Any], directory: Path) -> None:
    """Write Keras models as `member-NNN.keras` into `directory`, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    for member, model in enumerate(models):
        with quiet_conversion():
            model.save(directory / f"member-{member:03d}.keras")


def load_members(directory: Path) -> list[list[np.ndarray]]:
    """The weights of each model that `save_members` wrote; TrainingError where there is none."""
    import keras

    files = sorted(Path(directory).glob("member-*.keras"))
    if not files:
        raise TrainingError(f"no member-*.keras in {directory}: not a saved ensemble")
    with quiet_conversion():
        return [keras.models.load_model(file, compile=False).get_weights() for file in files]


@contextlib.contextmanager
def quiet_conversion() -> Iterator[None]:
    """Keras turns TensorFlow variables into arrays in a way that NumPy 2 deprecates; nothing a user can act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
        yield
