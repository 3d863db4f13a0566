"""A search by a latent-space autoencoder, from end to end: no window, one fold, decoder, scores, maps."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analysis.config import Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.figures.latent import latent_figures
from analysis.latent_settings import LatentSettings
from analysis.numbers import format_uncertain
from analysis.pipeline import check_detectors
from analysis.plots import Label
from analysis.report.latent_tables import decoder_table, pulls_table, scores_table
from analysis.search_file import merged
from analysis.stages.latent import _fill, latent
from analysis.stages.latent_scores import _of_score
from analysis.stages.searched import searched
from analysis.stages.train import trained
from analysis.stages.trajectories import trajectories
from ml.latent_baselines import BASELINES
from ml.latent_decoder import MassDecoder, MassDecoderSettings
from ml.latent_scores import SCORES
from ml.latent_vae import LatentVAE
from ml.metrics import auc
from ml.rows import MemberRows
from ml.settings import settings_from_mapping
from tests.analysis.conftest import search_of
from tests.analysis.statistics_search import finished_run
from tests.conftest import PROJECT


def latent_search(events_folder: Path, signals_folder: Path) -> dict[str, Any]:
    """Return a search of one sample with signal by two small autoencoders, without any window."""
    search = search_of([])
    for key in ("limits", "bump_hunt", "spectrum", "window"):
        search.pop(key, None)
    small = {"members": 2, "hidden": [8], "alpha": 300, "batch_size": 200, "steps": 120, "point": 30}
    return {
        **search,
        "name": "latent",
        "datasets": {
            "background": {"files": [str(file) for file in sorted(events_folder.glob("*.root"))]},
            "resonance": {"files": [str(signals_folder / "resonance.root")], "role": "signal"},
        },
        "mixtures": {
            "some": {
                "background": "background", "signal": "resonance", "fraction": 0.05, "seed": 3, "quoted": [3400, 3600],
            }
        },
        "quoted": [3000, 4000],
        "data": ["some"],
        "detectors": {
            "vae": {"type": "latent_vae", "settings": small},
            "paper": {"type": "latent_vae", "search": False, "settings": {**small, "recipe": "paper"}},
        },
        "latent": {
            "decoder": {"hidden": [8], "batch_size": 200, "validation_fraction": 0.25, "steps": 200},
            "grid": {"mass": [2500, 6000], "points": 7},
            "subsets": 2,
            "optimizers": ["adadelta", "adam"],
            "trajectory": {"detectors": ["paper"], "members": 2, "steps": 60, "point": 30, "events": 200},
        },
        "efficiencies": [0.3],
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(
    events_folder: Path, signals_folder: Path, everything: SearchRun, tmp_path_factory: pytest.TempPathFactory
) -> SearchRun:
    """The finished search."""
    search = latent_search(events_folder, signals_folder)
    return finished_run(tmp_path_factory.mktemp("latent"), search, data=everything.catalogue.directory)


@pytest.fixture(scope="module")
def results(run: SearchRun) -> dict[str, Any]:
    """What it left in results.json."""
    return dict(json.loads((run.out / "results.json").read_text()))


def test_all_events_train_and_are_scored(run: SearchRun) -> None:
    found = trained(run, "some", "vae")
    assert found.summary["folds"] == 1
    assert (found.fold_index == 0).all()
    assert found.members is not None
    assert found.members.shape == (len(searched(run, "some").events), 2)
    np.testing.assert_allclose(found.score, found.members.mean(axis=1), rtol=1e-5, atol=1e-6)


def test_only_the_searched_autoencoder_is_read(run: SearchRun) -> None:
    assert list(latent(run)) == [("some", "vae")]


def test_arrays_fit_the_grid(run: SearchRun) -> None:
    arrays = latent(run)["some", "vae"].arrays
    features = len(latent(run)["some", "vae"].summary["features"])
    assert arrays["grid"].shape == (7, 7, features)
    assert arrays["marginals"].shape == arrays["band"].shape == (2, 7, features)
    np.testing.assert_allclose(arrays["masses"], np.linspace(2500, 6000, 7))
    truth = searched(run, "some").events["truth"]
    assert (truth[arrays["rows_signal"]] == 1).all()
    assert (truth[arrays["rows_background"]] == 0).all()
    assert arrays["reconstructed_signal"].shape == (2, len(arrays["rows_signal"]))


def test_scores_are_shown_with_and_without_the_labels_choice(results: dict[str, Any]) -> None:
    scores = results["latent_scores"]["some"]
    assert set(scores) == {"vae", "paper"}
    for found in scores.values():
        assert set(SCORES) | set(BASELINES) == set(found)
        for name in SCORES:
            assert found[name]["flipped_by_labels"]["n_flipped"] in (0, 1, 2)
        counts = {(one["ensemble"]["n_signal"], one["ensemble"]["n_background"]) for one in found.values()}
        assert len(counts) == 1


def test_signal_is_counted_where_its_mixture_says(run: SearchRun, results: dict[str, Any]) -> None:
    """In place of what the search says, for the sample and its detectors; the events are the same."""
    found, events = results["mixtures"]["some"], searched(run, "some").events
    inside, signal = events.inside((3400.0, 3600.0)), events["truth"] == 1
    s, b = (inside & signal).sum(), (inside & ~signal).sum()
    assert found["window"] == [3400, 3600]
    assert (found["n_signal_window"], found["n_background_window"]) == (s, b)
    assert found["s_over_sqrt_b_window"] == pytest.approx(s / np.sqrt(b))
    for detector in results["detectors"].values():
        assert detector["s_over_b_window"] == pytest.approx(s / b)
        assert detector["signal_fraction"] == pytest.approx(signal.mean())
    content = run.search.model_dump(mode="json", exclude_none=True)
    del content["mixtures"]["some"]["quoted"]
    other = replace(run, search=Search.model_validate(content), memory={})
    counts = searched(other, "some").counts
    assert counts is not None
    assert counts.window == (3000.0, 4000.0)
    assert searched(other, "some").key == searched(run, "some").key


def test_turned_by_labels_is_every_member_turned_to_its_better_side() -> None:
    """Two members of three are upside down: their mean is, and the turned ensemble is not."""
    truth, weight = np.repeat([0, 1], 500), np.ones(1000)
    good = truth + 0.5 * np.random.default_rng(0).standard_normal(1000)
    found = _of_score(np.stack([good, -good, -good]).astype(np.float32), truth, weight)
    own = auc(good, truth).value
    assert own > 0.85
    assert found["flipped_by_labels"]["n_flipped"] == 2
    assert found["ensemble"]["auc"] == pytest.approx(1 - own, abs=1e-6)
    assert found["members"]["auc"]["mean"] == pytest.approx((2 - own) / 3, abs=1e-6)
    turned = found["flipped_by_labels"]
    assert turned["ensemble"]["auc"] == pytest.approx(own, abs=1e-6)
    assert turned["members"]["auc"]["spread"] == pytest.approx(0, abs=1e-6)


def test_the_score_of_the_search_is_that_of_the_table(run: SearchRun, results: dict[str, Any]) -> None:
    area = trained(run, "some", "vae").summary["measured"]["auc"]["value"]
    assert results["latent_scores"]["some"]["vae"]["coordinate"]["ensemble"]["auc"] == pytest.approx(area, abs=1e-6)


def test_trainings_are_followed(run: SearchRun) -> None:
    """Those of the recipe that is named, by either optimiser."""
    ((pair, followed),) = trajectories(run).items()
    assert pair == ("some", "paper")
    assert [one.optimizer for one in followed] == ["adadelta", "adam"]
    assert all(one.auc["kl"].shape == (len(one.steps), 2) for one in followed)


def test_every_figure_of_the_paper_is_there(run: SearchRun, results: dict[str, Any]) -> None:
    captions = {name: caption for _, name, caption, _ in latent_figures(run, Label())}
    names = set(captions)
    drawn = {f"latent-{what}-some-vae" for what in ("roc", "reconstruction", "maps", "marginals")}
    assert names == drawn | {"latent-training-some-paper"}
    assert "2 trainings on random 75% of the background" in captions["latent-marginals-some-vae"]
    assert "mean score of 2 members, and as a band the range of the members" in captions["latent-roc-some-vae"]
    assert {"sic-some", "roc-some"} | names <= {one.stem for one in (run.out / "figures").glob("*.png")}
    page = (run.out / "report" / "index.html").read_text()
    assert "Latent space" in page
    table = scores_table(results)
    assert table is not None
    assert len(table.rows) == 2 * (len(SCORES) + len(BASELINES))
    assert pulls_table(results) is not None


def test_the_report_says_whether_the_decoder_converged(results: dict[str, Any]) -> None:
    found = results["latent"]["some"]["vae"]["decoder_validation_loss"]
    assert found["final"]["mean"] > 0
    assert found["final"]["spread"] > 0
    table = decoder_table(results)
    assert table is not None
    ((name, loss, change),) = table.rows
    assert name == "vae on some"
    assert loss == format_uncertain(found["final"]["mean"], found["final"]["spread"])
    assert change == format_uncertain(100 * found["change"]["mean"], 100 * found["change"]["spread"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent": {"detectors": ["cwola"]}}, "'cwola' is none of the latent_vae detectors"),
        ({"latent": {"decoder": {"hiden": [8]}}}, "has no key 'hiden': did you mean 'hidden'"),
        ({"latent": {"optimizers": ["adm"]}}, "no optimiser 'adm'"),
        ({"detectors": {"vae": {"settings": {"latent": 2}}}}, "'vae' has 2"),
        ({"detectors": {"vae": {"settings": {"orientation": []}}}}, "none of the features of 'vae' is known to grow"),
        ({"detectors": {"vae": {"settings": {"alpha": -1}}}}, "`detectors.vae`: alpha must be above 0"),
    ],
)
def test_settings_that_cannot_be_are_told_before_training(
    events_folder: Path, signals_folder: Path, change: dict[str, Any], message: str
) -> None:
    search = Search.model_validate(merged(latent_search(events_folder, signals_folder), change))
    with pytest.raises(ConfigurationError, match=message):
        check_detectors(search)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent": {"grid": {"mass": [5000, 4000]}}}, "is no interval"),
        ({"quoted": [4000, 3000]}, "is no interval of masses"),
        ({"mixtures": {"some": {"quoted": [3600, 3400]}}}, "is no interval of masses"),
        ({"latent": {"trajectory": {"point": 100, "steps": 60}}}, "beyond the last"),
        ({"detectors": {"cwola": {"type": "cwola", "folds": 1}}}, "give 2 or more"),
        ({"detectors": {"cwola": {"type": "cwola"}}}, "need a `window`"),
    ],
)
def test_search_files_that_cannot_be(
    events_folder: Path, signals_folder: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Search.model_validate(merged(latent_search(events_folder, signals_folder), change))


@pytest.fixture(scope="module")
def band_fits(run: SearchRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Every training of the latent stage by class: its settings, its events, and each member's validation rows."""
    assert run.search.latent is not None
    asked = {**run.search.latent.decoder, "steps": 20, "validation_fraction": 0.3}
    latent_settings = run.search.latent.model_copy(update={"decoder": asked, "subsets": 3})
    short = replace(run, search=run.search.model_copy(update={"latent": latent_settings}))
    fits: dict[str, list[dict[str, Any]]] = {"LatentVAE": [], "MassDecoder": []}
    held_out: dict[tuple[int, ...], np.ndarray] = {}
    with pytest.MonkeyPatch.context() as patch:

        def spy(kind: type[LatentVAE] | type[MassDecoder]) -> None:
            fit = kind.fit

            def watched(self: Any, *arguments: Any, **options: Any) -> Any:
                held_out.clear()
                history = fit(self, *arguments, **options)
                sample = arguments[0]["data"] if kind is LatentVAE else arguments[1]
                rows = dict(sorted(held_out.items()))  # members train in threads
                fits[kind.__name__].append({"settings": self.settings, "sample": sample, "held_out": rows})
                return history

            patch.setattr(kind, "fit", watched)

        validation = MemberRows.validation

        def drawn(self: Any, chunk: Any) -> Any:
            rows = validation(self, chunk)
            held_out.update({seed.spawn_key: one for seed, one in zip(self._seeds, rows, strict=True)})
            return rows

        patch.setattr(MemberRows, "validation", drawn)
        spy(LatentVAE)
        spy(MassDecoder)
        _fill(short, "some", "vae", tmp_path_factory.mktemp("band"))
    return fits


def test_bands_train_on_the_background_alone(run: SearchRun, band_fits: dict[str, list[dict[str, Any]]]) -> None:
    """The first decoder is that of the search, which sees all events."""
    events = searched(run, "some").events
    background = events.event_id[events["truth"] == 0]
    assert len(background) < len(events)
    (autoencoder,), (own, decoder) = band_fits["LatentVAE"], band_fits["MassDecoder"]
    np.testing.assert_array_equal(own["sample"].event_id, events.event_id)
    for one in (autoencoder, decoder):
        np.testing.assert_array_equal(one["sample"].event_id, background)


def test_subsets_are_random_shares_and_both_networks_of_one_have_the_same(
    band_fits: dict[str, list[dict[str, Any]]],
) -> None:
    (autoencoder,), (_, decoder) = band_fits["LatentVAE"], band_fits["MassDecoder"]
    assert autoencoder["settings"].members == len(autoencoder["held_out"]) == 3
    assert autoencoder["settings"].validation_fraction == decoder["settings"].validation_fraction == 0.3
    assert autoencoder["held_out"].keys() == decoder["held_out"].keys()
    shares = [np.sort(rows) for rows in autoencoder["held_out"].values()]
    for rows, others in zip(shares, decoder["held_out"].values(), strict=True):
        assert len(np.unique(rows)) == round(0.3 * len(autoencoder["sample"]))
        np.testing.assert_array_equal(rows, np.sort(others))
    for first, second in itertools.combinations(shares, 2):
        common = len(np.intersect1d(first, second)) / len(first)
        assert common == pytest.approx(0.3, abs=0.15)


def test_the_documented_defaults_are_the_defaults() -> None:
    page = (PROJECT / "docs" / "latent_vae.md").read_text()
    block = next(one for one in page.split("```yaml\n")[1:] if one.startswith("latent:")).split("```")[0]
    found = LatentSettings.model_validate(yaml.safe_load(block)["latent"])
    assert found.model_copy(update={"decoder": {}}) == LatentSettings()
    assert settings_from_mapping(MassDecoderSettings, found.decoder) == MassDecoderSettings()
