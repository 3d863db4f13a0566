"""The processor of top pairs: each cut by hand-made events, smearing, and what must not change anything."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from coffea.processor import IterativeExecutor, Runner

from processors import AxisSpec, InputError, TTbarProcessor, read_parts, run_files, schema_for
from processors.smearing import jet_width, missing_energy_width, smearing_factor
from processors.ttbar_columns import TTBAR_COLUMNS, TTBAR_HISTOGRAMS
from tests.processors.ttbar_events import (
    ELECTRON_MASS,
    MUON_MASS,
    Event,
    Jet,
    Tops,
    random_event,
    shuffled,
    write_ttbar,
)

CUTS = ["all", "lepton", "two_fat_jets", "b_jets", "light_jets", "ht"]
HADRONIC, LEPTONIC = Tops().hadronic, Tops().leptonic
B, LIGHT1, LIGHT2 = HADRONIC


def run(path: Path, iterative, *, chunksize: int = 10_000, **settings: Any) -> dict[str, Any]:
    processor = TTbarProcessor(**settings)
    return run_files({"d": [str(path)]}, processor, format="darkhorse", executor=iterative, chunksize=chunksize).results


def frame_of(results: dict[str, Any], variation: str = "nominal") -> pd.DataFrame:
    table = read_parts(results["parts"]["d"][variation])
    return pd.DataFrame({name: table.column(name).to_pylist() for name in table.column_names})


def counts(results: dict[str, Any], variation: str = "nominal") -> dict[str, int]:
    return {cut: n["events"] for cut, n in results["cutflow"]["d"][variation].items()}


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(11)
    weight = rng.integers(1, 9, 50) / 8
    return write_ttbar(tmp_path_factory.mktemp("tt") / "a.root", [random_event(rng) for _ in range(50)], weight=weight)


def test_observables_of_an_event_by_hand(tmp_path: Path, iterative) -> None:
    path = write_ttbar(tmp_path / "a.root", [Tops().event()])
    (row,) = frame_of(run(path, iterative, columns_directory=tmp_path / "c")).to_dict("records")
    expected = {"b1": LEPTONIC[0], "b2": B, "light1": LIGHT1, "light2": LIGHT2}
    momenta = {}
    for name, jet in expected.items():
        parts = [(pt, eta, phi, mass) for pt, eta, phi, mass, _ in jet.particles()]
        px, py, pz = (
            sum(pt * function for (pt, *_), function in zip(parts, values, strict=True))
            for values in (
                [math.cos(p[2]) for p in parts],
                [math.sin(p[2]) for p in parts],
                [math.sinh(p[1]) for p in parts],
            )
        )
        energy = sum(math.sqrt((pt * math.cosh(eta)) ** 2 + mass**2) for pt, eta, _, mass in parts)
        momenta[name] = np.array([energy, px, py, pz])
    lepton = Tops().lepton
    assert lepton is not None
    pt, eta, phi, mass, _ = lepton
    px, py, pz = pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta)
    momenta["lepton"] = np.array([math.sqrt(px**2 + py**2 + pz**2 + mass**2), px, py, pz])
    for name, (energy, px, py, pz) in momenta.items():
        assert [row[f"{name}_{c}"] for c in ("e", "px", "py", "pz")] == pytest.approx([energy, px, py, pz], abs=1e-3)
        assert row[f"{name}_pt"] == pytest.approx(math.hypot(px, py), abs=1e-3)
        assert row[f"{name}_phi"] == pytest.approx(math.atan2(py, px), abs=1e-6)
        assert row[f"{name}_eta"] == pytest.approx(math.asinh(pz / math.hypot(px, py)), abs=1e-6)
        assert row[f"{name}_m"] == pytest.approx(math.sqrt(max(0, energy**2 - px**2 - py**2 - pz**2)), abs=1e-2)
    energy, px, py, pz = sum(momenta.values())
    assert row["mtt"] == pytest.approx(math.sqrt(energy**2 - px**2 - py**2 - pz**2), abs=1e-2)
    assert row["ht"] == pytest.approx(1110)  # of all particles
    assert (row["met"], row["met_phi"]) == (120, 3)


def near_miss(**changes: Any) -> Event:
    return replace(Tops(), **changes).event()


WITHOUT_HADRON = replace(Tops().event(), hadrons=[(175.0, 0.01, 0.0), (200.0, 0.2, 2.65)])
MUON_PT, MUON_ETA, MUON_PHI = 150.0, -0.4, 3.0


def muon(pt: float) -> tuple[float, float, float, float, int]:
    return (pt, MUON_ETA, MUON_PHI, MUON_MASS, 13)


@pytest.mark.parametrize(
    ("event", "last_passed"),
    [
        (Tops().event(), "ht"),
        (near_miss(lepton=None), "all"),
        (near_miss(lepton=muon(9.9)), "all"),
        (near_miss(lepton=muon(10.1)), "light_jets"),  # isolated, but then H_T is 970 GeV
        (near_miss(others=[(16.0, MUON_ETA, MUON_PHI + 0.1, 0.0, 22)]), "all"),
        (near_miss(others=[(14.0, MUON_ETA, MUON_PHI + 0.1, 0.0, 22)]), "ht"),
        (near_miss(lepton=(150.0, MUON_ETA, MUON_PHI, ELECTRON_MASS, -11)), "ht"),
        (near_miss(leptonic=()), "lepton"),
        (near_miss(leptonic=[Jet(300, 0.2, 2.9)]), "two_fat_jets"),
        (near_miss(leptonic=[Jet(29, 0.2, 2.9, b=True)], lepton=muon(500)), "two_fat_jets"),
        (near_miss(leptonic=[Jet(31, 0.2, 2.9, b=True)], lepton=muon(500)), "ht"),
        (WITHOUT_HADRON, "two_fat_jets"),  # 0.25 away from the leptonic b
        (near_miss(hadronic=[replace(B, b=False), LIGHT1, LIGHT2]), "two_fat_jets"),
        (near_miss(hadronic=[B, replace(LIGHT1, pt=500)]), "b_jets"),
        (near_miss(hadronic=[B, LIGHT1, replace(LIGHT2, pt=29)], lepton=muon(400)), "b_jets"),
        (near_miss(hadronic=[B, LIGHT1, replace(LIGHT2, pt=31)], lepton=muon(400)), "ht"),
        (near_miss(hadronic=[B, LIGHT1, replace(LIGHT2, eta=-0.1)]), "b_jets"),  # merged with the b-jet
        (near_miss(hadronic=[B, LIGHT1, replace(LIGHT2, b=True)]), "b_jets"),  # two b-jets and one light jet
        (near_miss(hadronic=[B, LIGHT1, replace(LIGHT2, eta=-1.3)]), "b_jets"),  # outside the fat jet
        (near_miss(lepton=muon(35)), "light_jets"),
        (near_miss(lepton=muon(45)), "ht"),
    ],
)
def test_each_cut_by_an_event_that_just_fails_it(tmp_path: Path, iterative, event: Event, last_passed: str) -> None:
    found = counts(run(write_ttbar(tmp_path / "a.root", [event]), iterative))
    assert list(found) == CUTS
    passed = CUTS[: CUTS.index(last_passed) + 1]
    assert found == {cut: int(cut in passed) for cut in CUTS}


def test_isolated_lepton_is_in_no_jet_and_another_is(tmp_path: Path, iterative) -> None:
    """A muon inside the leptonic b-jet, and the same one isolated because nothing is asked of isolation."""
    inside = (100.0, 0.2, 2.91, MUON_MASS, 13)
    event = near_miss(others=[inside])
    event = replace(event, leptons=[*event.leptons, inside])
    path = write_ttbar(tmp_path / "a.root", [event])
    (row,) = frame_of(run(path, iterative, columns_directory=tmp_path / "c")).to_dict("records")
    assert row["lepton_pt"] == 150
    assert row["b1_pt"] == pytest.approx(400, rel=1e-3)
    (free,) = frame_of(run(path, iterative, columns_directory=tmp_path / "d", max_isolation=5)).to_dict("records")
    assert free["b1_pt"] == pytest.approx(300, rel=1e-3)
    assert free["ht"] == pytest.approx(row["ht"], rel=1e-3)  # the second isolated lepton counts in H_T


def test_hadronic_top_is_the_one_far_from_the_lepton(tmp_path: Path, iterative) -> None:
    """Both fat jets hold a b-jet and two light jets; the one near phi = 3 is harder."""
    tops = replace(Tops(), leptonic=[*LEPTONIC, Jet(280, 0.6, 2.6), Jet(270, 0.2, 2.4)])
    near_leptonic = tops.event()
    other_side = replace(tops, lepton=(150.0, 0.1, 0.5, MUON_MASS, 13)).event()
    path = write_ttbar(tmp_path / "a.root", [near_leptonic, other_side])
    frame = frame_of(run(path, iterative, columns_directory=tmp_path / "c"))
    np.testing.assert_allclose(frame["light1_pt"], [260, 280], rtol=1e-3)
    np.testing.assert_allclose(frame["light2_pt"], [150, 270], rtol=1e-3)


def test_ht_of_all_particles_or_of_the_objects(tmp_path: Path, iterative) -> None:
    """200 GeV outside of both fat jets, and 20 GeV inside one, too soft for a jet."""
    soft = [(200.0, 3.0, 1.5, 0.0, 22), (20.0, 0.2, 0.5, 0.0, 22)]
    path = write_ttbar(tmp_path / "a.root", [replace(Tops(), lepton=muon(35), others=soft).event()])
    rows = {}
    for ht_of in ("visible", "objects"):
        settings: dict[str, Any] = {"ht_of": ht_of, "columns_directory": tmp_path / ht_of, "variations": {"up": 3}}
        assert counts(run(path, iterative, ht_of=ht_of))["ht"] == int(ht_of == "visible")
        results = run(path, iterative, min_ht=None, **settings)
        rows[ht_of] = [frame_of(results, name).iloc[0] for name in ("nominal", "up")]
    nominal, up = rows["visible"]
    objects, objects_up = rows["objects"]
    assert objects["ht"] == pytest.approx(995, rel=1e-4)
    assert nominal["ht"] == pytest.approx(1215, rel=1e-4)
    # what is in no object does not move; 20 GeV are 28.7 after the smearing, still no jet
    assert up["ht"] - nominal["ht"] == pytest.approx(objects_up["ht"] - objects["ht"], rel=1e-12)
    for name, row in (("visible", up), ("objects", objects_up)):
        assert row["met"] == 120 + 3 * missing_energy_width(np.array(rows[name][0]["ht"]))


def test_everything_moves_by_its_own_width(tmp_path: Path, iterative) -> None:
    path = write_ttbar(tmp_path / "a.root", [replace(Tops(), lepton=muon(250)).event()])
    settings = {"columns_directory": tmp_path / "c", "min_ht": None}
    results = run(path, iterative, variations={"up": 3, "down": -3, "small": 1}, **settings)
    (nominal,) = frame_of(results).to_dict("records")
    for variation, size in (("up", 3), ("down", -3), ("small", 1)):
        (row,) = frame_of(results, variation).to_dict("records")
        for name in ("b1", "b2", "light1", "light2"):
            factor = smearing_factor(jet_width(np.array(nominal[f"{name}_pt"])), size)
            assert row[f"{name}_pt"] == nominal[f"{name}_pt"] * factor
        assert row["lepton_pt"] == pytest.approx(250 * (1 + size * 0.05))  # a muon above 200 GeV
        for name in ("b1", "b2", "light1", "light2", "lepton"):
            assert [row[f"{name}_{c}"] for c in ("m", "eta", "phi")] == [
                nominal[f"{name}_{c}"] for c in ("m", "eta", "phi")
            ]
            factor = row[f"{name}_pt"] / nominal[f"{name}_pt"]
            for c in ("px", "py", "pz"):
                assert row[f"{name}_{c}"] == pytest.approx(factor * nominal[f"{name}_{c}"], abs=1e-9)
        assert row["met"] == nominal["met"] + size * missing_energy_width(np.array(nominal["ht"]))
        assert row["met_phi"] == nominal["met_phi"]
        visible = sum(row[f"{name}_pt"] for name in ("b1", "b2", "light1", "light2", "lepton"))
        assert row["ht"] == pytest.approx(visible, rel=1e-4)


def test_cuts_see_the_smeared_objects(tmp_path: Path, iterative) -> None:
    """A light jet of 25 GeV passes upwards, one of 40 fails downwards, as do a lepton of 10.5 and an H_T of 1.1 TeV."""
    events = [
        near_miss(hadronic=[B, LIGHT1, replace(LIGHT2, pt=25)], lepton=muon(400)),
        near_miss(hadronic=[B, LIGHT1, replace(LIGHT2, pt=40)], lepton=muon(900)),
        near_miss(hadronic=[replace(B, pt=500), LIGHT1, LIGHT2], lepton=muon(10.5)),
        Tops().event(),
    ]
    path = write_ttbar(tmp_path / "a.root", events)
    results = run(path, iterative, columns_directory=tmp_path / "c", variations={"up": 3, "down": -3})
    assert frame_of(results)["entry"].tolist() == [1, 2, 3]
    assert frame_of(results, "up")["entry"].tolist() == [0, 1, 2, 3]
    assert frame_of(results, "down")["entry"].tolist() == []
    assert counts(results, "down") == dict(zip(CUTS, (4, 3, 3, 3, 1, 0), strict=True))


def test_jets_are_ordered_after_the_smearing(tmp_path: Path, iterative) -> None:
    """199 GeV have a width of 7%, 201 GeV one of 5%."""
    event = near_miss(hadronic=[B, replace(LIGHT1, pt=201.2), replace(LIGHT2, pt=199.2)], lepton=muon(400))
    path = write_ttbar(tmp_path / "a.root", [event])
    results = run(path, iterative, columns_directory=tmp_path / "c", variations={"up": 3})
    nominal, up = frame_of(results).iloc[0], frame_of(results, "up").iloc[0]
    assert nominal["light1_eta"] == up["light2_eta"] == pytest.approx(0.45, abs=1e-3)
    assert up["light1_pt"] > up["light2_pt"]


def test_nominal_does_not_depend_on_the_other_variations(tmp_path: Path, iterative, random_file: Path) -> None:
    alone = run(random_file, iterative, columns_directory=tmp_path / "a")
    among = run(random_file, iterative, columns_directory=tmp_path / "b", variations={"up": 3, "same": 0})
    assert 0 < counts(alone)["ht"] < 50
    pd.testing.assert_frame_equal(frame_of(alone), frame_of(among), check_exact=True)
    pd.testing.assert_frame_equal(frame_of(among, "same"), frame_of(among), check_exact=True)
    assert alone["cutflow"]["d"]["nominal"] == among["cutflow"]["d"]["nominal"] == among["cutflow"]["d"]["same"]


def test_up_is_above_nominal_is_above_down_in_every_event(tmp_path: Path, iterative, random_file: Path) -> None:
    variations = {"up": 3, "small": 1, "nothing": 0, "down": -3}
    results = run(random_file, iterative, columns_directory=tmp_path / "c", variations=variations, min_ht=None)
    frames = [frame_of(results, name).set_index("entry") for name in ("down", "nominal", "small", "up")]
    common = sorted(set.intersection(*(set(frame.index) for frame in frames)))
    assert len(common) > 10
    for column in ("b1_pt", "b2_pt", "light1_pt", "light2_pt", "lepton_pt", "met", "ht"):
        values = [frame.loc[common, column].to_numpy() for frame in frames]
        for lower, higher in pairwise(values):
            assert (lower <= higher).all(), column
            assert (lower < higher).mean() > 0.9, column


def test_chunking_changes_no_bit(tmp_path: Path, iterative, random_file: Path) -> None:
    settings = {"variations": {"up": 3}, "min_ht": 900}
    whole = run(random_file, iterative, columns_directory=tmp_path / "a", **settings)
    parts = run(random_file, iterative, columns_directory=tmp_path / "b", chunksize=7, **settings)
    assert whole["cutflow"] == parts["cutflow"]
    for variation in ("nominal", "up"):
        pd.testing.assert_frame_equal(frame_of(whole, variation), frame_of(parts, variation), check_exact=True)
    assert set(whole["histograms"]) == set(TTBAR_HISTOGRAMS)
    for name, histogram in whole["histograms"].items():
        assert histogram == parts["histograms"][name]
        assert (
            histogram["d", "nominal", :].sum(flow=True).value
            == whole["cutflow"]["d"]["nominal"]["ht"]["sum_of_weights"]
        )


def test_order_of_particles_changes_nothing(tmp_path: Path, iterative) -> None:
    rng = np.random.default_rng(12)
    events = [random_event(rng) for _ in range(25)]
    frames = []
    for name, version in (("one", events), ("two", [shuffled(event, rng) for event in events])):
        path = write_ttbar(tmp_path / f"{name}.root", version)
        frames.append(frame_of(run(path, iterative, columns_directory=tmp_path / name)))
    assert len(frames[0]) > 5
    columns = [*TTBAR_COLUMNS, "entry"]
    pd.testing.assert_frame_equal(frames[0][columns], frames[1][columns], rtol=1e-9, atol=1e-4)


def test_plain_runner(tmp_path: Path, random_file: Path, iterative) -> None:
    processor = TTbarProcessor(columns_directory=tmp_path / "r")
    runner = Runner(IterativeExecutor(status=False), schema=schema_for("darkhorse"))
    output = runner({"d": [str(random_file)]}, processor, treename="Events")
    ours = run(random_file, iterative, columns_directory=tmp_path / "c")
    assert output["cutflow"] == ours["cutflow"]
    pd.testing.assert_frame_equal(frame_of(output), frame_of(ours), check_exact=True)
    assert read_parts(output["parts"]["d"]["nominal"]).schema == processor.schema


def test_no_survivor_and_no_event(tmp_path: Path, iterative) -> None:
    lost = write_ttbar(tmp_path / "lost.root", [Event(particles=[]), near_miss(lepton=None)])
    nothing = write_ttbar(tmp_path / "none.root", [])
    for path, n_events in ((lost, 2), (nothing, 0)):
        results = run(path, iterative, columns_directory=tmp_path / path.stem)
        assert counts(results) == dict(zip(CUTS, (n_events, 0, 0, 0, 0, 0), strict=True))
        parts = results["parts"]["d"]["nominal"]
        assert read_parts(parts, schema=TTbarProcessor().schema).num_rows == 0
        if n_events:
            assert results["histograms"]["mtt"].sum(flow=True).value == 0


@pytest.mark.parametrize("missing", ["PFCands", "Electron", "Muon", "GenBHadron", "MET"])
def test_missing_collection(tmp_path: Path, iterative, missing: str) -> None:
    path = write_ttbar(tmp_path / "a.root", [Tops().event()], without=[missing])
    with pytest.raises(InputError, match=rf"a\.root has no {missing}: none of the branches"):
        run(path, iterative)


def test_hdf5_file_has_no_b_hadrons(tmp_path: Path, iterative, particles, rows_of, lhco_file) -> None:
    path = lhco_file(tmp_path / "a.h5", rows_of(particles(2)))
    with pytest.raises(InputError, match=r"a\.h5 has no GenBHadron: .*Use a file that has it"):
        run_files({"d": [str(path)]}, TTbarProcessor(), format="lhco", executor=iterative)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Tops().event().with_particles((np.nan, 0.0, 0.0, 0.0, 22)), r"PFCands of entry 1 of .*a\.root has pt = nan"),
        (replace(Tops().event(), hadrons=[(50.0, np.inf, 0.0)]), r"GenBHadron of entry 1 of .* has eta = inf"),
        (replace(Tops().event(), leptons=[(-5.0, 0.0, 0.0, 0.0, 13)]), r"Muon of entry 1 of .* has pt = -5"),
        (replace(Tops(), met=(np.nan, 0.0)).event(), r"MET_pt of entry 1 of .*a\.root is nan"),
        (replace(Tops(), met=(-1.0, 0.0)).event(), r"MET_pt of entry 1 of .* is -1.*non-negative"),
        (replace(Tops(), met=(1.0, np.nan)).event(), r"MET_phi of entry 1 of .* is nan"),
    ],
)
def test_damaged_events_are_named(tmp_path: Path, iterative, broken: Event, message: str) -> None:
    path = write_ttbar(tmp_path / "a.root", [Tops().event(), broken])
    with pytest.raises(InputError, match=message):
        run(path, iterative)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": 0}, "radius is 0"),
        ({"b_tag_radius": -0.1}, "b_tag_radius is -0.1"),
        ({"min_jet_pt": -1}, "min_jet_pt is -1"),
        ({"max_isolation": np.nan}, "max_isolation is nan"),
        ({"min_ht": np.inf}, "min_ht is inf"),
        ({"ht_of": "jets"}, "ht_of is 'jets'"),
        ({"variations": {"nominal": 1}}, "nominal variation smears by 1"),
        ({"variations": {"up": np.nan}}, "'up' smears by nan"),
        ({"histograms": {"mt": AxisSpec(bins=1, start=0, stop=1)}}, "Did you mean 'mtt'"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TTbarProcessor(**settings)


def test_processor_is_cheap_to_send() -> None:
    sent = pickle.dumps(TTbarProcessor(variations={"up": 3}))
    assert len(sent) < 5000
    assert pickle.loads(sent).variations == {"nominal": 0.0, "up": 3}  # noqa: S301
