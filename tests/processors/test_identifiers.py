"""Identifiers of events: reference values, and independence of chunking and of where the data lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.identifiers import file_id, fold_hash, identify, splitmix64


def test_splitmix64_first_outputs_of_seed_zero() -> None:
    gamma = 0x9E3779B97F4A7C15
    states = np.array([0, gamma, 2 * gamma % 2**64], dtype=np.uint64)
    assert [hex(value) for value in splitmix64(states)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_file_id_survives_a_move_and_tells_folders_apart() -> None:
    assert file_id("/a/qcd/0.root") == file_id("/b/c/qcd/0.root") == file_id("root://host//store/qcd/0.root")
    assert file_id("/a/qcd/0.root") != file_id("/a/signal/0.root")


def test_file_id_of_a_relative_path(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_id("0.root") == file_id(str(tmp_path / "0.root")) == file_id("./0.root")


@given(st.integers(0, 200), st.integers(0, 200))
def test_folds_do_not_depend_on_chunking(start: int, length: int) -> None:
    whole = identify({"filename": "/a/b", "entrystart": 0}, 400)
    chunk = identify({"filename": "/a/b", "entrystart": start}, length)
    for name, values in chunk.items():
        np.testing.assert_array_equal(values, whole[name][start : start + length])


def test_folds_are_uniform_and_differ_between_files() -> None:
    entries = np.arange(100_000)
    folds = fold_hash(file_id("/a/b"), entries) % 5
    assert np.abs(np.bincount(folds) - 20_000).max() < 5 * np.sqrt(20_000 * 0.8)
    other = fold_hash(file_id("/a/c"), entries) % 5
    assert abs(np.mean(folds == other) - 0.2) < 5 * np.sqrt(0.16 / 100_000)
