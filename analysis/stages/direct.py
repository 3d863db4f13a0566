"""The background that weighted simulation predicts in the window, over what is there: equation 2.4 of SALAD."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.numbers import plain_z
from analysis.stages.searched import Searched, searched
from analysis.stages.train import Trained, trained
from analysis.stages.weighted import Weighted, comparing_pairs, weighted, window_for
from analysis.store import code_key, content_key, library_versions
from ml import Window
from ml.background import DirectBackground, ScoredEvents, direct_background
from ml.selection import select
from stats import StatisticsError
from stats.abcd.significance import excess_significance

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DirectEstimate:
    """The predictions of one detector on one sample.

    Attributes:
        entries: one for each efficiency, as under `direct_background` in results.json.
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
        text = (
            f"at {last['efficiency']:.3g} of the data {last['observed']:,.0f} events observed, "
            f"{last['predicted']:.1f} ± {last['uncertainty']:.1f} predicted ({plain_z(last['z'])})"
        )
        beyond = [abs(one["ratio"] - 1) - one["ratio_statistical"] for one in told if one["ratio"] is not None]
        if not beyond:
            return text
        what = "true background" if "true_background" in last else "observed"
        return f"{text}; predicted/{what} off by at most {max(0.0, *beyond):.1%} beyond its statistical error"


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
    seen = weighted(run, sample, detector)
    key = content_key(
        seen.key, searched(run, sample).key, run.search.direct, code_key("ml.background", "stats.abcd", __name__),
        library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/direct/{sample}-{detector}", key, lambda target: _estimate(run, seen, target)
    )
    return DirectEstimate(sample, detector, read_json(folder / "direct.json"), key)


def _estimate(run: SearchRun, seen: Weighted, folder: Path) -> None:
    logger.info("predicting the background of %s by %s", seen.sample, seen.detector)
    sample, found = searched(run, seen.sample), trained(run, seen.sample, seen.detector)
    window = window_for(run, seen.detector)
    data = ScoredEvents(sample.events["mjj"], sample.events["weight"], found.score, found.fold_index)
    simulation = ScoredEvents(seen.events["mjj"], seen.events["weight"], seen.score, seen.fold)
    efficiencies = run.search.direct.efficiencies
    predictions = direct_background(
        data, simulation, weights=seen.value, members=seen.members, window=window, efficiencies=efficiencies
    )
    plain = direct_background(data, simulation, weights=seen.constant, window=window, efficiencies=efficiencies)
    entries = [_entry(sample, found, window, *both) for both in zip(predictions, plain, strict=True)]
    write_json(folder / "direct.json", entries)


def _entry(
    sample: Searched, found: Trained, window: Window, one: DirectBackground, plain: DirectBackground
) -> dict[str, Any]:
    """Return one prediction with what it is compared with: the true background, else what was observed."""
    inside = np.flatnonzero(window.in_signal(sample.events["mjj"]))
    weight = sample.events["weight"][inside]
    kept = inside[select(found.score[inside], found.fold_index[inside], one.efficiency, weight=weight)]
    truth = sample.events["truth"][kept]
    known = {"true_background": int((truth == 0).sum()), "n_signal": int((truth == 1).sum())}
    compared = kept[truth == 0] if sample.truth_known else kept
    there = sample.events["weight"][compared]
    return {
        **one.to_dict(),
        **(known if sample.truth_known else {}),
        "unweighted_statistical": plain.statistical,
        **_ratios(one, plain, float(there.sum()), float(np.square(there).sum())),
        **_significance(one),
    }


def _ratios(one: DirectBackground, plain: DirectBackground, there: float, variance: float) -> dict[str, float | None]:
    """Return predicted over `there`, with errors to which the Poisson `variance` of `there` contributes."""
    names = ("ratio", "ratio_statistical", "ratio_total", "unweighted_ratio", "unweighted_ratio_statistical")
    if there <= 0:
        return dict.fromkeys(names, None)
    ratio, other = one.predicted / there, plain.predicted / there
    own = variance / there**2

    def error(uncertainty: float, of: float) -> float:
        return float(np.sqrt((uncertainty / there) ** 2 + of**2 * own))

    values = (
        ratio,
        error(one.statistical, ratio),
        error(one.uncertainty, ratio),
        other,
        error(plain.statistical, other),
    )
    return dict(zip(names, values, strict=True))


def _significance(one: DirectBackground) -> dict[str, float | None]:
    """Return Z_Bi of the observed over the predicted events, and equation 4.1's; None where nothing is predicted."""
    try:
        found = excess_significance(one.observed, one.predicted, one.uncertainty).to_dict()
    except StatisticsError:
        return {"z": None, "z_simple": None}
    return {"z": found["z"], "z_simple": found["simple"]}
