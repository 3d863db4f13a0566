"""Background predicted directly by reweighted simulation: equation 2.4 of arXiv:2001.05001, with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml.errors import TrainingError
from ml.reweighting import effective_sample_size
from ml.selection import passing, thresholds
from ml.window import Band, Window, inside


@dataclass(frozen=True)
class ScoredEvents:
    """Events with the score of the window classifier, out of fold; every array is (n,).

    Attributes:
        mass: resonance mass, GeV.
        weight: event weights.
        score: larger is more anomalous.
        fold: index of each event's fold, as `CrossFit.index` gives it.
    """

    mass: np.ndarray
    weight: np.ndarray
    score: np.ndarray
    fold: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in vars(self).items()}
        if len(set(lengths.values())) != 1:
            raise TrainingError(f"scored events need columns of one length: got {lengths}")


@dataclass(frozen=True)
class Validation:
    """Prediction against observation in one validation band, or in all of them, at the thresholds of the window.

    Attributes:
        bands: GeV.
        observed, predicted: sums of weights.
        uncertainty: statistical, of observed/predicted; None without a prediction.
    """

    bands: tuple[Band, ...]
    observed: float
    predicted: float
    uncertainty: float | None

    @property
    def beyond_statistics(self) -> float | None:
        """√((observed/predicted − 1)² − uncertainty²), 0 where the statistics cover it; None without a prediction."""
        if self.uncertainty is None:
            return None
        return float(np.sqrt(max((self.observed / self.predicted - 1) ** 2 - self.uncertainty**2, 0.0)))


@dataclass(frozen=True)
class DirectBackground:
    """Prediction of the background in the window above the thresholds that keep `efficiency` of the data.

    Attributes:
        efficiency: of the data in the window.
        observed: sum of data weights.
        predicted: Σ w, normalised to the data in the sidebands.
        unweighted: the same without reweighting.
        statistical: of the simulation, √Σw², and of the sidebands that normalise it.
        ensemble: standard deviation of the prediction over the members of the reweighting.
        unweighted_statistical: its statistical uncertainty.
        closure: the disagreement in all validation bands together, observed over predicted, beyond its statistics,
            times the prediction; None without validation bands (or without a prediction in them). Signal that
            reaches into the bands raises it.
        uncertainty: the three in quadrature.
        effective_events: (Σw)²/Σw² of the simulated events behind the prediction.
        validation: what the bands say.
    """

    efficiency: float
    observed: float
    predicted: float
    unweighted: float
    unweighted_statistical: float
    statistical: float
    ensemble: float
    closure: float | None
    uncertainty: float
    effective_events: float
    validation: tuple[Validation, ...] = ()

    @property
    def validation_observed(self) -> float | None:
        """Sum over validation bands; None without any."""
        return float(sum(v.observed for v in self.validation)) if self.validation else None

    @property
    def validation_predicted(self) -> float | None:
        """Sum over validation bands; None without any."""
        return float(sum(v.predicted for v in self.validation)) if self.validation else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        totals = {"validation_observed": self.validation_observed, "validation_predicted": self.validation_predicted}
        bands = [
            {"band": list(v.bands[0]), "observed": v.observed, "predicted": v.predicted, "uncertainty": v.uncertainty}
            for v in self.validation
        ]
        return asdict(self) | totals | {"validation": bands}


def direct_background(
    data: ScoredEvents,
    simulation: ScoredEvents,
    *,
    weights: np.ndarray,
    window: Window,
    efficiencies: Sequence[float],
    members: np.ndarray | None = None,
) -> list[DirectBackground]:
    """Σ w(x|m)·1[g(x) > c] over the simulation in the window (equation 2.4), one result for each efficiency.

    The thresholds are set on the data in the window, within each fold. One factor brings the weighted simulation to
    the data's yield in the sidebands, here again although the weights are normalised in training: these are the events
    out of fold, in sidebands and window alike, so that what f learnt by heart cancels. The unweighted prediction
    and that of each member have their own factor.

    The bands are taken together: the largest of several disagreements would mostly be the largest fluctuation.

    The uncertainty has no part for the size of the samples that f was trained on, beyond what the validation bands
    show. Observed counts fluctuate, and thresholds follow them: for a pull, add √observed.

    Args:
        data, simulation: all events, out of fold, whatever their mass.
        weights: (n_simulation,) factors w that multiply the simulation's event weights. They had better come from
            an f that no part of the training of these scores used, see `ml.salad.other_weight_columns`.
        window: signal window, sidebands, validation bands.
        efficiencies: of the data in the window, above 0 and at most 1.
        members: (n_simulation, n_members) the same factors of each member; None leaves `ensemble` 0.

    Raises:
        TrainingError: no events, or no positive sum of weights, of either sample in window or sidebands; weights that
            are not finite or of another length; an impossible efficiency.
    """
    weights, members = _checked(simulation, weights, members)
    used = simulation.weight * weights
    window.require_events(data.mass, data.weight)
    window.require_events(simulation.mass, used)
    predictor = _Predictor(data, simulation, used, window)
    variants = [_Predictor(data, simulation, simulation.weight * w, window) for w in members.T]
    constant = _Predictor(data, simulation, simulation.weight, window)
    cut_on = window.in_signal(data.mass)
    results = []
    for efficiency in efficiencies:
        cuts = thresholds(data.score[cut_on], data.fold[cut_on], efficiency, weight=data.weight[cut_on])
        above = (passing(data.score, data.fold, cuts), passing(simulation.score, simulation.fold, cuts))
        results.append(_result(float(efficiency), predictor, variants, constant, window, above))
    return results


class _Predictor:
    """Sums over bands of one set of simulation weights, normalised in the sidebands."""

    def __init__(self, data: ScoredEvents, simulation: ScoredEvents, used: np.ndarray, window: Window) -> None:
        self.data, self.simulation, self.used = data, simulation, used
        observed = data.weight[window.sideband_index(data.mass) >= 0]
        predicted = used[window.sideband_index(simulation.mass) >= 0]
        self.factor = float(observed.sum() / predicted.sum())
        self.relative_variance = float(
            (observed**2).sum() / observed.sum() ** 2 + (predicted**2).sum() / predicted.sum() ** 2
        )

    def passing(self, bands: Sequence[Band], above: np.ndarray) -> np.ndarray:
        """Normalised weights of the simulated events above the thresholds in any of the bands."""
        return self.factor * self.used[above & _within(self.simulation.mass, bands)]

    def predict(self, bands: Sequence[Band], above: np.ndarray) -> tuple[float, float]:
        """Prediction in bands and its statistical variance; that of one event of mean weight where none passes."""
        kept = self.passing(bands, above)
        if not len(kept):
            everything = self.passing(bands, np.ones(len(self.used), dtype=bool))
            return 0.0, float(np.mean(everything)) ** 2 if len(everything) else 0.0
        total = float(kept.sum())
        return total, float((kept**2).sum()) + total**2 * self.relative_variance

    def validate(self, bands: Sequence[Band], above: tuple[np.ndarray, np.ndarray]) -> Validation:
        """Observation against prediction in validation bands, taken together."""
        weight = self.data.weight[above[0] & _within(self.data.mass, bands)]
        observed = float(weight.sum())
        predicted, variance = self.predict(bands, above[1])
        if not predicted > 0:
            return Validation(tuple(bands), observed, predicted, None)
        ratio = observed / predicted
        # where nothing is observed, the Poisson variance is that of the prediction
        own = float((weight**2).sum()) if len(weight) else predicted
        return Validation(tuple(bands), observed, predicted, float(np.sqrt(own + ratio**2 * variance) / predicted))


def _within(mass: np.ndarray, bands: Sequence[Band]) -> np.ndarray:
    """(n,) bool: whether each mass lies in one of the bands."""
    found = np.zeros(len(mass), dtype=bool)
    for band in bands:
        found |= inside(mass, band)
    return found


def _result(
    efficiency: float,
    predictor: _Predictor,
    variants: Sequence[_Predictor],
    constant: _Predictor,
    window: Window,
    above: tuple[np.ndarray, np.ndarray],
) -> DirectBackground:
    signal = (window.signal,)
    predicted, variance = predictor.predict(signal, above[1])
    plain, plain_variance = constant.predict(signal, above[1])
    each = [variant.predict(signal, above[1])[0] for variant in variants]
    ensemble = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
    beyond = predictor.validate(window.validation, above).beyond_statistics if window.validation else None
    closure = None if beyond is None else beyond * predicted
    data = predictor.data
    return DirectBackground(
        efficiency=efficiency,
        observed=float(data.weight[above[0] & window.in_signal(data.mass)].sum()),
        predicted=predicted,
        unweighted=plain,
        unweighted_statistical=float(np.sqrt(plain_variance)),
        statistical=float(np.sqrt(variance)),
        ensemble=ensemble,
        closure=closure,
        uncertainty=float(np.sqrt(variance + ensemble**2 + (closure or 0.0) ** 2)),
        effective_events=effective_sample_size(predictor.passing(signal, above[1])),
        validation=tuple(predictor.validate((band,), above) for band in window.validation),
    )


def _checked(
    simulation: ScoredEvents, weights: np.ndarray, members: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    count = len(simulation.mass)
    weights = np.asarray(weights, dtype=np.float64)
    members = np.zeros((count, 0)) if members is None else np.asarray(members, dtype=np.float64)
    if weights.shape != (count,) or members.ndim != 2 or len(members) != count:
        raise TrainingError(
            f"weights must be (n,) and members (n, n_members) for {count} simulated events: got {weights.shape} and "
            f"{members.shape}"
        )
    if not (np.isfinite(weights).all() and np.isfinite(members).all()):
        raise TrainingError("weights of simulated events are NaN or infinite: the reweighting went wrong")
    return weights, members
