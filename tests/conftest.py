"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real events; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("DARKHORSE_TESTDATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real events: {folder} is missing (set DARKHORSE_TESTDATA)")
    return folder
