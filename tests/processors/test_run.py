"""Runs over files: the same result from any executor and chunking; bad files found, explained, left out whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from coffea.processor import IterativeExecutor, ProcessorABC, Runner

from processors import DijetProcessor, HDF5Runner, InputError, OutputError, read_parts, run_files, schema_for

N_EVENTS = 23


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, particles, generated_file, lhco_file, rows_of) -> dict[str, Any]:
    """The same events in two ROOT files and two HDF5 files, with weights whose sums are not exact in binary."""
    folder = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(5)
    files: dict[str, list[str]] = {"darkhorse": [], "lhco": []}
    for i in (0, 1):
        events = particles(N_EVENTS, seed=i)
        weight = rng.uniform(0.1, 3, N_EVENTS)
        files["darkhorse"].append(str(generated_file(folder / f"{i}.root", events, weight=weight, truth=i)))
        files["lhco"].append(str(lhco_file(folder / f"{i}.h5", rows_of(events, label=np.full(N_EVENTS, i)))))
    return files


def processor_for(directory: Path | None = None, **settings: Any) -> DijetProcessor:
    return DijetProcessor(
        min_leading_pt=1300, variations={"up": 0.02}, columns_directory=directory, constituents=3, **settings
    )


def tables(results: dict[str, Any], dataset: str = "d") -> dict[str, pa.Table]:
    found = {variation: read_parts(parts) for variation, parts in results["parts"][dataset].items()}
    return {variation: table.combine_chunks() for variation, table in found.items()}


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Equal to the last bit: columns, histograms and cutflow."""
    assert one["cutflow"] == two["cutflow"]
    assert one["histograms"].keys() == two["histograms"].keys()
    for name, histogram in one["histograms"].items():
        assert histogram == two["histograms"][name]
    first, second = tables(one), tables(two)
    assert first.keys() == second.keys()
    for variation, table in first.items():
        assert table.num_rows > 0
        assert table.equals(second[variation])


@pytest.mark.parametrize("format_name", ["darkhorse", "lhco"])
def test_every_executor_gives_the_same_bits(tmp_path: Path, samples, executors, *, format_name: str) -> None:
    results = {
        name: run_files(
            {"d": samples[format_name]},
            processor_for(tmp_path / name),
            format=format_name,
            executor=executor,
            chunksize=9,
        ).results
        for name, executor in executors.items()
    }
    assert_same(results["iterative"], results["futures"])
    assert_same(results["iterative"], results["dask"])


@pytest.mark.parametrize("format_name", ["darkhorse", "lhco"])
@pytest.mark.parametrize("chunksize", [2, 5, 1000])
def test_chunking_does_not_change_a_bit(
    tmp_path: Path, samples, iterative, *, format_name: str, chunksize: int
) -> None:
    results = [
        run_files(
            {"d": samples[format_name]},
            processor_for(tmp_path / str(size)),
            format=format_name,
            executor=iterative,
            chunksize=size,
        ).results
        for size in (13, chunksize)
    ]
    assert_same(*results)


def test_runners_of_coffea_and_ours_agree(tmp_path: Path, samples, iterative) -> None:
    runner = Runner(iterative, schema=schema_for("darkhorse"), chunksize=10)
    theirs = runner({"d": samples["darkhorse"]}, processor_for(tmp_path / "a"), treename="Events")
    ours = run_files(
        {"d": samples["darkhorse"]}, processor_for(tmp_path / "b"), format="darkhorse", executor=iterative, chunksize=10
    )
    assert_same(theirs, ours.results)
    assert ours.events == {"d": 2 * N_EVENTS}
    assert ours.skipped == {"d": []}


def test_root_and_hdf5_of_the_same_events_agree(tmp_path: Path, samples, iterative) -> None:
    found = {
        name: tables(run_files({"d": files}, processor_for(tmp_path / name), format=name, executor=iterative).results)[
            "nominal"
        ]
        for name, files in samples.items()
    }
    for column in ("mjj", "j1_m", "j2_tau32", "truth", "entry", "j1_nconst", "j2_constituents_pt"):
        assert found["darkhorse"][column].equals(found["lhco"][column])


def test_parts_are_sorted_and_named_by_file_and_entries(tmp_path: Path, samples, iterative) -> None:
    results = run_files(
        {"d": samples["lhco"][::-1]}, processor_for(tmp_path), format="lhco", executor=iterative, chunksize=12
    ).results
    parts = results["parts"]["d"]["nominal"]
    assert [(part["file"], part["entrystart"], part["entrystop"]) for part in parts] == [
        (name, start, stop) for name in sorted(samples["lhco"]) for start, stop in ((0, 12), (12, N_EVENTS))
    ]
    for part in parts:
        table = read_parts([part])
        assert part["events"] == table.num_rows
        name = f"part-{table['file_id'][0].as_py():08x}-{part['entrystart']}-{part['entrystop']}.parquet"
        assert Path(part["path"]) == tmp_path / "dataset=d" / "variation=nominal" / name


# --- bad input ---------------------------------------------------------------------------------------------------


def cut_in_half(path: Path, target: Path) -> Path:
    content = path.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    return target


def bad_file(kind: str, folder: Path, *, samples, lhco_file, generated_file, particles, rows_of) -> tuple[str, Path]:
    """A file with one fault, and its format."""
    if kind == "missing":
        return "darkhorse", folder / "missing.root"
    if kind == "truncated ROOT":
        return "darkhorse", cut_in_half(Path(samples["darkhorse"][0]), folder / "bad.root")
    if kind == "truncated HDF5":
        return "lhco", cut_in_half(Path(samples["lhco"][0]), folder / "bad.h5")
    if kind in ("empty ROOT", "empty HDF5"):
        path = folder / "bad.file"
        path.touch()
        return ("darkhorse" if "ROOT" in kind else "lhco"), path
    if kind == "text":
        path = folder / "bad.root"
        path.write_text("events " * 100)
        return "darkhorse", path
    if kind == "other layout":
        return "lhco", lhco_file(folder / "bad.h5", np.ones((5, 50)))
    if kind == "no tree":
        return "delphes", Path(samples["darkhorse"][0])
    if kind == "folder":
        return "lhco", folder
    events = particles(10)
    rows = rows_of(events)
    rows[7, 3] = np.nan if kind == "NaN" else -5.0
    return "lhco", lhco_file(folder / "bad.h5", rows)


@pytest.fixture
def make_bad(tmp_path: Path, samples, lhco_file, generated_file, particles, rows_of):
    """kind -> (format, path)."""

    def make(kind: str) -> tuple[str, Path]:
        return bad_file(
            kind,
            tmp_path,
            samples=samples,
            lhco_file=lhco_file,
            generated_file=generated_file,
            particles=particles,
            rows_of=rows_of,
        )

    return make


BAD = {
    "missing": "does not exist",
    "truncated ROOT": "is truncated",
    "truncated HDF5": "is truncated",
    "empty ROOT": r"is empty \(0 bytes\)",
    "empty HDF5": r"is empty \(0 bytes\)",
    "text": "is neither a ROOT nor an HDF5 file",
    "other layout": r"/df/block0_values \(5, 50\)",
    "no tree": "has no tree 'Delphes': it holds Events",
    "folder": "is a folder",
    "NaN": r"PFCands of entry 7 of .* has pt = nan",
    "negative": r"PFCands of entry 7 of .* has pt = -5.0",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_explained(tmp_path: Path, make_bad, iterative, *, kind: str) -> None:
    format_name, path = make_bad(kind)
    processor = processor_for(tmp_path / "columns")
    with pytest.raises(InputError, match=BAD[kind]) as caught:
        run_files({"d": [str(path)]}, processor, format=format_name, executor=iterative, chunksize=3)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "columns").rglob("*.parquet")) == []


@pytest.mark.parametrize("kind", ["truncated HDF5", "NaN"])
@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_the_message_survives_the_way_back_from_a_worker(make_bad, executors, *, kind: str, executor: str) -> None:
    format_name, path = make_bad(kind)
    with pytest.raises(InputError, match=BAD[kind]):
        run_files({"d": [str(path)]}, DijetProcessor(), format=format_name, executor=executors[executor])


@pytest.mark.parametrize("kind", ["truncated HDF5", "other layout", "negative"])
def test_hdf5_runner_raises_the_same(make_bad, iterative, *, kind: str) -> None:
    _, path = make_bad(kind)
    with pytest.raises(InputError, match=BAD[kind]):
        HDF5Runner(iterative)({"d": [str(path)]}, DijetProcessor())


def test_all_bad_files_are_listed(make_bad, samples, iterative) -> None:
    bad = [str(make_bad(kind)[1]) for kind in ("missing", "empty ROOT")]
    with pytest.raises(InputError, match=r"2 of 3 files(?s:.*)does not exist(?s:.*)is empty") as caught:
        run_files({"d": [*bad, samples["darkhorse"][0]]}, DijetProcessor(), format="darkhorse", executor=iterative)
    assert all(name in str(caught.value) for name in bad)


def test_skipped_files_leave_no_trace(tmp_path: Path, make_bad, samples, iterative) -> None:
    """The negative pT is in the third chunk of its file: what the others gave must not count either."""
    negative, missing = make_bad("negative")[1], make_bad("missing")[1]
    settings = {"format": "lhco", "executor": iterative, "chunksize": 3}
    clean = run_files({"d": samples["lhco"]}, processor_for(tmp_path / "clean"), **settings)
    fileset = {"d": [samples["lhco"][0], str(negative), samples["lhco"][1], str(missing)]}
    mixed = run_files(fileset, processor_for(tmp_path / "mixed"), skip_bad_files=True, **settings)
    assert_same(clean.results, mixed.results)
    assert mixed.events == clean.events
    assert [entry["file"] for entry in mixed.skipped["d"]] == [str(negative), str(missing)]
    assert "pt = -5.0" in mixed.skipped["d"][0]["reason"]
    assert "does not exist" in mixed.skipped["d"][1]["reason"]
    listed = {part["path"] for parts in mixed.results["parts"]["d"].values() for part in parts}
    assert {str(path) for path in (tmp_path / "mixed").rglob("*") if path.is_file()} == listed


def test_skipping_does_not_lose_a_whole_dataset(make_bad, samples, iterative) -> None:
    fileset = {"good": samples["lhco"], "bad": [str(make_bad("missing")[1])]}
    with pytest.raises(InputError, match="does not exist"):
        run_files(fileset, DijetProcessor(), format="lhco", executor=iterative, skip_bad_files=True)


def test_damage_in_the_middle_of_a_root_file(tmp_path: Path, samples, particles, generated_file, iterative) -> None:
    path = generated_file(tmp_path / "bad.root", particles(400))
    content = bytearray(path.read_bytes())
    content[2000 : len(content) // 2] = bytes(len(content) // 2 - 2000)
    path.write_bytes(content)
    output = run_files(
        {"d": [str(path), samples["darkhorse"][0]]},
        DijetProcessor(),
        format="darkhorse",
        executor=iterative,
        skip_bad_files=True,
    )
    assert [entry["file"] for entry in output.skipped["d"]] == [str(path)]


class Broken(ProcessorABC):
    """A processor with a mistake of its own."""

    def process(self, events: Any) -> Any:
        raise TypeError("not the file's fault")


def test_a_mistake_in_a_processor_is_not_blamed_on_the_file(samples, iterative) -> None:
    with pytest.raises(TypeError, match="not the file's fault"):
        run_files({"d": samples["lhco"]}, Broken(), format="lhco", executor=iterative, skip_bad_files=True)


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_output_that_cannot_be_written_is_not_blamed_on_the_file(
    tmp_path: Path, samples, executors, *, executor: str
) -> None:
    (tmp_path / "file").touch()
    processor = processor_for(tmp_path / "file" / "columns")
    with pytest.raises(OutputError, match=r"cannot be written to .*columns"):
        run_files({"d": samples["lhco"]}, processor, format="lhco", executor=executors[executor], skip_bad_files=True)


# --- filesets ----------------------------------------------------------------------------------------------------


class Metadata(ProcessorABC):
    """Collects the metadata of its chunks."""

    def process(self, events: Any) -> Any:
        return {"chunks": [dict(events.metadata)], "truth": [events.truth.tolist()]}

    def postprocess(self, accumulator: Any) -> None:
        pass


def test_hdf5_runner_takes_filesets_of_coffea(samples, iterative) -> None:
    path = samples["lhco"][0]
    runner = HDF5Runner(iterative, chunksize=12)
    for fileset in (
        {"d": {"files": [path], "metadata": {"year": 2018}}},
        {"d": {"files": {path: "df"}, "metadata": {"year": 2018}}},
        {"d": {"files": [path], "treename": "/df", "metadata": {"year": 2018}}},
    ):
        output = runner(fileset, Metadata())
        first, second = output["chunks"]
        assert (first["dataset"], first["filename"], first["year"]) == ("d", path, 2018)
        assert [(c["entrystart"], c["entrystop"]) for c in (first, second)] == [(0, 12), (12, 23)]
        assert first["fileuuid"] == second["fileuuid"] != ""
    assert runner({"d": [path]}, lambda events: {"n": len(events)}) == {"n": N_EVENTS}


def test_hdf5_runner_options(samples, make_bad, iterative) -> None:
    output, metrics = HDF5Runner(iterative, chunksize=5, maxchunks=2, savemetrics=True)(
        {"a": samples["lhco"], "b": samples["lhco"]}, Metadata()
    )
    assert len(output["chunks"]) == metrics["chunks"] == 4
    assert metrics["entries"] == sum(c["entrystop"] - c["entrystart"] for c in output["chunks"])
    fileset = {"a": [str(make_bad("truncated HDF5")[1]), *samples["lhco"]]}
    with pytest.warns(UserWarning, match="skipping a bad file: .*truncated"):
        output = HDF5Runner(iterative, skipbadfiles=True)(fileset, Metadata())
    assert len(output["chunks"]) == 2
    with pytest.raises(InputError, match="chunk size is 0"):
        HDF5Runner(iterative, chunksize=0)({"a": samples["lhco"]}, Metadata())


@pytest.mark.parametrize(
    ("fileset", "message"),
    [
        ({}, "fileset is empty"),
        ({"d": {"paths": []}}, "has no 'files'"),
        ({"d": "a.h5"}, "expected a list of paths"),
        ({"d": ["x/a.h5", "x/a.h5"]}, "listed twice"),
        ({"d": ["1/x/a.h5", "2/x/a.h5"]}, "cannot be told apart"),
    ],
)
def test_impossible_filesets(fileset: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_files(fileset, DijetProcessor(), format="lhco", executor=IterativeExecutor(status=False))


def test_formats_by_dataset(tmp_path: Path, samples, iterative) -> None:
    fileset = {"root": samples["darkhorse"], "hdf5": samples["lhco"]}
    output = run_files(
        fileset,
        processor_for(tmp_path),
        format={"root": "darkhorse", "hdf5": "lhco"},
        executor=iterative,
    )
    assert output.events == {"root": 2 * N_EVENTS, "hdf5": 2 * N_EVENTS}
    assert list(output.results["histograms"]["mjj"].axes["dataset"]) == ["hdf5", "root"]
