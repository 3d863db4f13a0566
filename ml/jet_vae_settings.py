"""Settings of the variational autoencoder of jet constituents."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from ml.annealing import cyclic
from ml.errors import TrainingError
from ml.jet_inputs import JetInputSettings
from ml.jet_losses import DecorrelationName, JetLoss
from ml.optimizers import check_optimizer
from ml.recurrent import RecurrentVariationalNetwork
from ml.training import Schedule
from ml.variational import VariationalNetwork

JetScoreName = Literal["nll", "beta_nll", "mse", "kl", "emd", "mss"]
CombineName = Literal["mean", "max", "min"]

DECORRELATED: dict[DecorrelationName, JetScoreName] = {
    "none": "nll",
    "disco": "beta_nll",
    "mse_oe": "mse",
    "kl_oe": "kl",
}
"""The score that each training makes independent of the mass; where none is, the paper's."""

LAMBDAS: dict[DecorrelationName, float] = {"mse_oe": 500.0, "kl_oe": 2.0}
MAX_DISCO_BATCH = 1024


@dataclass(frozen=True)
class JetVAESettings(JetInputSettings):
    """A β-VAE of jet constituents (arXiv:2007.01850); the defaults are the paper's.

    Attributes:
        architecture: dense, or recurrent (LSTM layers, see `ml.recurrent`).
        latent: dimensions of the latent space.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        beta: weight of the KL divergence, see `ml.jet_losses.jet_loss` for what it multiplies.
        members: size of the ensemble.
        optimizer, learning_rate: see `ml.optimizers.make_optimizer`.
        epochs, batch_size: the last weights are kept.
        validation_fraction: share of the jets that is not trained on, to watch the losses with.
        score: what an event's score is, see `ml.jet_scores`; None is what `decorrelation` makes independent of the mass
            (none: nll, disco: beta_nll, mse_oe: mse, kl_oe: kl).
        combine: how the jets' scores make that of the event, where there are several.
        emd: compute the energy mover's distance although it is not the score; it is slow.
        decorrelation: none; disco (distance correlation of loss and mass); mse_oe or kl_oe (outliers are exposed, from
            a sample of role "exposure" resampled to the jet masses of the data).
        kappa: κ of equation 7, the paper's from 100 to 1000; 0 is no decorrelation.
        exposure_weight: λ of equation 11; None is the paper's, 500 for mse_oe and 2 for kl_oe. 0 exposes nothing.
        margin: of equation 13.
        cycles: of κ or λ, which rise from 0 in each, see `ml.annealing.cyclic`; 0 is the full strength all along, and
            None four, or fewer where there are not eight epochs.
        mass_bins: of the histograms that outliers are resampled by.
    """

    architecture: Literal["dense", "recurrent"] = "dense"
    latent: int = 10
    hidden: tuple[int, ...] = (256, 128, 64)
    beta: float = 0.1
    members: int = 1
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 50
    batch_size: int = 100
    validation_fraction: float = 0.2
    score: JetScoreName | None = None
    combine: CombineName = "mean"
    emd: bool = False
    decorrelation: DecorrelationName = "none"
    kappa: float = 100.0
    exposure_weight: float | None = None
    margin: float = 1.0
    cycles: int | None = None
    mass_bins: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent", "members", "mass_bins"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1: got {getattr(self, name)}")
        for name in ("beta", "kappa", "exposure_weight", "margin"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise TrainingError(f"{name} must be at least 0 and finite: got {value:g}")
        if not self.hidden:
            raise TrainingError("hidden must name at least one layer: got none")
        if not 0 < self.validation_fraction < 1:
            raise TrainingError(f"validation_fraction must be between 0 and 1: got {self.validation_fraction:g}")
        check_optimizer(self.optimizer, self.learning_rate)
        _ = self.training, self.network.encoder, self.network.decoder, self.strengths
        self._refuse_unread()

    def _refuse_unread(self) -> None:
        """Refuse settings that the chosen decorrelation does not read, and batches that it cannot."""
        read = {
            "kappa": self.decorrelation == "disco",
            "exposure_weight": self.exposes_by_name,
            "margin": self.decorrelation == "kl_oe",
            "cycles": self.decorrelation != "none",
            "mass_bins": self.exposes_by_name,
        }
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name, used in read.items():
            if not used and getattr(self, name) != defaults[name]:
                raise TrainingError(f"{name} has no effect with decorrelation {self.decorrelation!r}: leave it out")
        if self.decorrelation == "disco" and self.batch_size > MAX_DISCO_BATCH:
            raise TrainingError(
                f"distance correlation compares all pairs of a batch: batch_size must be at most {MAX_DISCO_BATCH} "
                f"with decorrelation 'disco', and is {self.batch_size}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have: the jet masses, where they are read."""
        return self.masses if self.reads_masses else ()

    @property
    def exposes_by_name(self) -> bool:
        """Whether the decorrelation is one by outliers, of whatever strength."""
        return self.decorrelation in LAMBDAS

    @property
    def loss(self) -> JetLoss:
        """What is minimised; a decorrelation of strength 0 is none."""
        if self.decorrelation == "disco":
            strength = self.kappa
        else:
            strength = LAMBDAS.get(self.decorrelation, 0.0) if self.exposure_weight is None else self.exposure_weight
        return JetLoss(self.beta, self.decorrelation, strength, self.margin) if strength else JetLoss(self.beta)

    @property
    def exposes(self) -> bool:
        """Whether outliers take part in the training."""
        return self.loss.decorrelation in LAMBDAS

    @property
    def reads_masses(self) -> bool:
        """Whether jet masses take part in the training."""
        return self.loss.decorrelation != "none"

    @property
    def strengths(self) -> list[float]:
        """What κ or λ is multiplied by in each epoch."""
        cycles = min(4, self.epochs // 2) if self.cycles is None else self.cycles
        return [float(v) for v in cyclic(self.epochs, cycles=cycles)]

    @property
    def chosen_score(self) -> JetScoreName:
        """`score`, or the one that belongs to the decorrelation."""
        return DECORRELATED[self.loss.decorrelation] if self.score is None else self.score

    @property
    def computes_emd(self) -> bool:
        """Whether jets get an energy mover's distance."""
        return self.emd or self.chosen_score == "emd"

    @property
    def network(self) -> VariationalNetwork:
        """Encoder and decoder."""
        kind = RecurrentVariationalNetwork if self.architecture == "recurrent" else VariationalNetwork
        return kind(self.inputs, self.latent, self.hidden, "relu")

    @property
    def training(self) -> Schedule:
        """The part of these settings that the engine takes; validation jets are handed to it."""
        pairs = self.loss.decorrelation != "none"  # terms that compare all jets of a batch
        return Schedule(
            epochs=self.epochs,
            batch_size=self.batch_size,
            validation_fraction=0.0,
            patience=None,
            restore_best=False,
            evaluation_batch=self.batch_size if pairs else 5000,
        )
