"""Variational autoencoder of jet constituents, plain, decorrelated from the jet mass, or with outliers exposed.

Source: arXiv:2007.01850, sections II to V. No label takes part; with `mse_oe` and `kl_oe` simulated outliers do.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ml.constituent_batches import WantedConstituents
from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.energy_mover import energy_flow, energy_movers_distances
from ml.errors import TrainingError
from ml.jet_columns import JetColumns, Outliers, split
from ml.jet_inputs import (
    JetInputs,
    blocks_of,
    check_jets,
    fit_standardiser,
    jet_inputs,
    mass_odds,
    momenta_of,
    unscaled,
)
from ml.jet_losses import JetLoss, jet_loss
from ml.jet_scores import combined, network_scores, objects_of
from ml.jet_vae_settings import DECORRELATED, JetVAESettings
from ml.optimizers import make_optimizer
from ml.preprocessing import Standardiser
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.training import Trainer
from ml.variational import Parameters, VariationalNetwork, kl_divergence
from ml.window import Window

logger = logging.getLogger(__name__)

ACTIVE = 0.01  # nats of KL divergence, on average, from which a latent dimension says something of a jet
PROBE = 5000  # training jets, at most, that it is measured on


class JetVAE(Detector):
    """Trains on the jets of all events it is given, whatever their mass, and scores events by their jets.

    Role "exposure" is needed where the settings expose outliers. `Scores.extras` holds every score of
    `ml.jet_scores.SCORES`, and `emd` where it is asked for, of the event and averaged over members; `Scores.objects`,
    where there are two jets, the chosen score of each. Losses of the history: see `ml.jet_losses.jet_loss`. Facts:
    `active_latent` (latent dimensions in use, of each member), `strengths` (of the decorrelation, by epoch).
    """

    windowed = False
    cross_fitted = False
    settings: JetVAESettings

    def __init__(self, settings: JetVAESettings | None = None) -> None:
        self.settings = settings or JetVAESettings()
        self.needs_constituents: WantedConstituents = self.settings.wanted
        self._parameters: Parameters = {}
        self._scaler: Standardiser | None = None

    @property
    def roles(self) -> frozenset[str]:
        """See `Detector.roles`: outliers take part where the settings expose them."""
        return self.needs | {"exposure"} if self.settings.exposes else self.needs

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also constituents or jet masses that are missing, no exposure sample, too few jets."""
        super().check(samples, window=window)
        for role in sorted(self.roles):
            check_jets(self.role(samples, role), self.settings, role=role, masses=self.settings.reads_masses)
        jets = len(samples["data"]) * len(self.settings.jets)
        training = jets - round(self.settings.validation_fraction * jets)
        if training < self.settings.batch_size or training == jets:
            raise TrainingError(
                f"{jets} jets are {training} to train on and {jets - training} to validate on: a batch of "
                f"{self.settings.batch_size} and one jet are needed; take a smaller batch_size, or more events"
            )

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """See `Detector.fit`; `window` takes no part. Member i draws from the child of `seeds` with key i."""
        self.check(samples, window=window)
        settings, loss = self.settings, self.settings.loss
        self._warn_of_score()
        self._scaler = fit_standardiser(samples["data"], settings)
        jets = jet_inputs(samples["data"], settings, self._scaler, masses=settings.reads_masses)
        outliers = self._outliers(samples["exposure"], jets) if settings.exposes else None
        training, validation = split(len(jets), settings.validation_fraction, seeds)
        strengths = settings.strengths
        columns = JetColumns(jets, training, loss, strengths, outliers, child_seed(seeds, 0))
        held_out = JetColumns(jets, validation, loss, (1.0,), outliers, child_seed(seeds, 1))
        members = [child_seed(seeds, member) for member in range(settings.members)]
        self._parameters, history = trainer_for(settings.network, loss, settings.optimizer, settings.learning_rate).fit(
            settings.network.initial([child_seed(seed, 0) for seed in members]),
            columns if settings.reads_masses else columns.at(0),
            schedule=settings.training,
            seeds=[child_seed(seed, 1) for seed in members],
            validation=held_out.at(0),
            progress=progress,
        )
        return self._with_facts(history, jets.x[training[:PROBE]])

    def score(self, sample: Sample, *, progress: Progress | None = None) -> Scores:
        """Mean over members of the score that the settings name, joined over jets; see `Detector.score`.

        `progress` hears of the energy mover's distances, which take a fraction of a millisecond for each jet and
        member.
        """
        settings, found = self.settings, self._all_scores(sample, progress)
        events = {name: combined(values, settings.combine) for name, values in found.items()}
        chosen = Scores.from_members(events[settings.chosen_score])
        objects = objects_of(found[settings.chosen_score], settings.jets)
        extras = {name: values.mean(axis=0).astype(np.float32) for name, values in events.items()}
        return replace(chosen, objects=objects, extras=extras)

    def member_scores(self, sample: Sample, *, progress: Progress | None = None) -> dict[str, np.ndarray]:
        """Every score (members, n_events) that `score` gives the mean of in `extras`, by name."""
        scores = self._all_scores(sample, progress)
        return {name: combined(values, self.settings.combine) for name, values in scores.items()}

    def encode(self, sample: Sample) -> np.ndarray:
        """Latent means (members, n_events, jets, latent)."""
        settings = self.settings
        blocks = blocks_of(sample, settings, self.scaler)
        found = np.concatenate([settings.network.encode(self._parameters, x)[0] for x in blocks], axis=1)
        return found.reshape(settings.members, len(sample), len(settings.jets), settings.latent)

    def reconstruct(self, sample: Sample, *, member: int = 0) -> np.ndarray:
        """Four-momenta (n_events, jets, constituents, 4) in GeV that one member makes of the jets' latent means."""
        settings, own = self.settings, self._member(member)
        means = [settings.network.encode(own, x)[0][0] for x in blocks_of(sample, settings, self.scaler)]
        momenta = self._decode(own, np.concatenate(means))
        return momenta.reshape(len(sample), len(settings.jets), *momenta.shape[1:])

    def generate(self, n: int, seed: int | np.random.SeedSequence, *, member: int = 0) -> np.ndarray:
        """Four-momenta (n, constituents, 4) in GeV that one member makes of latent coordinates drawn from the prior."""
        z = np.random.default_rng(seed).standard_normal((n, self.settings.latent), np.float32)
        return self._decode(self._member(member), z)

    @property
    def parameters(self) -> Parameters:
        """Weights of both networks, each array with a leading member axis."""
        return self._parameters

    @property
    def scaler(self) -> Standardiser:
        """What standardises the momenta; TrainingError before the training."""
        if self._scaler is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        return self._scaler

    def save(self, directory: Path) -> None:
        """`encoder/` and `decoder/` with one Keras model per member, `settings.json` and `preprocessing.json`."""
        if self._scaler is None:
            raise TrainingError("this detector is not trained: there is nothing to save")
        directory = Path(directory)
        self.settings.network.save(self._parameters, directory)
        (directory / "preprocessing.json").write_text(json.dumps({"standardiser": self._scaler.to_dict()}))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> JetVAE:
        """See `Detector.load`."""
        directory = Path(directory)
        detector = cls(load_settings(JetVAESettings, directory))
        content = json.loads((directory / "preprocessing.json").read_text())
        detector._scaler = Standardiser.from_dict(content["standardiser"])
        detector._parameters = detector.settings.network.load(directory)
        return detector

    def _all_scores(self, sample: Sample, progress: Progress | None) -> dict[str, np.ndarray]:
        """Scores (members, n_events, jets), with the energy mover's distance where it is asked for."""
        settings = self.settings
        shape = (settings.members, len(sample), len(settings.jets))
        found = {name: values.reshape(shape) for name, values in self._jet_scores(sample).items()}
        if settings.computes_emd:
            found["emd"] = self._energy_movers(sample, progress).reshape(shape)
        return found

    def _jet_scores(self, sample: Sample) -> dict[str, np.ndarray]:
        """Scores (members, n_events·jets) of every jet."""
        settings = self.settings
        blocks = [
            network_scores(
                settings.network.terms(self._parameters, x), x, latent=settings.latent, beta=settings.beta
            )
            for x in blocks_of(sample, settings, self.scaler)
        ]
        return {name: np.concatenate([block[name] for block in blocks], axis=1) for name in blocks[0]}

    def _energy_movers(self, sample: Sample, progress: Progress | None) -> np.ndarray:
        """Energy mover's distances (members, n_events·jets) between jets and their reconstructions."""
        members = self.settings.members
        blocks = momenta_of(sample, self.settings)
        truth = energy_flow(np.concatenate([block.reshape(-1, *block.shape[2:]) for block in blocks]))
        found = []
        for member in range(members):
            own = energy_flow(self.reconstruct(sample, member=member)).reshape(truth.shape)
            say = None if progress is None else _share_of(progress, member, members)
            found.append(energy_movers_distances(truth, own, progress=say))
        return np.stack(found)

    def _decode(self, parameters: Parameters, z: np.ndarray) -> np.ndarray:
        """Four-momenta (n, constituents, 4) in GeV of z (n, latent) by the one member that there is."""
        return unscaled(self.settings.network.decode(parameters, z)[0], self.settings, self.scaler)

    def _member(self, member: int) -> Parameters:
        if not 0 <= member < self.settings.members:
            raise TrainingError(f"no member {member}: there are {self.settings.members}, from 0")
        _ = self.scaler  # or there are none
        return {name: [array[member : member + 1] for array in arrays] for name, arrays in self._parameters.items()}

    def _outliers(self, exposure: Sample, jets: JetInputs) -> Outliers:
        """The jets of the exposure sample, to be drawn with the masses of the others."""
        exposed = jet_inputs(exposure, self.settings, self.scaler, masses=True)
        return Outliers(exposed, mass_odds(exposed, jets, bins=self.settings.mass_bins))

    def _warn_of_score(self) -> None:
        settings = self.settings
        matched = DECORRELATED[settings.loss.decorrelation]
        if settings.reads_masses and settings.chosen_score != matched:
            logger.warning(
                "decorrelation %r makes the score %r independent of the jet mass, and the score is %r",
                settings.decorrelation, matched, settings.chosen_score,
            )  # fmt: skip

    def _with_facts(self, history: History, x: np.ndarray) -> History:
        """The history, with what is to be known of the members; warns of those whose posteriors collapsed."""
        settings = self.settings
        mean, log_variance = settings.network.encode(self._parameters, x)
        each = kl_divergence(mean[..., None], log_variance[..., None]).mean(axis=1)
        active = (each > ACTIVE).sum(axis=1)
        if not active.all():
            logger.warning(
                "the latent space of the members %s, %d of %d, does not depend on the jets (their posteriors collapsed "
                "on the prior): every jet is reconstructed as the mean one; a smaller beta keeps them apart",
                np.flatnonzero(active == 0).tolist(), (active == 0).sum(), len(active),
            )  # fmt: skip
        facts = {"active_latent": active.tolist(), "strengths": settings.strengths if settings.reads_masses else []}
        return replace(history, facts=facts, best_epoch=np.full(settings.members, settings.epochs - 1))


def _share_of(progress: Progress, member: int, members: int) -> Progress:
    return lambda fraction, text: progress((member + fraction) / members, text)


@functools.lru_cache(maxsize=8)
def trainer_for(network: VariationalNetwork, loss: JetLoss, optimizer: str, learning_rate: float) -> Trainer:
    """One trainer per network, loss and optimiser: folds and samples share what it compiled."""
    return Trainer(jet_loss(network, loss), lambda: make_optimizer(optimizer, learning_rate), xla=network.xla)
