"""The dijet processor: reference events, real files, cuts, variations, columns."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from coffea.nanoevents import NanoAODSchema
from coffea.processor import FuturesExecutor, Runner

from processors import AxisSpec, DijetProcessor, HDF5Runner, InputError, read_parts, run_files, standardise
from processors.dijet_columns import HISTOGRAM_COLUMNS
from processors.leading_jets import LeadingJets
from processors.smearing import jet_width, smearing_factor

LOOSE: dict[str, Any] = {"min_leading_pt": None, "max_abs_eta": None}


def frame_of(results: dict[str, Any], dataset: str = "d", variation: str = "nominal") -> pd.DataFrame:
    """The columns of a run as a pandas frame."""
    table = read_parts(results["parts"][dataset][variation])
    return pd.DataFrame({name: table.column(name).to_pylist() for name in table.column_names})


def run_one(path: Path, iterative, *, format: str = "darkhorse", chunksize: int = 10_000, **settings: Any) -> dict:
    processor = DijetProcessor(**settings)
    return run_files({"d": [str(path)]}, processor, format=format, executor=iterative, chunksize=chunksize).results


@pytest.mark.filterwarnings("ignore:Missing cross-reference index:RuntimeWarning")
def test_six_lines_with_a_plain_runner(tmp_path: Path, monkeypatch, particles, generated_file) -> None:
    monkeypatch.chdir(tmp_path)
    generated_file(tmp_path / "qcd.root", particles(20))

    runner = Runner(FuturesExecutor(workers=2), schema=NanoAODSchema)
    output = runner({"qcd": ["qcd.root"]}, DijetProcessor(), treename="Events")
    histogram = output["histograms"]["mjj"][{"dataset": "qcd", "variation": "nominal"}]

    assert histogram.sum(flow=True).value == output["cutflow"]["qcd"]["nominal"]["eta"]["events"] > 0
    assert output["parts"] == {"qcd": {"nominal": []}}


def test_reference_of_the_lhc_olympics(shared_data: Path, tmp_path: Path, iterative) -> None:
    runner = HDF5Runner(iterative, chunksize=300)
    processor = DijetProcessor(columns_directory=tmp_path, **LOOSE)
    output = runner({"d": [str(shared_data / "lhco_rnd_tiny.h5")]}, processor)
    frame = frame_of(output)
    reference = pd.read_csv(shared_data / "lhco_rnd_tiny_reference.csv.gz")
    assert frame["entry"].tolist() == list(range(1000))
    assert frame["truth"].tolist() == reference["label"].tolist()
    assert (frame["j1_m"] >= frame["j2_m"]).all()
    reliable = reference["tau_reliable"] == 1
    first_is_harder = frame["j1_pt"] > frame["j2_pt"]
    for rank in (1, 2):
        harder = first_is_harder if rank == 1 else ~first_is_harder
        jet = {n: np.where(harder, frame[f"j1_{n}"], frame[f"j2_{n}"]) for n in ("pt", "eta", "phi", "m")}
        tau = [np.where(harder, frame[f"j1_tau{n}"], frame[f"j2_tau{n}"]) for n in (1, 2, 3)]
        np.testing.assert_allclose(jet["pt"] * np.cos(jet["phi"]), reference[f"pxj{rank}"], rtol=1e-6)
        np.testing.assert_allclose(jet["pt"] * np.sin(jet["phi"]), reference[f"pyj{rank}"], rtol=1e-6)
        np.testing.assert_allclose(jet["pt"] * np.sinh(jet["eta"]), reference[f"pzj{rank}"], rtol=1e-6)
        np.testing.assert_allclose(jet["m"], reference[f"mj{rank}"], rtol=0, atol=1e-5)
        for order in (1, 2, 3):
            expected = reference[f"tau{order}j{rank}"]
            np.testing.assert_allclose(tau[order - 1][reliable], expected[reliable], rtol=0, atol=1e-6)


def test_features_file_gives_its_own_jets(shared_data: Path, tmp_path: Path, iterative) -> None:
    path = shared_data / "lhco_rnd_features.h5"
    results = run_one(path, iterative, format="lhco", jets="FatJet", columns_directory=tmp_path, **LOOSE)
    frame, given = frame_of(results), pd.read_hdf(path)
    assert len(frame) == len(given)
    heavy_first = (given["mj1"] >= given["mj2"]).to_numpy()
    np.testing.assert_allclose(frame["j1_m"], np.where(heavy_first, given["mj1"], given["mj2"]))
    expected = np.where(heavy_first, given["tau2j1"] / given["tau1j1"], given["tau2j2"] / given["tau1j2"])
    np.testing.assert_allclose(frame["j1_tau21"], expected, rtol=1e-12)
    total = sum(np.sqrt(given[[f"px{j}", f"py{j}", f"pz{j}", f"m{j}"]].pow(2).sum(axis=1)) for j in ("j1", "j2"))
    momentum = sum(given[f"p{axis}j1"].add(given[f"p{axis}j2"]).pow(2) for axis in "xyz")
    np.testing.assert_allclose(frame["mjj"], np.sqrt(total**2 - momentum), rtol=1e-9)
    assert set(frame["j1_nconst"]) == {-1}


@pytest.mark.parametrize(
    ("name", "format_name", "jets", "selected"),
    [
        ("pfnano.root", "pfnano", "PFCands", 10),
        ("pfnano.root", "pfnano", "FatJet", 10),
        ("nano_dy.root", "nanoaod", "FatJet", None),
        ("nanoaod_2015_ttbar.root", "nanoaod", "FatJet", None),
        ("scouting_nano.root", "scouting", "FatJet", 40),
    ],
)
def test_real_files(
    shared_data: Path, tmp_path: Path, iterative, *, name: str, format_name: str, jets: str, selected: int | None
) -> None:
    results = run_one(
        shared_data / name, iterative, format=format_name, jets=jets, columns_directory=tmp_path, min_jet_pt=0, **LOOSE
    )
    frame = frame_of(results)
    cutflow = results["cutflow"]["d"]["nominal"]
    assert len(frame) == cutflow["two_jets"]["events"] <= cutflow["all"]["events"]
    assert selected in (None, len(frame))
    assert not frame.isna().any(axis=None)
    assert (frame["truth"] == -1).all()


def separation(jet: dict[str, float], event: dict[str, float], name: str) -> float:
    """ΔR of a jet of the file and a jet of ours."""
    delta_phi = (jet["phi"] - event[f"{name}_phi"] + np.pi) % (2 * np.pi) - np.pi
    return float(np.hypot(jet["eta"] - event[f"{name}_eta"], delta_phi))


def test_ak8_puppi_jets_of_pfnano_come_out_again(shared_data: Path, tmp_path: Path, iterative, nano_events) -> None:
    """PUPPI-weighted candidates reclustered with R = 0.8 against the file's own jets before their corrections.

    The file keeps candidates and jets in reduced precision, and its τ use axes that were optimised in one pass: ours,
    on plain exclusive-kT axes, cannot be smaller by more than that precision.
    """
    path = shared_data / "pfnano.root"
    ours = frame_of(
        run_one(path, iterative, format="pfnano", radius=0.8, puppi=True, columns_directory=tmp_path / "a", **LOOSE)
    )
    theirs = frame_of(
        run_one(path, iterative, format="pfnano", jets="FatJet", columns_directory=tmp_path / "b", **LOOSE)
    )
    jets = standardise(nano_events(path, "pfnano"), collections=["FatJet"]).FatJet.to_list()
    for name in ("j1", "j2"):
        for own, given in zip(ours.to_dict("records"), jets, strict=True):
            match = min(given, key=lambda jet: separation(jet, own, name))
            assert separation(match, own, name) < 1e-3
            assert own[f"{name}_pt"] == pytest.approx(match["pt"] * (1 - match["rawFactor"]), rel=2e-3)
            assert own[f"{name}_m"] == pytest.approx(match["mass"] * (1 - match["rawFactor"]), rel=4e-3, abs=0.1)
            for order in (1, 2, 3):
                assert 0.99 < own[f"{name}_tau{order}"] / match[f"tau{order}"] < 1.7
    assert len(theirs) == len(ours)


def test_cutflow_counts_every_cut_in_order(tmp_path: Path, iterative, particles, generated_file) -> None:
    weight = np.arange(1, 41) / 8
    path = generated_file(tmp_path / "a.root", particles(40), weight=weight)
    settings = {"min_leading_pt": 1300, "max_abs_eta": 1.5, "max_delta_eta": 1.2, "min_mjj": 2500}
    results = run_one(path, iterative, columns_directory=tmp_path / "c", **settings)
    loose = frame_of(run_one(path, iterative, columns_directory=tmp_path / "l", **LOOSE))
    cutflow = results["cutflow"]["d"]["nominal"]
    assert list(cutflow) == ["all", "two_jets", "leading_pt", "eta", "delta_eta", "mjj"]
    passed = np.ones(len(loose), dtype=bool)
    masks = [
        np.maximum(loose["j1_pt"], loose["j2_pt"]) >= 1300,
        np.maximum(loose["j1_eta"].abs(), loose["j2_eta"].abs()) < 1.5,
        loose["deta"] < 1.2,
        loose["mjj"] >= 2500,
    ]
    for name, mask in zip(list(cutflow)[2:], masks, strict=True):
        passed &= mask.to_numpy()
        assert cutflow[name] == {"events": passed.sum(), "sum_of_weights": loose["weight"][passed].sum()}
    assert cutflow["all"] == {"events": 40, "sum_of_weights": weight.sum()}
    assert 0 < passed.sum() < 40
    assert frame_of(results)["entry"].tolist() == loose["entry"][passed].tolist()


def test_variations_scale_the_jets_before_the_cuts(tmp_path: Path, iterative, particles, generated_file) -> None:
    path = generated_file(tmp_path / "a.root", particles(30))
    settings = {"columns_directory": tmp_path / "c", "variations": {"up": 0.05, "down": -0.05}, "min_leading_pt": 1450}
    results = run_one(path, iterative, **settings)
    frames = {name: frame_of(results, variation=name).set_index("entry") for name in ("nominal", "up", "down")}
    assert len(frames["down"]) < len(frames["nominal"]) < len(frames["up"])
    common = frames["nominal"].index
    up = frames["up"].loc[common]
    for column in ("j1_pt", "j2_m", "mjj"):
        np.testing.assert_allclose(up[column], frames["nominal"][column] * 1.05, rtol=1e-12)
    for column in ("j1_eta", "j1_tau21", "deta", "weight", "fold"):
        np.testing.assert_array_equal(up[column], frames["nominal"][column])
    counts = results["histograms"]["j1_pt"]
    assert counts["d", "up", :].sum(flow=True).value == len(frames["up"])
    # soft jets that only the upward variation lifts over the threshold are there
    threshold = frames["nominal"][["j1_pt", "j2_pt"]].min(axis=1).median()
    settings |= {"columns_directory": None, "min_leading_pt": None}
    lifted = run_one(path, iterative, min_jet_pt=threshold, **settings)["cutflow"]["d"]
    assert lifted["up"]["two_jets"]["events"] > lifted["nominal"]["two_jets"]["events"]


def test_smearings_move_both_jets_by_widths_of_their_own(tmp_path: Path, iterative, particles, generated_file) -> None:
    path = generated_file(tmp_path / "a.root", particles(30))
    settings: dict[str, Any] = {"columns_directory": tmp_path / "c", **LOOSE}
    results = run_one(path, iterative, smearings={"up": 3, "down": -1, "still": 0}, **settings)
    frames = {name: frame_of(results, variation=name) for name in ("nominal", "up", "down", "still")}
    nominal = frames["nominal"]
    pd.testing.assert_frame_equal(frames["still"], nominal)
    for name, size in (("up", 3), ("down", -1)):
        for jet in ("j1", "j2"):
            factor = smearing_factor(jet_width(nominal[f"{jet}_pt"].to_numpy()), size)
            np.testing.assert_array_equal(frames[name][f"{jet}_pt"], nominal[f"{jet}_pt"] * factor)
            np.testing.assert_array_equal(frames[name][f"{jet}_m"], nominal[f"{jet}_m"])
            np.testing.assert_array_equal(frames[name][f"{jet}_tau21"], nominal[f"{jet}_tau21"])
    assert (frames["down"]["mjj"] < nominal["mjj"]).all()
    assert (nominal["mjj"] < frames["up"]["mjj"]).all()
    # a smearing changes nothing about the rest of the run, not even where the clustering begins
    alone = frame_of(run_one(path, iterative, **settings | {"columns_directory": tmp_path / "d"}))
    pd.testing.assert_frame_equal(alone, nominal)


def test_smeared_pair_is_ordered_again() -> None:
    """199 GeV have a width of 7%, 201 GeV one of 5%."""
    values = np.array([[201.0, 199.0], [300.0, np.nan]])
    zero = np.zeros_like(values)
    phi, mass = np.array([[0.0, 3.0], [0.0, 3.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])
    jets = LeadingJets(values, zero, phi, mass, np.zeros((2, 2, 3)), zero.astype(np.int32))
    up = jets.smeared(3)
    np.testing.assert_allclose(up.pt, [[199 * 1.21, 201 * 1.15], [300 * 1.15, np.nan]])
    np.testing.assert_array_equal(up.mass, [[2, 1], [1, 2]])
    np.testing.assert_array_equal(up.phi, [[3, 0], [0, 3]])


def test_columns_and_their_types(tmp_path: Path, iterative, particles, generated_file) -> None:
    path = generated_file(tmp_path / "a.root", particles(10))
    processor = DijetProcessor(columns_directory=tmp_path / "c", constituents=4, **LOOSE)
    results = run_files({"d": [str(path)]}, processor, format="darkhorse", executor=iterative).results
    table = read_parts(results["parts"]["d"]["nominal"])
    assert table.schema == processor.schema
    assert set(HISTOGRAM_COLUMNS) | {"weight", "truth", "file_id", "entry", "fold"} <= set(table.column_names)
    for jet in ("j1", "j2"):
        hardest = ak.from_arrow(table.column(f"{jet}_constituents_pt"))
        n_constituents = table.column(f"{jet}_nconst").to_numpy()
        assert ak.num(hardest).tolist() == np.minimum(n_constituents, 4).tolist()
        assert ak.all(hardest[:, 1:] <= hardest[:, :-1])
        # the particles kept are those of this jet: their sum points near it and is not harder
        assert (ak.sum(hardest, axis=1) <= table.column(f"{jet}_pt").to_numpy() * 1.2).to_numpy().all()
        eta = ak.from_arrow(table.column(f"{jet}_constituents_eta"))
        assert ak.all(abs(eta - table.column(f"{jet}_eta").to_numpy()) < 1.0)


def test_events_with_fewer_than_two_jets_are_counted_and_dropped(
    tmp_path: Path, iterative, particles, generated_file
) -> None:
    full = particles(4)
    events = ak.concatenate([full[:2], full[2:3][:, :0], full[3:][:, :1]])  # no particle, one particle
    results = run_one(generated_file(tmp_path / "a.root", events), iterative, columns_directory=tmp_path / "c", **LOOSE)
    cutflow = results["cutflow"]["d"]["nominal"]
    assert (cutflow["all"]["events"], cutflow["two_jets"]["events"]) == (4, 2)
    assert frame_of(results)["entry"].tolist() == [0, 1]


def test_no_survivor_leaves_a_valid_empty_part(tmp_path: Path, iterative, particles, generated_file) -> None:
    path = generated_file(tmp_path / "a.root", particles(5))
    results = run_one(path, iterative, columns_directory=tmp_path / "c", min_mjj=1e6, constituents=3)
    (part,) = results["parts"]["d"]["nominal"]
    assert part["events"] == 0
    assert read_parts([part]).schema == DijetProcessor(constituents=3).schema
    assert results["cutflow"]["d"]["nominal"]["mjj"] == {"events": 0, "sum_of_weights": 0.0}
    assert results["histograms"]["mjj"].sum(flow=True).value == 0


def test_file_without_events(tmp_path: Path, iterative, particles, generated_file) -> None:
    results = run_one(generated_file(tmp_path / "a.root", particles(0)), iterative, columns_directory=tmp_path / "c")
    assert results["cutflow"]["d"]["nominal"]["all"]["events"] == 0
    assert len(frame_of(results)) == 0


def test_histograms_are_the_callers(tmp_path: Path, iterative, particles, generated_file) -> None:
    axes = {"mjj": AxisSpec(edges=(0, 2000, 3000, 1e5), label="$m_{jj}$ [GeV]")}
    results = run_one(generated_file(tmp_path / "a.root", particles(10)), iterative, histograms=axes, **LOOSE)
    assert list(results["histograms"]) == ["mjj"]
    assert results["histograms"]["mjj"].axes["mjj"].label == "$m_{jj}$ [GeV]"
    assert results["histograms"]["mjj"].sum().value == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jets": "Jet"}, "expected 'PFCands'"),
        ({"radius": 0}, "radius is 0"),
        ({"constituents": -1}, "constituents is -1"),
        ({"jets": "FatJet", "constituents": 5}, "need jets='PFCands'"),
        ({"variations": {"nominal": 0.1}}, "nominal"),
        ({"variations": {"down": -1.0}}, "more than -1"),
        ({"smearings": {"up": np.inf}}, "smears by inf"),
        ({"variations": {"up": 0.1}, "smearings": {"up": 1}}, "both a variation and a smearing"),
        ({"histograms": {"mjk": AxisSpec(bins=1, start=0, stop=1)}}, "Did you mean 'mjj'"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DijetProcessor(**settings)


def test_puppi_weights_are_needed_where_asked_for(tmp_path: Path, iterative, particles, generated_file) -> None:
    with pytest.raises(InputError, match="PFCands_puppiWeight"):
        run_one(generated_file(tmp_path / "a.root", particles(2)), iterative, puppi=True)


def test_processor_is_cheap_to_send() -> None:
    sent = pickle.dumps(DijetProcessor(variations={"up": 0.1}))
    assert len(sent) < 5000
    assert pickle.loads(sent).variations == {"nominal": 0.0, "up": 0.1}  # noqa: S301
