"""`darkhorse process` on real events: an independent analysis of the same events, and CMS's own jets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from analysis.cli import main


def processed(tmp_path: Path, *arguments: str) -> dict[str, np.ndarray]:
    """Run `darkhorse process` and return the columns of its nominal variation."""
    out = ["--out", str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--executor", "iterative"]
    assert main(["process", *arguments, *out]) == 0
    parts = sorted((tmp_path / "data" / "processed").glob("*/columns/dataset=files/variation=nominal/*.parquet"))
    tables = [parquet.ParquetFile(part).read() for part in parts]
    columns = {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in tables[0].column_names}
    order = np.argsort(columns["entry"])
    return {name: values[order] for name, values in columns.items()}


def test_raw_lhc_olympics_events_reproduce_the_independent_analysis(shared_data: Path, tmp_path: Path) -> None:
    columns = processed(
        tmp_path, "--files", str(shared_data / "lhco_rnd_tiny.h5"), "--format", "lhco",
        "--set", "processing.min_leading_pt=null", "--set", "processing.max_abs_eta=null",
    )  # fmt: skip
    reference = np.genfromtxt(shared_data / "lhco_rnd_tiny_reference.csv.gz", delimiter=",", names=True)
    assert len(columns["mjj"]) == len(reference) == 1000
    assert np.array_equal(columns["truth"], reference["label"])
    heavier = np.where(reference["mj1"] > reference["mj2"], "j1", "j2")
    for ours, theirs in (("j1", heavier), ("j2", np.where(heavier == "j1", "j2", "j1"))):
        expected = {
            name: np.where(theirs == "j1", reference[f"{name}j1"], reference[f"{name}j2"])
            for name in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
        }
        pt, eta, phi = (columns[f"{ours}_{name}"] for name in ("pt", "eta", "phi"))
        momentum = pt * np.cosh(eta)  # each component to a millionth of the jet's momentum
        for name, component in (("px", pt * np.cos(phi)), ("py", pt * np.sin(phi)), ("pz", pt * np.sinh(eta))):
            assert np.max(np.abs(component - expected[name]) / momentum) < 1e-6, name
        np.testing.assert_allclose(pt, np.hypot(expected["px"], expected["py"]), rtol=1e-6)
        np.testing.assert_allclose(columns[f"{ours}_m"], expected["m"], rtol=0, atol=1e-5)
        reliable = reference["tau_reliable"] == 1
        for order in (1, 2, 3):
            np.testing.assert_allclose(
                columns[f"{ours}_tau{order}"][reliable], expected[f"tau{order}"][reliable], rtol=1e-6, atol=1e-9
            )


@pytest.mark.parametrize(
    ("file", "format_name", "jets"),
    [
        ("pfnano.root", "pfnano", "PFCands"),
        ("pfnano.root", "pfnano", "FatJet"),
        ("nano_dy.root", "nanoaod", "FatJet"),
        ("nanoaod_2015_ttbar.root", "nanoaod", "FatJet"),
        ("scouting_nano.root", "scouting", "FatJet"),
        ("lhco_rnd_features.h5", "lhco", "FatJet"),
    ],
)
def test_real_files_of_every_format_are_processed(
    shared_data: Path, tmp_path: Path, file: str, format_name: str, jets: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "process", "--files", str(shared_data / file), "--format", format_name,
        "--set", f"processing.jets={jets}", "--set", "processing.min_leading_pt=null",
        "--set", "processing.max_abs_eta=null", "--set", "processing.radius=0.8",
        "--out", str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--executor", "iterative",
    ]  # fmt: skip
    assert main(arguments) == 0
    assert "selected" in capsys.readouterr().out
