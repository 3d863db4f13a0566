"""The invariant-mass decoder: what events look like at each point of latent space and resonance mass.

Source: arXiv:2103.06595, section V. It interprets what a search selected and takes no part in the selection.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.detector import History, Progress, child_seed
from ml.errors import TrainingError
from ml.latent_marginals import marginals, median_pulls
from ml.latent_scaling import Scaler, scaler_from_dict
from ml.latent_scores import Orientation
from ml.latent_vae import BLOCK, LatentVAE
from ml.mass_decoding import MASS_DECODER, MassDecoderSettings, convergence, level_start, mass_decoder_trainer
from ml.networks import DenseNetwork
from ml.prediction import in_chunks
from ml.preprocessing import Standardiser
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.variational import ENCODER

__all__ = ["MASS_DECODER", "MassDecoder", "MassDecoderSettings", "convergence", "marginals", "median_pulls"]


@dataclass(frozen=True)
class _Fitted:
    """What a trained decoder knows of the autoencoder it was trained with."""

    features: tuple[str, ...]
    encoder: str  # its digest
    mass: Standardiser
    scaling: str
    scaler: Scaler
    orientation: Orientation

    def to_dict(self) -> dict[str, Any]:
        same = {"features": list(self.features), "encoder": self.encoder, "scaling": self.scaling}
        return same | {name: getattr(self, name).to_dict() for name in ("mass", "scaler", "orientation")}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> _Fitted:
        return cls(
            features=tuple(content["features"]),
            encoder=content["encoder"],
            mass=Standardiser.from_dict(content["mass"]),
            scaling=content["scaling"],
            scaler=scaler_from_dict(content["scaling"], content["scaler"]),
            orientation=Orientation.from_dict(content["orientation"]),
        )


class MassDecoder:
    """One decoder for each member of a trained `LatentVAE`, whose encoders stay as they are."""

    def __init__(self, settings: MassDecoderSettings | None = None) -> None:
        self.settings = settings or MassDecoderSettings()
        self._parameters: list[np.ndarray] = []
        self._known: _Fitted | None = None

    def fit(
        self,
        detector: LatentVAE,
        sample: Sample,
        *,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Minimise the mean squared error of the scaled features, with z ~ N(z̄, σ_z) and m ~ N(m_jj, resolution·m_jj).

        Member i draws from the child of `seeds` with key i. The history has the `validation_loss` of every epoch, which
        `ml.mass_decoding.convergence` sums up.

        Raises:
            TrainingError: an untrained detector, masses that are not positive or all the same, and what
                `ml.training.Trainer.fit` refuses.
        """
        settings, own = detector.settings.resolved, self.settings
        assert settings.scaling is not None
        mass, weight = _checked_masses(sample), np.asarray(sample.weight, np.float64) / np.mean(sample.weight)
        scale = Standardiser.fit(mass[:, None], weight, names=["mass"])
        x, encoder = detector.scaled(sample), detector.parameters[ENCODER]
        network = own.network(inputs=settings.latent + 1, outputs=len(settings.features))
        members = [child_seed(seeds, member) for member in range(settings.members)]
        initial = level_start(
            network.initial([child_seed(seed, 0) for seed in members]), np.average(x, axis=0, weights=weight)
        )
        parameters, history = mass_decoder_trainer(
            settings.network, network, rate=own.learning_rate, steps=own.steps
        ).fit(
            {ENCODER: encoder, MASS_DECODER: initial},
            {
                "x": x,
                "mass": scale.apply(mass[:, None]),
                "log_variance": 2 * np.log(own.mass_resolution * mass[:, None] / scale.scale),
                "weight": weight,
            },
            schedule=own.schedule(len(sample)),
            seeds=[child_seed(seed, 1) for seed in members],
            progress=progress,
        )
        self._parameters = parameters[MASS_DECODER]
        self._known = _Fitted(
            settings.features, _digest(detector), scale, settings.scaling, detector.scaler, detector.orientation
        )
        return history

    def grid(self, coordinates: np.ndarray, masses: np.ndarray) -> np.ndarray:
        """What each member decodes at every pair of a coordinate and a mass.

        Args:
            coordinates: (n_coordinates,) in standard deviations of the training events, as `Orientation.apply` gives
                them: the same for all members, although their z differ in sign and scale.
            masses: (n_masses,) in GeV.

        Returns:
            (members, n_coordinates, n_masses, n_features) in the units of the features; NaN for members whose
            coordinate is not known.

        Raises:
            TrainingError: not trained, a latent space of more than one dimension, or no member with a known coordinate.
        """
        known = self._trained
        orientation, u = known.orientation, np.asarray(coordinates, np.float64)
        latent = orientation.direction.shape[1]
        if latent != 1:
            raise TrainingError(
                f"a grid over latent coordinate and mass needs a latent space of one dimension: it has {latent}; "
                "train with latent: 1, or decode events with `reconstruct`"
            )
        if not orientation.known.any():
            raise TrainingError(
                "a grid over latent coordinate and mass needs to know which way the coordinate runs, and no member "
                "does: name features under `orientation`, or train with a larger alpha if the posteriors collapsed"
            )
        z = (u * orientation.width[:, None] + orientation.mean[:, None]) / orientation.direction
        shape = (len(z), len(u), len(masses))
        points = np.broadcast_to(z[:, :, None], shape).reshape(len(z), -1, 1)
        repeated = np.broadcast_to(np.asarray(masses, np.float64), shape[1:]).ravel()
        grid = known.scaler.invert(self._decode(np.nan_to_num(points), repeated))
        return np.where(orientation.known[:, None, None, None], grid.reshape(*shape, len(known.features)), np.nan)

    def reconstruct(self, detector: LatentVAE, sample: Sample) -> np.ndarray:
        """Every event decoded from its z̄ and m_jj by every member.

        Returns:
            (members, n_events, n_features) float32 in the units of the features.

        Raises:
            TrainingError: not trained, or trained with another detector.
        """
        known = self._trained
        if _digest(detector) != known.encoder:
            raise TrainingError(
                "this mass decoder was trained with the encoders of another detector: load both of one training"
            )
        x, network = detector.scaled(sample), detector.settings.network
        result = np.empty((len(self._parameters[0]), len(x), len(known.features)), np.float32)
        for start in range(0, len(x), BLOCK):
            block = slice(start, start + BLOCK)
            mean, _ = network.encode(detector.parameters, x[block])
            result[:, block] = known.scaler.invert(self._decode(mean, np.asarray(sample.mass)[block]))
        return result

    def save(self, directory: Path) -> None:
        """`mass_decoder/` with one Keras model per member, `settings.json` and `preprocessing.json`."""
        known, directory = self._trained, Path(directory)
        self._network(known).save(self._parameters, directory / MASS_DECODER)
        (directory / "preprocessing.json").write_text(json.dumps(known.to_dict(), allow_nan=False))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> MassDecoder:
        """Read what `save` wrote; its outputs are identical."""
        decoder = cls(load_settings(MassDecoderSettings, directory))
        known = _Fitted.from_dict(json.loads((Path(directory) / "preprocessing.json").read_text()))
        decoder._known = known
        decoder._parameters = decoder._network(known).load(Path(directory) / MASS_DECODER)
        return decoder

    @property
    def _trained(self) -> _Fitted:
        if self._known is None:
            raise TrainingError("this mass decoder is not trained: call fit or load first")
        return self._known

    def _network(self, known: _Fitted) -> DenseNetwork:
        return self.settings.network(inputs=known.orientation.direction.shape[1] + 1, outputs=len(known.features))

    def _decode(self, z: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """Scaled features (members, n, n_features) of z (members, n, latent) and masses (n,) in GeV."""
        known = self._trained
        scaled = np.broadcast_to(known.mass.apply(mass[:, None]), (len(z), len(mass), 1))
        inputs = np.concatenate([z, scaled], axis=-1, dtype=np.float32).transpose(1, 0, 2)
        return in_chunks(
            _compiled(self._network(known)), self._parameters, inputs, chunk=8192, shape=(len(known.features),)
        )


def _checked_masses(sample: Sample) -> np.ndarray:
    mass = np.asarray(sample.mass, np.float64)
    if not len(mass):
        raise TrainingError("the sample has no events: a mass decoder cannot train")
    if not (mass > 0).all():
        raise TrainingError(
            f"{int((mass <= 0).sum())} of {len(mass)} resonance masses are not above 0: a mass decoder smears them by "
            "a share of themselves; cut these events"
        )
    return mass


def _digest(detector: LatentVAE) -> str:
    total = hashlib.sha256(repr(detector.settings.features).encode())
    for array in detector.parameters.get(ENCODER, ()):
        total.update(np.ascontiguousarray(array, np.float32).tobytes())
    return total.hexdigest()


@functools.cache
def _compiled(network: DenseNetwork) -> Any:
    import tensorflow as tf

    def outputs(parameters: Any, x: Any) -> Any:
        return network.apply(parameters, tf.transpose(x, [1, 0, 2]))  # each member has inputs of its own

    return tf.function(outputs, jit_compile=True, autograph=False)
