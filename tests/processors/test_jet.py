"""The single-jet processor: the hardest jet in a window, its columns, runs that must not change anything, settings."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from coffea.processor import IterativeExecutor, Runner

from processors import (
    SINGLE_JET_HISTOGRAMS,
    AxisSpec,
    DijetProcessor,
    HDF5Runner,
    InputError,
    JetProcessor,
    read_parts,
    run_files,
    schema_for,
)
from processors.jet_columns import SINGLE_JET_COLUMNS

LOOSE: dict[str, Any] = {"min_jet_pt": 20.0, "max_abs_eta": None}


def run_one(path: Path, executor: Any, *, chunksize: int = 10_000, format: str = "darkhorse", **settings: Any) -> dict:
    """The results of the processor for a file of events, as data set d."""
    processor = JetProcessor(**settings)
    return run_files({"d": [str(path)]}, processor, format=format, executor=executor, chunksize=chunksize).results


def frame_of(results: dict[str, Any], variation: str = "nominal") -> pd.DataFrame:
    table = read_parts(results["parts"]["d"][variation])
    return pd.DataFrame({name: table.column(name).to_pylist() for name in table.column_names})


def counts(results: dict[str, Any], variation: str = "nominal") -> dict[str, int]:
    return {cut: n["events"] for cut, n in results["cutflow"]["d"][variation].items()}


def events_of(*events: list[tuple[float, float, float]]) -> ak.Array:
    """Events of particles (pt, eta, phi)."""
    flat = np.array([one for event in events for one in event], np.float32).reshape(-1, 3)
    sizes = [len(event) for event in events]
    return ak.zip({name: ak.unflatten(flat[:, i], sizes) for i, name in enumerate(("pt", "eta", "phi"))})


HARD = [(350.0, 0.1, 0.0), (250.0, -0.1, 0.2)]  # a jet of about 600 GeV
SECOND = [(400.0, 0.4, 3.0), (60.0, 0.5, 3.1)]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory, generated_file) -> Path:
    """The hardest jet: in the window; too hard, with a second one in it; too soft; too forward; none at all."""
    too_hard = [(900.0, 0.0, 1.0), *((pt, eta, phi + 3) for pt, eta, phi in HARD)]
    forward = [(pt, eta + 2.2, phi) for pt, eta, phi in HARD]
    events = events_of([*HARD, *SECOND], too_hard, [(400.0, 0.0, 0.0)], [*forward, *SECOND], [])
    return generated_file(tmp_path_factory.mktemp("jets") / "hand.root", events, weight=np.array([1, 2, 4, 8, 16]))


def test_hardest_jet_in_its_window(tmp_path: Path, iterative, by_hand: Path) -> None:
    results = run_one(by_hand, iterative, columns_directory=tmp_path, max_jet_pt=650.0, constituents=20)
    assert counts(results) == {"all": 5, "jet": 3, "max_jet_pt": 2, "eta": 1}
    (jet,) = frame_of(results).to_dict("records")
    px, py = (sum(pt * turn(phi) for pt, _, phi in HARD) for turn in (np.cos, np.sin))
    pz, energy = (sum(pt * turn(eta) for pt, eta, _ in HARD) for turn in (np.sinh, np.cosh))
    assert jet["j1_pt"] == pytest.approx(np.hypot(px, py))
    assert jet["j1_eta"] == pytest.approx(np.arcsinh(pz / np.hypot(px, py)))
    assert jet["j1_phi"] == pytest.approx(np.arctan2(py, px))
    assert jet["j1_m"] == pytest.approx(np.sqrt(energy**2 - px**2 - py**2 - pz**2), rel=1e-5)
    assert (jet["j1_nconst"], jet["entry"], jet["weight"]) == (2, 0, 1)
    assert jet["j1_tau21"] == pytest.approx(0, abs=1e-6)
    given = [jet[f"j1_constituents_{name}"] for name in ("pt", "eta", "phi")]
    np.testing.assert_allclose(given, np.array(HARD).T, rtol=1e-6)
    assert jet["j1_constituents_mass"] == [0, 0]


def test_without_an_upper_bound_or_acceptance(tmp_path: Path, iterative, by_hand: Path) -> None:
    results = run_one(by_hand, iterative, columns_directory=tmp_path, max_abs_eta=None)
    assert counts(results) == {"all": 5, "jet": 3}
    frame = frame_of(results)
    assert frame["entry"].tolist() == [0, 1, 3]
    assert frame["j1_pt"].tolist() == pytest.approx([598, 900, 598], abs=1)
    total = results["histograms"]["j1_m"]["d", "nominal", :].sum(flow=True)
    assert total.value == frame["weight"].sum() == 1 + 2 + 8


def test_jet_is_the_harder_one_of_the_dijet(tmp_path: Path, iterative, particles, generated_file) -> None:
    path = generated_file(tmp_path / "a.root", particles(60))
    single = frame_of(run_one(path, iterative, columns_directory=tmp_path / "one", constituents=9, **LOOSE))
    dijets = DijetProcessor(columns_directory=tmp_path / "two", constituents=9, min_leading_pt=None, max_abs_eta=None)
    pair = frame_of(run_files({"d": [str(path)]}, dijets, format="darkhorse", executor=iterative).results)
    assert single["entry"].tolist() == pair["entry"].tolist()
    first = pair["j1_pt"] > pair["j2_pt"]
    assert 0 < first.sum() < len(first)
    names = [*SINGLE_JET_COLUMNS, *(f"j1_constituents_{name}" for name in ("pt", "eta", "phi", "mass"))]
    for name in names:
        expected = pair[name].where(first, pair[name.replace("j1", "j2")])
        assert single[name].tolist() == expected.tolist(), name


def test_chunking_changes_no_bit(tmp_path: Path, iterative, particles, generated_file) -> None:
    weight = np.arange(1, 41) / 8
    path = generated_file(tmp_path / "a.root", particles(40), weight=weight)
    settings = {"variations": {"up": 0.1}, "min_jet_pt": 1400.0, "constituents": 3}
    whole = run_one(path, iterative, columns_directory=tmp_path / "a", **settings)
    parts = run_one(path, iterative, columns_directory=tmp_path / "b", chunksize=7, **settings)
    assert whole["cutflow"] == parts["cutflow"]
    for variation in ("nominal", "up"):
        pd.testing.assert_frame_equal(frame_of(whole, variation), frame_of(parts, variation), check_exact=True)
    assert set(whole["histograms"]) == set(SINGLE_JET_HISTOGRAMS)
    assert all(histogram == parts["histograms"][name] for name, histogram in whole["histograms"].items())
    # a shift lifts jets over the threshold, and moves pT and mass alike
    nominal, up = (frame_of(whole, name).set_index("entry") for name in ("nominal", "up"))
    assert 0 < len(nominal) < len(up)
    for name in ("j1_pt", "j1_m"):
        np.testing.assert_allclose(up.loc[nominal.index, name], 1.1 * nominal[name], rtol=1e-12)


def test_both_formats_and_runners_give_the_same(
    tmp_path: Path, iterative, particles, generated_file, lhco_file, rows_of
) -> None:
    events = particles(30)
    root = generated_file(tmp_path / "a.root", events)
    rows = lhco_file(tmp_path / "a.h5", rows_of(events, label=np.ones(30)))
    processor = JetProcessor(columns_directory=tmp_path / "h5", constituents=5)
    from_hdf5 = frame_of(HDF5Runner(iterative, chunksize=8)({"d": [str(rows)]}, processor))
    processor = JetProcessor(columns_directory=tmp_path / "root", constituents=5)
    runner = Runner(IterativeExecutor(status=False), schema=schema_for("darkhorse"))
    from_root = frame_of(runner({"d": [str(root)]}, processor, treename="Events"))
    columns = [*SINGLE_JET_COLUMNS, "j1_constituents_pt", "entry"]
    pd.testing.assert_frame_equal(from_root[columns], from_hdf5[columns], check_exact=True)
    assert set(from_hdf5["truth"]) == {1}
    assert len(from_root) > 20


def test_jets_of_the_file(shared_data: Path, tmp_path: Path, iterative) -> None:
    path = shared_data / "lhco_rnd_features.h5"
    settings = {"columns_directory": tmp_path, **LOOSE}
    frame = frame_of(run_one(path, iterative, format="lhco", jets="FatJet", **settings))
    given = pd.read_hdf(path)
    pt = np.stack([np.hypot(given[f"px{j}"], given[f"py{j}"]) for j in ("j1", "j2")])
    hardest = pt.argmax(axis=0)
    np.testing.assert_allclose(frame["j1_pt"], pt.max(axis=0))
    np.testing.assert_allclose(frame["j1_m"], np.where(hardest == 0, given["mj1"], given["mj2"]))


def test_empty_files_have_columns(tmp_path: Path, iterative, generated_file, particles) -> None:
    path = generated_file(tmp_path / "a.root", particles(3))
    processor = JetProcessor(min_jet_pt=9000, constituents=2, columns_directory=tmp_path / "c")
    results = run_files({"d": [str(path)]}, processor, format="darkhorse", executor=iterative).results
    assert counts(results) == {"all": 3, "jet": 0, "eta": 0}
    table = read_parts(results["parts"]["d"]["nominal"])
    assert table.num_rows == 0
    assert table.schema.names == processor.schema.names
    assert pickle.loads(pickle.dumps(processor)).min_jet_pt == 9000  # noqa: S301 (our own, just made)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_jet_pt": -1}, "min_jet_pt is -1"),
        ({"max_jet_pt": 450}, "no jet is between"),
        ({"max_jet_pt": np.nan}, "no jet is between"),
        ({"constituents": -1}, "constituents is -1"),
        ({"jets": "FatJet", "constituents": 20}, "need jets='PFCands'"),
        ({"histograms": {"mjj": AxisSpec(bins=1, start=0, stop=1)}}, "no column 'mjj'"),
        ({"variations": {"up": -1}}, "shifts the energy scale by -1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        JetProcessor(**settings)
