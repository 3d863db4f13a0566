"""The ABCD stage: scores from columns and detectors, entries of results.json, workspaces, figures and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from analysis.catalogue import Catalogue
from analysis.config import Search
from analysis.context import RunOptions, SearchRun
from analysis.errors import ConfigurationError
from analysis.events import Events, count_mixture
from analysis.figures.abcd import abcd_figures
from analysis.numbers import format_percent
from analysis.plots.style import Label
from analysis.report.abcd_tables import (
    abcd_closure_table,
    abcd_likelihood_table,
    abcd_table,
    abcd_tables,
    abcd_truth_table,
    significance_tables,
)
from analysis.stages.abcd import abcd, abcd_workspaces
from analysis.stages.abcd_estimates import score_columns, tail_of
from analysis.stages.searched import Searched
from analysis.stages.train import Trained
from stats import StatisticsError
from stats.asymptotics import open_workspace

WINDOW = (3300.0, 3700.0)
N_BACKGROUND, N_SIGNAL = 6000, 100


def sample(*, weight: float = 1.0, truth: bool = True, key: str = "sample") -> Searched:
    """Independent scores a and b; signal has both high; j2 is the harder jet of every other event."""
    rng = np.random.default_rng(1)
    n = N_BACKGROUND + N_SIGNAL
    is_signal = np.arange(n) >= N_BACKGROUND
    pt = rng.uniform(500, 600, (2, n))
    columns = {
        "j1_tau21": np.where(is_signal, 0.1, 0.5) + 0.1 * rng.normal(size=n),
        "j2_tau21": np.where(is_signal, 0.1, 0.5) + 0.1 * rng.normal(size=n),
        "j1_pt": pt[0],
        "j2_pt": pt[1],
        "mjj": np.where(is_signal, 3500.0, 2500 + rng.exponential(700, n)),
        "weight": np.full(n, weight),
        "truth": np.where(is_signal, 1, 0) if truth else np.full(n, -1),
        "fold": rng.integers(0, 4, n),
        "file_id": np.zeros(n, dtype=int),
        "entry": np.arange(n),
    }
    events = Events(columns)
    counts = count_mixture(events, background="qcd", signal="wprime", window=WINDOW) if truth else None
    return Searched("pseudo", events, None, counts, key)


def run_of(folder: Path, searched: Searched, *, out: str = "out", **settings: Any) -> SearchRun:
    asked = {"name": "taus", "first": "-j1_tau21", "second": "-j2_tau21", "efficiencies": [0.04], **settings}
    detectors = asked.pop("detectors", {})
    search = Search(
        name="x",
        data=("pseudo",),
        window={"signal": WINDOW, "sidebands": [(2900.0, 3300.0), (3700.0, 4100.0)]},
        detectors=detectors,
        abcd=[asked],
    )
    return SearchRun(search, Catalogue({}, folder), RunOptions(folder / out), memory={"searched pseudo": searched})


@pytest.fixture
def without_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set no limits, which take most of the time."""

    def refuse(_: object) -> None:
        raise StatisticsError("no limits here")

    monkeypatch.setattr("analysis.stages.abcd_estimates.upper_limit", refuse)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    return run_of(tmp_path_factory.mktemp("abcd"), sample(), efficiencies=[0.04, 0.01])


def results(run: SearchRun) -> dict[str, Any]:
    found = {"selections": {name: one.summary for name, one in abcd(run).items()}}
    return dict(json.loads(json.dumps(found, allow_nan=False)))


def test_entries(run: SearchRun) -> None:
    found = results(run)["selections"]
    assert list(found) == ["pseudo-taus-0.04", "pseudo-taus-0.01"]
    entry = found["pseudo-taus-0.04"]
    assert entry["efficiency"] == 0.04
    assert entry["mixture"] == "pseudo"
    assert entry["window"] is None
    assert 0.9 * N_SIGNAL < entry["n_signal"] <= N_SIGNAL
    assert entry["signal_fraction"] == pytest.approx(entry["n_signal"] / entry["n_selected"])
    estimate = entry["abcd"]
    assert estimate["tail"] == pytest.approx(0.2)
    assert estimate["observed"] == entry["n_selected"]
    assert estimate["true_background"] == entry["n_selected"] - entry["n_signal"]
    for method in ("counting", "plain", "extended", "extended_second"):
        one = estimate[method]
        # half of the signal's threshold shift is in the prediction, hence the margin
        assert one["predicted"] == pytest.approx(0.04 * N_BACKGROUND, rel=0.3), method
        assert one["z"] > 2
    for method in ("plain", "extended"):
        likelihood = estimate[f"likelihood_{method}"]
        assert likelihood["predicted"] == pytest.approx(estimate[method]["predicted"], rel=1e-3)
        assert likelihood["limit"]["observed"] > likelihood["blinded_expected"][2]
        assert likelihood["shares_known"]
    assert estimate["likelihood_plain"]["limit"]["best_fit"] == pytest.approx(entry["n_signal"], rel=0.5)
    assert len(estimate["closure_checks"]) > 10
    assert 0.1 < estimate["dependence"]["pearson"] < 0.3  # of all events: the signal correlates the scores


def test_headline(run: SearchRun) -> None:
    line = abcd(run)["pseudo-taus-0.04"].headline()
    assert "events observed" in line
    assert "predicted" in line
    assert "σ" in line
    assert "no closure" not in line


def test_workspaces_are_written_and_open(run: SearchRun) -> None:
    one = abcd(run)["pseudo-taus-0.04"]
    files = sorted(abcd_workspaces(run, one).glob("*.json"))
    assert [file.name for file in files] == ["pseudo-taus-0.04-extended.json", "pseudo-taus-0.04-plain.json"]
    for file in files:
        model, data = open_workspace(json.loads(file.read_text()))
        assert data[0] == one.summary["n_selected"]
        assert model.config.poi_name == "mu"


def test_done_work_is_not_done_again(run: SearchRun, monkeypatch: pytest.MonkeyPatch) -> None:
    before = results(run)
    monkeypatch.setattr("analysis.stages.abcd.estimates", lambda *_, **__: pytest.fail("done again"))
    again = SearchRun(run.search, run.catalogue, run.options, memory={"searched pseudo": sample()})
    assert results(again) == before
    keys = {one.key for one in abcd(again).values()}
    assert len(keys) == 2


@pytest.mark.usefixtures("without_limits")
def test_a_changed_sample_is_estimated_again(tmp_path: Path) -> None:
    one = abcd(run_of(tmp_path, sample()))["pseudo-taus-0.04"]
    other = abcd(run_of(tmp_path, sample(key="other")))["pseudo-taus-0.04"]
    assert one.key != other.key


def test_truth_stays_out_of_the_estimates(run: SearchRun, tmp_path: Path) -> None:
    blind = abcd(run_of(tmp_path, sample(truth=False)))["pseudo-taus-0.04"].summary
    known = abcd(run)["pseudo-taus-0.04"].summary
    assert "n_signal" not in blind
    assert "true_background" not in blind["abcd"]
    assert not blind["abcd"]["likelihood_plain"]["shares_known"]
    for method in ("plain", "extended"):
        assert blind["abcd"][method] == known["abcd"][method]
    assert blind["abcd"]["predicted"] == known["abcd"]["predicted"]


@pytest.mark.usefixtures("without_limits")
def test_window_takes_events_inside_alone(tmp_path: Path) -> None:
    searched = sample()
    entry = abcd(run_of(tmp_path, searched, window=True))["pseudo-taus-0.04"].summary
    assert entry["window"] == list(WINDOW)
    assert entry["abcd"]["counting"]["total"] == searched.events.inside(WINDOW).sum()


@pytest.mark.usefixtures("without_limits")
def test_jets_ordered_by_transverse_momentum(tmp_path: Path) -> None:
    assert score_columns("leading_m") == ("j1_m", "j2_m", "j1_pt", "j2_pt")
    searched = sample()
    settings = {"first": "-leading_tau21", "second": "-subleading_tau21"}
    found = abcd(run_of(tmp_path, searched, **settings))["pseudo-taus-0.04"].summary["abcd"]
    events = searched.events
    leads = events["j1_pt"] >= events["j2_pt"]
    first = np.where(leads, events["j1_tau21"], events["j2_tau21"])
    second = np.where(leads, events["j2_tau21"], events["j1_tau21"])
    tail = tail_of(0.04)
    both = (first <= np.quantile(first, tail)) & (second <= np.quantile(second, tail))
    assert found["observed"] == pytest.approx(both.sum(), abs=2)


def detector(searched: Searched, name: str, *, uses_labels: bool = False) -> Trained:
    """Scores whose scale differs from fold to fold."""
    fold = searched.events["fold"]
    score = 100.0 * fold - searched.events[f"{name}_tau21"]
    return Trained(
        name=name, sample="pseudo", score=score, spread=np.zeros(len(score)), members=None, fold_index=fold,
        spare_score=None, spare_members=None, summary={"uses_labels": uses_labels}, key=name,
    )  # fmt: skip


@pytest.mark.usefixtures("without_limits")
def test_scores_of_detectors_have_thresholds_in_every_fold(tmp_path: Path) -> None:
    searched = sample()
    detectors = {name: {"type": "cwola"} for name in ("one", "other")}
    asked = run_of(tmp_path, searched, first="one", second="other", detectors=detectors)
    asked.memory["trained pseudo one"] = detector(searched, "j1")
    asked.memory["trained pseudo other"] = detector(searched, "j2", uses_labels=True)
    found = abcd(asked)["pseudo-taus-0.04"]
    columns = abcd(run_of(tmp_path, searched, out="columns"))["pseudo-taus-0.04"]
    assert found.summary["abcd"]["observed"] == pytest.approx(columns.summary["abcd"]["observed"], rel=0.1)
    assert found.summary["detector"] == "other"  # trained on truth: the report marks it
    assert found.view["first"]["is_rank"]
    assert found.view["first"]["cuts"][1] == pytest.approx(0.84, abs=0.02)  # normal quantile of 0.8


@pytest.mark.usefixtures("without_limits")
def test_weighted_events_have_no_likelihood_but_estimates(tmp_path: Path) -> None:
    found = abcd(run_of(tmp_path, sample(weight=0.5)))["pseudo-taus-0.04"].summary["abcd"]
    assert found["plain"]["predicted"] > 0
    assert found["plain"]["low"] is None
    assert "weighted" in found["likelihood_plain"]["reason"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": "-j1_tau12"}, "neither a detector of the search nor a column.*did you mean|j1_tau21"),
        ({"first": "leading_tau32"}, "leading_tau32"),
    ],
)
def test_unknown_scores_are_refused(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        abcd(run_of(tmp_path, sample(), **settings))


@pytest.mark.usefixtures("without_limits")
def test_an_estimate_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    entry = abcd(run_of(tmp_path, sample(truth=False), efficiencies=[4e-8]))["pseudo-taus-4e-08"]
    assert "background-like events passes" in entry.summary["abcd"]["reason"]
    assert entry.summary["abcd"]["predicted"] is None
    assert entry.headline().startswith("no estimate")
    found = {"selections": {entry.identifier: json.loads(json.dumps(entry.summary, allow_nan=False))}}
    table = abcd_table(found)
    assert table is not None
    assert any("background-like events passes" in note for note in table.notes)


def test_overlapping_strips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="71% of each score, which overlaps the lowest 40%"):
        run_of(tmp_path, sample(), efficiencies=[0.5])


def test_nothing_asked_for_is_nothing_done(tmp_path: Path) -> None:
    asked = run_of(tmp_path, sample())
    empty = SearchRun(asked.search.model_copy(update={"abcd": ()}), asked.catalogue, asked.options)
    assert abcd(empty) == {}
    assert list(abcd_figures(empty, Label())) == []


def test_tables(run: SearchRun) -> None:
    found = results(run)
    tables = abcd_tables(found)
    captions = ["ABCD estimates", "ABCD closure on the true background", "ABCD closure", "ABCD likelihood"]
    assert [table.caption.split(":")[0] for table in tables] == captions
    estimates, truth, closure, likelihood = tables
    assert len(estimates.rows) == len(truth.rows) == len(closure.rows) == 2
    assert len(likelihood.rows) == 4
    assert "True background" in estimates.header
    first = dict(zip(estimates.header, estimates.rows[0], strict=True))
    abcd_entry = found["selections"][str(first["Selection"])]["abcd"]
    assert abcd_entry["selected_fraction"] == abcd_entry["observed"] / (N_BACKGROUND + N_SIGNAL)
    assert (first["Of each score, nominal"], first["Of all, if independent"]) == ("20%", "4%")
    assert first["Of all, selected"] == format_percent(abcd_entry["selected_fraction"])
    assert all("×" in row[likelihood.header.index("Signal in control regions")] for row in likelihood.rows)


def test_truth_is_compared_with_what_background_alone_predicts(run: SearchRun) -> None:
    """Independent scores close, and what signal in the control regions adds is told apart."""
    table = abcd_truth_table(results(run))
    assert table is not None
    first = dict(zip(table.header, table.rows[0], strict=True))
    assert first["Background events"].replace("\u202f", "") == str(N_BACKGROUND)
    assert first["Closes"] == "yes"
    entry = abcd(run)["pseudo-taus-0.04"].summary["abcd"]
    truth = entry["truth"]
    assert abs(truth["correlation"]["pearson"]) < 4 / np.sqrt(N_BACKGROUND)
    assert truth["closure"]["true"] == entry["true_background"]
    assert truth["closure_in_data"]["ratio"] == pytest.approx(entry["predicted"] / entry["true_background"])
    assert not entry["independence"]["doubtful"]
    assert abcd_truth_table({"selections": {"s": {"abcd": {"predicted": 1.0}}}}) is None


def test_significances_of_several_estimates_stand_side_by_side() -> None:
    def entry(name: str, efficiency: float, expected: float, *, doubtful: bool = False) -> dict[str, Any]:
        counting = {"z_simple": expected - 0.5, "expected_z_simple": expected}
        found = {"name": name, "counting": counting, "independence": {"doubtful": doubtful}}
        return {"mixture": "f1", "efficiency": efficiency, "abcd": found}

    asked = [("weak", 0.01, 2.9), ("weak", 0.1, 1.8), ("strong", 0.01, 12.0)]
    found = {f"{name}-{efficiency}": entry(name, efficiency, z) for name, efficiency, z in asked}
    (table,) = significance_tables({"selections": found})
    assert table.header == [
        "Efficiency if independent",
        "weak: expected",
        "weak: observed",
        "strong: expected",
        "strong: observed",
    ]
    assert table.rows == [["10%", "1.80σ", "1.30σ", "–", "–"], ["1%", "2.90σ", "2.40σ", "12.00σ", "11.50σ"]]
    assert len(table.notes) == 1
    assert "does not close, or a fluctuation" in table.notes[0]
    found["dependent"] = entry("dependent", 0.01, 5.0, doubtful=True)
    (table,) = significance_tables({"selections": found})
    assert table.notes[1].startswith("dependent: the scores are not independent")
    # one estimate alone is in the table of all estimates
    alone = {name: one for name, one in found.items() if name.startswith("weak")}
    assert significance_tables({"selections": alone}) == []


def test_results_without_details_still_have_a_table() -> None:
    found = {"selections": {"s": {"abcd": {"predicted": 420.0, "uncertainty": 21.0, "observed": 515, "z": 3.3}}}}
    table = abcd_table(found)
    assert table is not None
    assert table.rows[0][:4] == ["s", "420 ± 21", "515", "3.30σ"]
    assert abcd_likelihood_table(found) is None
    assert abcd_closure_table(found) is None
    assert abcd_tables({}) == []


def test_figures(run: SearchRun) -> None:
    found = list(abcd_figures(run, Label()))
    names = [name for _, name, _, _ in found]
    assert names == [
        "abcd-plane-pseudo-taus", "abcd-closure-pseudo",
        "abcd-closure-pseudo-taus-0.04", "abcd-closure-pseudo-taus-0.01",
        "abcd-pseudo-taus",
    ]  # fmt: skip
    assert all("signal fraction" in caption for _, _, caption, _ in found)
    for _, _, _, figure in found:
        figure.canvas.draw()  # type: ignore[attr-defined]
    captions = {name: caption for _, name, caption, _ in found}
    assert "Dashed: region A at efficiencies of 1%" in captions["abcd-plane-pseudo-taus"]
    assert "Pearson's coefficient of the scores of 6\u202f000 background events" in captions["abcd-plane-pseudo-taus"]


@pytest.mark.usefixtures("without_limits")
def test_figures_without_truth(tmp_path: Path) -> None:
    blind = run_of(tmp_path, sample(truth=False))
    captions = {name: caption for _, name, caption, _ in abcd_figures(blind, Label())}
    assert "abcd-closure-pseudo" not in captions
    assert "Pearson" not in captions["abcd-plane-pseudo-taus"]
    view = abcd(blind)["pseudo-taus-0.04"].view
    assert not view["is_background"]
    assert np.sum(view["counts"]) == N_BACKGROUND + N_SIGNAL


def test_the_plane_tells_signal_from_background(run: SearchRun) -> None:
    view = abcd(run)["pseudo-taus-0.04"].view
    assert view["is_background"]
    assert np.sum(view["counts"]) == N_BACKGROUND
    assert len(view["signal"]) == view["n_signal"] == N_SIGNAL
