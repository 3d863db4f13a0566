"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# compiling takes longer than running what tests compile; what they run must not depend on how far it is optimised
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real events; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("DARKHORSE_TESTDATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real events: {folder} is missing (set DARKHORSE_TESTDATA)")
    return folder


@pytest.fixture(scope="module")
def one_shard() -> Iterator[None]:
    """Members that are trained together compile once, not once for each core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ml.threads.available", lambda: 1)
        yield
