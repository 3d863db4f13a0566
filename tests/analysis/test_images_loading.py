"""Images that detectors are handed are those of the constituents of the same events, whatever became of their order."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from analysis import constituents
from analysis.context import SearchRun
from analysis.errors import ConfigurationError, StageError
from analysis.events import Events, joined
from analysis.pipeline import check_detectors
from analysis.search_file import load_search
from analysis.stages.inputs import detector_sample, images_wanted
from analysis.stages.process import processed
from analysis.stages.searched import as_sample, searched
from analysis.stages.signals import scores_of, simulated_events
from analysis.stages.simulated import simulation_sample
from analysis.stages.train import trained
from analysis.stages.weighted import events_as_sample
from ml.image_batches import JetImageSettings, WantedImages
from ml.registry import DETECTORS
from processors import ImageSettings, JetImages
from tests.analysis.conftest import CommandLine
from tests.analysis.statistics_search import run_of
from tests.analysis.training_toys import Seen

WANTED = WantedImages(("j1", "j2"), JetImageSettings(pixels=8))
TINY = {"filters": [2], "latent": 2, "epochs": 1, "images": {"pixels": 8}, "jet": "j2"}


def image_search(events_folder: Path, signals: Path, **changes: Any) -> dict[str, Any]:
    files = [str(events_folder / f"dijet-00{i}.root") for i in (0, 1)]
    return {
        "name": "images",
        "datasets": {
            "background": {"files": files},
            "resonance": {"files": [str(signals / "resonance.root")], "role": "signal"},
            "other": {"files": [str(signals / "other.root")], "role": "simulation"},
        },
        "processing": {"constituents": 15, "chunksize": 400},
        "mixtures": {"hidden": {"background": "background", "signal": "resonance", "fraction": 0.05}},
        "data": "hidden",
        "detectors": {"ae": {"type": "image_autoencoder", "folds": 2, "settings": TINY}},
        **changes,
    }


@pytest.fixture(scope="module")
def run(events_folder: Path, signals_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    return run_of(tmp_path_factory.mktemp("images"), image_search(events_folder, signals_folder))


def by_hand(run: SearchRun, events: Events, jets: tuple[str, ...] = ("j1", "j2")) -> np.ndarray:
    """Images (n, jets, 8, 8) from the Parquet files of all data sets, found by file and entry one by one."""
    folders = [processed(run, name).directory / "columns" for name in ("background", "resonance", "other")]
    stored = ak.concatenate([ak.from_parquet(file) for folder in folders for file in sorted(folder.rglob("*.parquet"))])
    place = {key: i for i, key in enumerate(zip(stored.file_id.tolist(), stored.entry.tolist(), strict=True))}
    rows = [place[key] for key in zip(events["file_id"].tolist(), events["entry"].tolist(), strict=True)]
    images = []
    for jet in jets:
        columns = [stored[f"{jet}_constituents_{name}"][rows] for name in ("pt", "eta", "phi")]
        images.append(JetImages.from_ragged(*columns, settings=ImageSettings(pixels=8))(np.arange(len(rows))))
    return np.stack(images, axis=1)


def images_in(events: Events, wanted: WantedImages = WANTED) -> np.ndarray:
    batch = as_sample(events, (), batch=wanted).batch
    assert batch is not None
    return batch(np.arange(len(events)))


def test_images_of_a_data_set_are_those_of_its_constituents(run: SearchRun) -> None:
    events = processed(run, "background").events([])
    assert len(processed(run, "background").summary["parts"]["nominal"]) > 2
    expected = by_hand(run, events)
    found = images_in(events)
    assert found.shape == (len(events), 2, 8, 8)
    np.testing.assert_array_equal(found, expected)
    assert (found.sum(axis=(2, 3)) > 0.99).mean() > 0.9  # images, not zeros
    order = np.random.default_rng(1).permutation(len(events))[:50]
    np.testing.assert_array_equal(images_in(events.take(order)), expected[order])
    one = images_in(events, WantedImages(("j2",), WANTED.settings))
    np.testing.assert_array_equal(one, expected[:, 1])
    assert images_in(events.take(order[:0])).shape == (0, 2, 8, 8)


def test_images_of_a_mixture_follow_its_events(run: SearchRun) -> None:
    sample = searched(run, "hidden")
    assert sample.spare is not None
    both = joined(sample.events, sample.spare)
    assert 0 < (both["truth"] == 1).sum() < len(both)
    expected = by_hand(run, both)
    np.testing.assert_array_equal(images_in(both), expected)
    rows = np.flatnonzero(both["mjj"] > 3000)[::-1]
    np.testing.assert_array_equal(images_in(both.take(rows)), expected[rows])
    # the same data set twice is read once
    doubled = joined(both, sample.events)
    assert doubled.constituents is not None
    assert len(doubled.constituents.stores) == 2
    np.testing.assert_array_equal(images_in(doubled)[len(both) :], expected[: len(sample.events)])


def test_every_role_of_a_detector_has_its_images(
    run: SearchRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events_folder: Path, signals_folder: Path
) -> None:
    monkeypatch.setitem(DETECTORS, "seen", (Seen.__module__, "Seen", "SeenSettings"))
    monkeypatch.setattr(Seen, "needs_images", WANTED)
    detectors = {"seen": {"type": "seen", "folds": 2}, "cwola": {"type": "cwola", "folds": 2}}
    window = {"signal": [3300, 3700], "sidebands": [[2900, 3300], [3700, 4100]]}
    changed = image_search(events_folder, signals_folder, detectors=detectors, simulation="other", window=window)
    other = run_of(tmp_path, changed, data=run.catalogue.directory)
    simulation = simulation_sample(other, "seen")
    assert simulation is not None
    assert simulation.batch is not None
    expected = by_hand(run, simulated_events(other, "other"))
    np.testing.assert_array_equal(simulation.batch(np.arange(len(simulation))), expected)
    found = events_as_sample(other, "seen", searched(other, "hidden").events).batch
    assert found is not None
    np.testing.assert_array_equal(
        found(np.arange(9)), by_hand(run, searched(other, "hidden").events.take(np.arange(9)))
    )
    # events that no detector wants images of are left alone
    assert images_wanted(other.search.detectors["cwola"]) is None
    assert events_as_sample(other, "cwola", searched(other, "hidden").events).batch is None


def test_a_search_trains_and_scores_with_images(run: SearchRun) -> None:
    found, sample = trained(run, "hidden", "ae"), searched(run, "hidden")
    assert sample.spare is not None
    assert found.spare_score is not None
    assert found.score.shape == (len(sample.events),)
    assert found.summary["measured"]["auc"]["value"] > 0
    # simulated signal is scored with its own images: those of the events left over are the same
    signal = simulated_events(run, "resonance")
    score, _ = scores_of(run, "hidden", "ae", signal)
    place = {int(key): i for i, key in enumerate(signal.event_id)}
    rows = [place[int(key)] for key in sample.spare.event_id]
    np.testing.assert_allclose(score[rows], found.spare_score, rtol=1e-4)


def test_what_decides_images_is_part_of_the_key_of_a_training(run: SearchRun, tmp_path: Path) -> None:
    events = searched(run, "hidden").events

    def digest(own: Events, wanted: WantedImages) -> str:
        return as_sample(own, (), batch=wanted).digest(labels=False)

    usual = digest(events, WANTED)
    assert usual == digest(events, WANTED)
    assert usual != as_sample(events, ()).digest(labels=False)
    for other in (WantedImages(("j1",), WANTED.settings), WantedImages(WANTED.jets, JetImageSettings(pixels=10))):
        assert digest(events, other) != usual
    # other images of the same events, and the same ones elsewhere
    assert events.constituents is not None
    mixed_up = replace(events, constituents=events.constituents.take(np.arange(len(events))[::-1]))
    assert digest(mixed_up, WANTED) != usual
    store = events.constituents.stores[0]
    place = tmp_path / Path(store.directory).parent.name / "columns"
    shutil.copytree(store.directory, place)
    moved = replace(events.constituents, stores=(replace(store, directory=str(place)), *events.constituents.stores[1:]))
    assert digest(replace(events, constituents=moved), WANTED) == usual
    # of some rows, and of others of the same number
    half = as_sample(events, (), batch=WANTED)
    first, again, second = (half.select(np.arange(i, i + 20)) for i in (0, 0, 20))
    assert first.digest(labels=False) == again.digest(labels=False) != second.digest(labels=False)
    assert first.batch.digest != second.batch.digest  # type: ignore[union-attr]


def test_a_job_carries_rows_and_the_place_of_files(run: SearchRun) -> None:
    events = searched(run, "hidden").events
    sample = detector_sample(events, run.search.detectors["ae"])
    assert sample.batch is not None
    expected = sample.batch(np.arange(30))
    travelling = pickle.dumps(sample.select(np.arange(30)))
    assert len(travelling) < 30_000 + 17 * len(events)
    constituents._images.cache_clear()
    constituents._flat.cache_clear()
    arrived = pickle.loads(travelling)  # noqa: S301 (our own, just made)
    np.testing.assert_array_equal(arrived.batch(np.arange(30)), expected)


def test_events_without_constituents_are_refused(run: SearchRun, tmp_path: Path) -> None:
    events = searched(run, "hidden").events
    with pytest.raises(StageError, match="not stored"):
        as_sample(replace(events, constituents=None), (), batch=WANTED)
    assert events.constituents is not None
    lost = replace(events.constituents.stores[0], directory=str(tmp_path))
    nowhere = replace(events, constituents=replace(events.constituents, stores=(lost,) * 2))
    with pytest.raises(StageError, match=r"cannot be read: .* Workers have to see"):
        images_in(nowhere)


def test_columns_without_constituents_are_refused(events_folder: Path, signals_folder: Path, tmp_path: Path) -> None:
    search = image_search(events_folder, signals_folder, data="other", processing={}, mixtures={}, detectors={})
    events = processed(run_of(tmp_path, search), "other").events([])
    with pytest.raises(StageError, match=r"no column 'j1_constituents_pt'.*constituents: 200"):
        images_in(events)


def test_one_option_takes_tag_n_train_to_images() -> None:
    for scale, images in ((None, False), ("images", True)):
        search, _ = load_search("tnt", scale=scale)
        check_detectors(search)
        wanted = [images_wanted(settings) for settings in search.detectors.values()]
        assert wanted == [WantedImages(("j1", "j2")) if images else None] * len(search.detectors)


@pytest.mark.parametrize(("jets", "said"), [("PFCands", "200}`. Do not save"), ("FatJet", "with `jets: PFCands`")])
def test_check_asks_for_constituents(
    darkhorse: CommandLine, events_folder: Path, signals_folder: Path, jets: str, said: str
) -> None:
    search = image_search(events_folder, signals_folder, processing={"jets": jets})
    with pytest.raises(ConfigurationError, match="The detector 'ae' learns from images"):
        check_detectors(run_of(darkhorse.folder, search).search)
    message = darkhorse.refused("check", darkhorse.folder / "images.yaml")
    assert "keeps none: add `processing: {constituents: 200}`" in message
    assert said in message
