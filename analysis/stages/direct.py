"""The background that weighted simulation predicts in the window, over what is there: equation 2.4 of SALAD.

Simulated events that the classifier of one fold selects carry weights of the other folds' reweighting (see
`ml.salad.other_weight_columns`): best with two folds, where the two share no training event. Every independent training
of a detector predicts; quoted are their mean and, as an uncertainty, their spread.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.numbers import plain_z
from analysis.stages.process import processed
from analysis.stages.searched import Searched, searched, window_of
from analysis.stages.simulated import simulation_name
from analysis.stages.train import trained
from analysis.stages.weighted import Predicting, comparing_pairs, predicting, window_for
from analysis.store import code_key, content_key, library_versions
from ml import Window
from ml.background import DirectBackground, ScoredEvents, direct_background
from ml.selection import select
from stats import StatisticsError
from stats.abcd.significance import excess_significance

logger = logging.getLogger(__name__)

LARGEST_ERROR = 0.5  # of a prediction that an excess is measured against


@dataclass(frozen=True)
class DirectEstimate:
    """The predictions of one detector on one sample.

    Attributes:
        entries: one for each efficiency, as under `direct_background` in results.json: the mean over independent
            trainings, and each of these in `repeats`.
        key: changes when any of them does.
    """

    sample: str
    detector: str
    entries: list[Mapping[str, Any]]
    key: str

    def headline(self) -> str:
        """Return observed and predicted events at the tightest efficiency with a prediction, in one line."""
        told = [one for one in self.entries if one["predicted"] > 0]
        if not told:
            return "no simulated event passes at any efficiency"
        last = min(told, key=lambda one: float(one["efficiency"]))
        z = "no significance" if last["z"] is None else plain_z(last["z"])
        text = (
            f"at {last['efficiency']:.3g} of the data {last['observed']:,.0f} events observed, "
            f"{last['predicted']:.1f} ± {last['uncertainty']:.1f} predicted ({z})"
        )
        if "true_background" not in last:
            return text
        ratios = [
            f"{one['ratio']:.2f} ± {one['ratio_statistical']:.2f} at {one['efficiency']:.3g}"
            for one in told
            if one["ratio"] is not None
        ]
        return f"{text}; predicted over true background {', '.join(ratios)}" if ratios else text


def direct(run: SearchRun) -> dict[tuple[str, str], DirectEstimate]:
    """Predict the background of every sample by every detector that weighs simulation; empty where there is none."""
    return {
        (sample, detector): run.once(f"direct {sample} {detector}", partial(_estimated, run, sample, detector))
        for sample, detector in comparing_pairs(run)
    }


def direct_results(run: SearchRun) -> dict[str, dict[str, list[Mapping[str, Any]]]]:
    """Return `direct_background` of results.json: sample → detector → entries."""
    results: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for (sample, detector), one in direct(run).items():
        results.setdefault(sample, {})[detector] = one.entries
    return results


def _estimated(run: SearchRun, sample: str, detector: str) -> DirectEstimate:
    one, name = searched(run, sample), simulation_name(run, detector)
    assert name is not None  # it would not have been trained
    key = content_key(
        trained(run, sample, detector).key, processed(run, name).key, window_of(run, detector), one.key,
        run.search.direct, library_versions(),
        code_key("ml.background", "ml.salad", "stats.abcd", "analysis.stages.weighted", __name__),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/direct/{sample}-{detector}", key, lambda target: _estimate(run, one, detector, target)
    )
    return DirectEstimate(sample, detector, read_json(folder / "direct.json"), key)


def _estimate(run: SearchRun, sample: Searched, detector: str, folder: Path) -> None:
    logger.info("predicting the background of %s by %s", sample.name, detector)
    fold = trained(run, sample.name, detector).fold_index
    repeats = [
        _of_repeat(sample, fold, one, window_for(run, detector), run.search.direct.efficiencies)
        for one in predicting(run, sample.name, detector)
    ]
    write_json(folder / "direct.json", [together(list(entries)) for entries in zip(*repeats, strict=True)])


def _of_repeat(
    sample: Searched, fold: np.ndarray, one: Predicting, window: Window, efficiencies: Sequence[float]
) -> list[dict[str, Any]]:
    """Return the predictions of one training, one for each efficiency, with what they are compared with."""
    data = ScoredEvents(sample.events["mjj"], sample.events["weight"], one.data_score, fold)
    simulation = ScoredEvents(one.events["mjj"], one.events["weight"], one.score, one.fold)
    predictions = direct_background(
        data, simulation, weights=one.value, members=one.members, window=window, efficiencies=efficiencies
    )
    return [_entry(sample, data, window, prediction) for prediction in predictions]


def _entry(sample: Searched, data: ScoredEvents, window: Window, one: DirectBackground) -> dict[str, Any]:
    """Return one prediction with what it is compared with: the true background, else what was observed."""
    inside = np.flatnonzero(window.in_signal(data.mass))
    weight = data.weight[inside]
    kept = inside[select(data.score[inside], data.fold[inside], one.efficiency, weight=weight)]
    truth = sample.events["truth"][kept]
    known = {"true_background": int((truth == 0).sum()), "n_signal": int((truth == 1).sum())}
    compared = kept[truth == 0] if sample.truth_known else kept
    there = data.weight[compared]
    return {
        **one.to_dict(),
        **(known if sample.truth_known else {}),
        **_ratios(one, float(there.sum()), float(np.square(there).sum())),
    }


def together(repeats: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean over independent trainings of entries at one efficiency, with their spread and significance.

    Uncertainties, too, are means over the trainings: these share their events. `training`, the standard deviation of
    the prediction over the trainings, is added in quadrature to the uncertainty. It is 0 for one training, which cannot
    tell.
    """
    mean: dict[str, Any] = {key: _mean([one[key] for one in repeats]) for key in repeats[0] if key != "validation"}
    bands = zip(*(one["validation"] for one in repeats), strict=True)
    mean["validation"] = [
        {key: band[0][key] if key == "band" else _mean([one[key] for one in band]) for key in band[0]} for band in bands
    ]
    spread = _spread([one["predicted"] for one in repeats])
    parts = (mean["statistical"], mean["ensemble"], mean["closure"] or 0.0, spread)
    mean |= {"training": spread, "uncertainty": float(np.linalg.norm(parts))}
    if mean["ratio"] is not None:
        off = _spread([one["ratio"] for one in repeats])
        mean |= {"ratio_spread": off, "ratio_total": float(np.hypot(mean["ratio_total"], off))}
    names = ("observed", "true_background", "n_signal", "predicted", "ratio", "unweighted_ratio")
    mean["repeats"] = [{key: one[key] for key in names if key in one} for one in repeats]
    return mean | _significance(mean)


def _mean(values: Sequence[Any]) -> float | int | None:
    """Return the mean of the numbers that are known, as it is where they are the same; None without any."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    first: float | int = known[0]
    return first if all(value == first for value in known) else float(np.mean(known))


def _spread(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else 0.0


def _ratios(one: DirectBackground, there: float, variance: float) -> dict[str, float | None]:
    """Return predicted over `there`, with errors to which the Poisson `variance` of `there` contributes."""
    names = ("ratio", "ratio_statistical", "ratio_total", "unweighted_ratio", "unweighted_ratio_statistical")
    if there <= 0:
        return dict.fromkeys(names, None)
    ratio, other = one.predicted / there, one.unweighted / there
    own = variance / there**2

    def error(uncertainty: float, of: float) -> float:
        return float(np.sqrt((uncertainty / there) ** 2 + of**2 * own))

    values = (
        ratio,
        error(one.statistical, ratio),
        error(one.uncertainty, ratio),
        other,
        error(one.unweighted_statistical, other),
    )
    return dict(zip(names, values, strict=True))


def _significance(entry: Mapping[str, Any]) -> dict[str, float | None]:
    """Return Z_Bi of the observed over the predicted events, and equation 4.1's.

    None where nothing is predicted, or with an uncertainty above half of the prediction: Z_Bi takes it for a count of
    so few events that a prediction of 1 ± 8 might as well be one of 45.
    """
    if entry["uncertainty"] > LARGEST_ERROR * entry["predicted"]:
        return {"z": None, "z_simple": None}
    try:
        found = excess_significance(entry["observed"], entry["predicted"], entry["uncertainty"]).to_dict()
    except StatisticsError:
        return {"z": None, "z_simple": None}
    return {"z": found["z"], "z_simple": found["simple"]}
