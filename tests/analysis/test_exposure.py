"""Outliers that detectors are shown: from a data set to their training, and what a search must not expose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.errors import ConfigurationError
from analysis.pipeline import check_detectors
from analysis.search_file import load_search
from analysis.stages.exposed import exposure_sample
from analysis.stages.process import processed
from analysis.stages.train import trained
from ml.registry import DETECTORS
from tests.analysis.statistics_search import run_of
from tests.analysis.training_toys import Seen, SeenSettings


class ShownSettings(SeenSettings):
    """Found by its name in this module."""


class Shown(Seen):
    """Trains on data and outliers."""

    needs = frozenset({"data", "exposure"})
    windowed = False


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "shown", (__name__, "Shown", "ShownSettings"))
    monkeypatch.setattr(Seen, "fitted", [])


def search(events_folder: Path, signals: Path, detector: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "exposed",
        "datasets": {
            "background": {"files": [str(events_folder / "dijet-000.root")]},
            "outliers": {"files": [str(signals / "resonance.root")], "role": "exposure"},
        },
        "data": "background",
        "detectors": {"own": {"type": "shown", "folds": 2, **detector}},
    }


def test_outliers_reach_the_training(events_folder: Path, signals_folder: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path, search(events_folder, signals_folder, {"exposure": "outliers"}))
    trained(run, "background", "own")
    events = processed(run, "outliers").events(["j1_m"])
    sample = exposure_sample(run, "own")
    assert sample is not None
    np.testing.assert_array_equal(sample.columns["j1_m"], events["j1_m"])
    assert len(Seen.fitted) == 2
    seen = np.concatenate([samples["exposure"].event_id for samples, _ in Seen.fitted])
    assert sorted(seen) == sorted(events.event_id)  # two folds, of which each leaves the other's out


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["detectors.vae_oe.exposure=null"], "detectors.vae_oe.exposure: DATASET"),
        (["detectors.vae.exposure=xy_exposure"], "`detectors.vae.exposure: xy_exposure` has no effect"),
        (["detectors.vae_oe.exposure=injected"], "names a mixture"),
        (["detectors.vae_oe.exposure=wprime"], "part of what is searched.*cannot discover"),
        (["detectors.vae_oe.exposure=qcd"], "part of what is searched"),
        (["processing.constituents=0"], "constituents"),
    ],
)
def test_what_cannot_be_shown_is_told(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_detectors(load_search("jet_vae", overrides=overrides)[0])


@pytest.mark.parametrize("scale", [None, "paper"])
def test_the_ready_search_is_valid(scale: str | None) -> None:
    check_detectors(load_search("jet_vae", scale=scale)[0])
