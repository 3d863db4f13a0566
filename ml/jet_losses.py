"""Losses of a variational autoencoder of jets: plain, independent of the jet mass, and with outliers exposed.

Source: arXiv:2007.01850, equations 5, 7 to 9 and 11 to 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml.compiled import LossFunction
from ml.dependence import batch_distance_correlation
from ml.losses import weighted_mean
from ml.variational import DECODER, ENCODER, VariationalNetwork, latent_divergence, sampled

DecorrelationName = Literal["none", "disco", "mse_oe", "kl_oe"]


@dataclass(frozen=True)
class JetLoss:
    """What is minimised.

    Attributes:
        beta: weight of the KL divergence (equation 5).
        decorrelation: none; disco (equation 7); mse_oe, kl_oe (equations 12, 13).
        strength: κ of equation 7, or λ of equation 11, at full strength.
        margin: of equation 13.
    """

    beta: float
    decorrelation: DecorrelationName = "none"
    strength: float = 0.0
    margin: float = 1.0


def jet_loss(network: VariationalNetwork, wanted: JetLoss) -> LossFunction:
    """The loss MSE + β·KL of standardised jets, the batch column `x`, and a further term by the settings.

    MSE is the mean over all numbers of a jet, KL the mean over latent dimensions, as in the code published with the
    paper, which its β, κ, λ and margin belong to. Read literally, equation 4 sums over the four components of a
    constituent and over latent dimensions: that is the same loss, times 4, with β·4/latent in place of β (0.04 for the
    paper's 0.1).

    Further columns: `strength` (from 0 to 1, what `JetLoss.strength` is multiplied by), `mass` for disco, `exposed`
    (outliers, as many as jets) for the others. Losses: loss, mse, kl and, where there is one, the further term:
    `dependence` (dCor, not its square) or `exposure` (L_OE).
    """

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        weight = batch["weight"]
        mse, kl = per_jet(network, parameters, batch["x"], seed)
        parts = {"mse": weighted_mean(mse, weight), "kl": weighted_mean(kl, weight)}
        plain = parts["mse"] + wanted.beta * parts["kl"]
        if wanted.decorrelation == "none":
            return {"loss": plain, **parts}
        strength = wanted.strength * weighted_mean(batch["strength"], weight)
        if wanted.decorrelation == "disco":
            found = batch_distance_correlation(batch["mass"], mse + wanted.beta * kl, weight)
            return {"loss": plain + strength * found, **parts, "dependence": found}
        # other random numbers than those of the inliers
        outliers = per_jet(network, parameters, batch["exposed"], None if seed is None else seed + 1)
        index, term = (0, sigmoid_exposure) if wanted.decorrelation == "mse_oe" else (1, margin_exposure(wanted.margin))
        found = term((mse, kl)[index], outliers[index], weight)
        return {"loss": plain - strength * found, **parts, "exposure": found}

    return loss


def per_jet(network: VariationalNetwork, parameters: Mapping[str, Any], x: Any, seed: Any) -> tuple[Any, Any]:
    """MSE and KL of each jet, (members, n) each, of jets x (members, n, inputs); means, see `jet_loss`.

    With a seed z is sampled, otherwise it is the mean.
    """
    import tensorflow as tf

    code = network.encoder.apply(parameters[ENCODER], x)
    mean, log_variance = code[..., : network.latent], code[..., network.latent :]
    output = network.decoder.apply(parameters[DECODER], sampled(mean, log_variance, seed))
    mse = tf.reduce_mean(tf.square(output - x), axis=-1)
    return mse, latent_divergence(mean, log_variance) / network.latent


def sigmoid_exposure(inliers: Any, outliers: Any, weight: Any) -> Any:
    """L_OE = ⟨sigmoid(MSE_OoD − MSE_InD)⟩ of equation 12, (members,): it grows as outliers rise above inliers.

    The mean is over all pairs of an inlier and an outlier of the batch, (members, n) each: the expectation of
    equation 11 over independent draws. `weight` (members, n) is that of the inliers.
    """
    import tensorflow as tf

    return _over_pairs(tf.sigmoid(outliers[:, None, :] - inliers[:, :, None]), weight)


def margin_exposure(margin: float) -> Callable[[Any, Any, Any], Any]:
    """L_OE = ⟨min{0, KL_OoD − KL_InD − margin}⟩ of equation 13; as `sigmoid_exposure`, 0 once outliers are that much
    above inliers."""

    def term(inliers: Any, outliers: Any, weight: Any) -> Any:
        import tensorflow as tf

        return _over_pairs(tf.minimum(outliers[:, None, :] - inliers[:, :, None] - margin, 0.0), weight)

    return term


def _over_pairs(values: Any, weight: Any) -> Any:
    """(members,) mean of values (members, inliers, outliers); an outlier counts if its row does."""
    import tensorflow as tf

    counted = tf.cast(weight > 0, tf.float32)
    pairs = weight[:, :, None] * counted[:, None, :]
    return tf.math.divide_no_nan(tf.reduce_sum(values * pairs, axis=[1, 2]), tf.reduce_sum(pairs, axis=[1, 2]))
