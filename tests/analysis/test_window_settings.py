"""Which detectors need a signal window: their type says so, or their settings."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.config import DetectorSettings, Search
from analysis.window_settings import windowed


@pytest.mark.parametrize(
    ("type_", "settings", "expected"),
    [
        ("cwola", {}, True),
        ("latent_vae", {}, False),
        ("autoencoder", {}, False),
        ("tnt", {}, True),
        ("tnt", {"mass_window": False}, False),
        ("tnt", {"iterations": 0}, False),
        ("latent_vae", {"membres": 3}, False),
        ("unheard_of", {}, True),
    ],
)
def test_settings_may_decide_whether_a_window_is_needed(type_: str, settings: dict[str, Any], expected: bool) -> None:
    assert windowed(DetectorSettings(type=type_, settings=settings)) is expected


def test_plain_tag_n_train_searches_without_a_window() -> None:
    def search(**settings: Any) -> Search:
        detectors = {"tnt": {"type": "tnt", "settings": settings}}
        return Search.model_validate({"name": "plain", "data": ["qcd"], "detectors": detectors})

    assert search(mass_window=False).window is None
    with pytest.raises(ValueError, match="`detectors` need a `window`"):
        search()
