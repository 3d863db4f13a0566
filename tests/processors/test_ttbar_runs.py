"""Runs over top pairs: what must not change anything, files that cannot be used, settings that cannot be."""

from __future__ import annotations

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
from processors.ttbar_columns import TTBAR_COLUMNS, TTBAR_HISTOGRAMS
from tests.processors.ttbar_events import CUTS, Event, Tops, counts, frame_of, random_event, run, shuffled, write_ttbar


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(11)
    weight = rng.integers(1, 9, 50) / 8
    return write_ttbar(tmp_path_factory.mktemp("tt") / "a.root", [random_event(rng) for _ in range(50)], weight=weight)


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
    lost = write_ttbar(tmp_path / "lost.root", [Event(particles=[]), replace(Tops(), lepton=None).event()])
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
