"""What each score of a latent-space autoencoder is worth where the truth is known, member by member.

The sign of the paper's scores is not known without labels: the figures stand beside those of the same scores with every
member turned to the side that the labels call better, which shows what that knowledge is worth and is no result.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.events import Events, joined
from analysis.files import read_json, write_json
from analysis.stages.searched import as_sample, columns_of, searched
from analysis.stages.train import crossfit_of, trained
from analysis.store import code_key, content_key, library_versions
from ml import Detector, Sample
from ml.latent_baselines import baselines
from ml.latent_scores import SCORES
from ml.latent_settings import LatentVAESettings
from ml.latent_vae import LatentVAE
from ml.metrics import auc, background_rejection, sic_at
from ml.settings import settings_from_mapping

EFFICIENCY = 0.5  # of the signal


def latent_scores(run: SearchRun) -> dict[str, dict[str, dict[str, Any]]]:
    """Return by sample, detector of type latent_vae and score: AUC, 1/ε_B and SIC at ε_S = 0.5.

    Each of the ensemble, as the members' mean and spread, and flipped; beside them what needs no network
    (`ml.latent_baselines`). All events count, and all signal events, injected or not. Samples whose truth is not known,
    or that have no signal to inject, are left out, and so are members without the score, as their posterior collapsed.
    """
    have = [name for name, one in run.search.detectors.items() if one.type == "latent_vae"]
    known = [name for name in run.search.data if have and _both_classes(run, name)]
    return {
        sample: {name: run.once(f"latent scores {sample} {name}", partial(_scores, run, sample, name)) for name in have}
        for sample in known
    }


def _scores(run: SearchRun, sample: str, detector: str) -> dict[str, Any]:
    key = content_key(trained(run, sample, detector).key, code_key("ml", __name__), library_versions())
    folder = run.results_store.make(
        f"stages/latent-scores/{sample}-{detector}",
        key,
        lambda target: write_json(target / "scores.json", _measured(run, sample, detector)),
    )
    return dict(read_json(folder / "scores.json"))


def _measured(run: SearchRun, sample: str, detector: str) -> dict[str, Any]:
    events, folds = _events(run, sample), crossfit_of(run, sample, detector)
    truth, weight = events["truth"], np.asarray(events["weight"], np.float64)
    one = run.search.detectors[detector]
    content = as_sample(events, columns_of(one))
    arrays = folds.map(content, _member_scores)
    settings = settings_from_mapping(LatentVAESettings, one.settings, where=f"settings of {detector}")
    fitted = np.arange(len(truth)) < len(searched(run, sample).events["truth"])
    plain = baselines(content, settings, fitted=fitted)
    finite = {name: arrays[name].T[np.isfinite(arrays[name]).all(axis=0)] for name in SCORES}
    return {name: _of_score(members, truth, weight) for name, members in finite.items() if len(members)} | {
        name: {"ensemble": _figures(score, truth, weight)} for name, score in plain.items()
    }


def _member_scores(detector: Detector, part: Sample) -> dict[str, np.ndarray]:
    """(n_events, members) of each score."""
    assert isinstance(detector, LatentVAE)
    blocks = list(detector.member_scores(part))
    return {name: np.concatenate([block[name] for block in blocks], axis=1).astype(np.float32).T for name in SCORES}


def _events(run: SearchRun, sample: str) -> Events:
    data = searched(run, sample)
    return data.events if data.spare is None else joined(data.events, data.spare)


def _both_classes(run: SearchRun, sample: str) -> bool:
    truth = _events(run, sample)["truth"]
    return searched(run, sample).truth_known and bool((truth == 1).any() and (truth == 0).any())


def _of_score(members: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
    each = [_figures(one, truth, weight) for one in members]
    signs = np.array([1.0 if one["auc"] >= 0.5 else -1.0 for one in each])
    turned = members * signs[:, None].astype(np.float32)
    return {
        "ensemble": _figures(members.mean(axis=0), truth, weight),
        "members": _mean_and_spread(each),
        "flipped_by_labels": {
            "ensemble": _figures(turned.mean(axis=0), truth, weight),
            "members": _mean_and_spread([_figures(one, truth, weight) for one in turned]),
            "n_flipped": int((signs < 0).sum()),
        },
    }


def _figures(score: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    sic = sic_at(score, truth, EFFICIENCY, weight=weight)
    return {
        "auc": auc(score, truth, weight=weight).value,
        "background_rejection_at_0.5": background_rejection(score, truth, EFFICIENCY, weight=weight).value,
        "sic_at_0.5": sic.value,
        "sic_at_0.5_uncertainty": sic.uncertainty,
        "n_signal": int((truth == 1).sum()),
        "n_background": int((truth == 0).sum()),
    }


def _mean_and_spread(each: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    ddof = 1 if len(each) > 1 else 0
    return {
        name: {
            "mean": float(np.mean([one[name] for one in each])),
            "spread": float(np.std([one[name] for one in each], ddof=ddof)),
        }
        for name in each[0]
        if not name.endswith("_uncertainty") and not name.startswith("n_")
    }
