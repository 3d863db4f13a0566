"""Selection and smearing of top pairs: each cut by hand-made events, known values of every column."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.smearing import jet_width, missing_energy_width, smearing_factor
from tests.processors.ttbar_events import (
    CUTS,
    ELECTRON_MASS,
    MUON_MASS,
    Event,
    Jet,
    Tops,
    counts,
    frame_of,
    run,
    write_ttbar,
)

HADRONIC, LEPTONIC = Tops().hadronic, Tops().leptonic
B, LIGHT1, LIGHT2 = HADRONIC


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
