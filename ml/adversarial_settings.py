"""Settings of detectors whose score an adversary keeps independent of a nuisance; defaults of arXiv:1905.10384."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from ml.errors import TrainingError
from ml.game import Game
from ml.networks import DenseNetwork
from ml.nuisance import CATEGORY, MASS
from ml.tagger import DEFAULT_FEATURES, require_features

ADVERSARY_HIDDEN = (20, 20)


@dataclass(frozen=True)
class AdversarialSettings:
    """What the adversarial autoencoder and the adversarial classifier have in common.

    Attributes:
        features: columns of the sample; the resonance mass is refused.
        members: size of the ensemble; the score is the mean of the members' scores.
        hidden: widths of the hidden layers of the main network.
        activation: of these.
        alpha: weight of the adversary's loss, α in L_main − α·L_adv; with 0 the adversary watches without a say.
        adversary: false trains the main network alone, by the same schedule.
        nuisance: what the score should not depend on: `category` (`Sample.category`, integer classes), `mass`
            (`Sample.mass`, GeV) or a column.
        nuisance_bins: number of weighted quantiles that a nuisance other than `category` is cut into.
        adversary_hidden, adversary_activation: hidden layers of the adversary; its softmax has one output per class.
            The paper's are ReLUs, of which with a single input many die: such an adversary is blind to what it is shown
            (docs/results.md).
        standardise: whether the adversary's input is brought to mean 0 and standard deviation 1, by statistics of
            training events that are taken anew in every round; a raw one can leave it blind, or saturate it.
        game: how both train.
    """

    features: tuple[str, ...] = DEFAULT_FEATURES
    members: int = 4
    hidden: tuple[int, ...] = (20, 20)
    activation: str = "relu"
    alpha: float = 100.0
    adversary: bool = True
    nuisance: str = CATEGORY
    nuisance_bins: int = 5
    adversary_hidden: tuple[int, ...] = ADVERSARY_HIDDEN
    adversary_activation: str = "tanh"
    standardise: bool = True
    game: Game = field(default_factory=Game)

    def __post_init__(self) -> None:
        require_features(self.features)
        if self.members < 1:
            raise TrainingError(f"members must be at least 1: got {self.members}")
        if not 0 <= self.alpha < math.inf:
            raise TrainingError(
                f"alpha must be at least 0 and finite: got {self.alpha:g}; below 0 the main network would help the "
                "adversary"
            )
        if self.nuisance_bins < 2:
            raise TrainingError(f"nuisance_bins must be at least 2: got {self.nuisance_bins}")
        _ = self.network, self.opponent(2)  # what is impossible is refused where it is written, not in training

    @property
    def network(self) -> DenseNetwork:
        """The main network."""
        return DenseNetwork(len(self.features), self.hidden, 1, self.activation)

    def opponent(self, classes: int) -> DenseNetwork:
        """The adversary, for so many classes."""
        return DenseNetwork(1, self.adversary_hidden, classes, self.adversary_activation)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have."""
        further = (self.nuisance,) if self.adversary and self.nuisance not in (CATEGORY, MASS) else ()
        return tuple(dict.fromkeys((*self.features, *further)))


@dataclass(frozen=True)
class AdversarialAutoencoderSettings(AdversarialSettings):
    """An autoencoder whose loss does not tell the nuisance (section 4.1).

    Attributes:
        hidden: widths of all hidden layers; the narrowest is below the number of features. The output is linear.
        adversary_input: what the adversary sees of an event: its loss, or the logarithm of that, which has no long
            tail and the same information.
    """

    hidden: tuple[int, ...] = (10, 3, 10)
    activation: str = "sigmoid"
    adversary_input: Literal["loss", "log_loss"] = "loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden or min(self.hidden) >= len(self.features):
            raise TrainingError(
                f"the narrowest of the hidden layers {list(self.hidden)} must be narrower than the "
                f"{len(self.features)} features, or there is nothing that cannot be reconstructed"
            )

    @property
    def network(self) -> DenseNetwork:
        """Features to features."""
        return DenseNetwork(len(self.features), self.hidden, len(self.features), self.activation)


@dataclass(frozen=True)
class AdversarialClassifierSettings(AdversarialSettings):
    """A classifier whose output does not tell the nuisance of background events (section 3).

    Attributes:
        adversary_input: what the adversary sees of an event: the classifier's output (the paper's), or its logit, which
            does not saturate.
        signal_category: the category that signal events count as in the main network's turns. The paper's signal is not
            smeared, so that there it counts as central background; the weights of the classes then make up for it. With
            None the adversary never sees signal, which is what independence in background asks for.
    """

    adversary_input: Literal["output", "logit"] = "output"
    signal_category: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.signal_category is not None and self.nuisance != CATEGORY:
            raise TrainingError(
                f"signal_category names one of the categories, and the nuisance is {self.nuisance!r}: leave it out"
            )
