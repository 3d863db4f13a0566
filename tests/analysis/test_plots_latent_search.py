"""What figures of a latent space are drawn of: every signal event that is known, on scales that samples share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.events import Events
from analysis.figures import latent as figures
from analysis.stages.latent import Latent
from analysis.stages.searched import Searched


def events(mass: np.ndarray, truth: int) -> dict[str, np.ndarray]:
    return {"mjj": mass, "truth": np.full(len(mass), truth), "j1_m": mass / 10}


def sample(n_signal: int) -> Searched:
    """Three background events and some signal, with two signal events that were not injected."""
    both = [events(np.array([2e3, 2.5e3, 3e3]), 0), events(np.linspace(3.4e3, 3.6e3, n_signal), 1)]
    own = Events({name: np.concatenate([one[name] for one in both]) for name in both[0]})
    return Searched("some", own, Events(events(np.array([3450.0, 3550.0]), 1)), None, "key")


def found(name: str, grid: np.ndarray, features: tuple[str, ...] = ("j1_m", "j2_m")) -> Latent:
    arrays = {"grid": grid, "rows_background": np.arange(3), "coordinate_background": np.zeros(3)}
    arrays |= {"rows_signal": np.array([3, 4]), "coordinate_signal": np.array([1.0, 2.0])}
    return Latent(name, "vae", {"features": features}, arrays, "key")


def test_colour_scales_of_a_feature_are_those_of_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = np.zeros((2, 3, 2)), np.stack([np.full((2, 3), 5.0), np.full((2, 3), -1.0)], axis=-1)
    several = {("a", "vae"): found("a", low), ("b", "vae"): found("b", high)}
    monkeypatch.setattr(figures, "latent", lambda run: several)
    assert figures._limits(None) == {"j1_m": (0.0, 5.0), "j2_m": (-1.0, 0.0)}  # type: ignore[arg-type]
    monkeypatch.setattr(figures, "latent", lambda run: {("a", "vae"): several["a", "vae"]})
    assert figures._limits(None) == {}  # type: ignore[arg-type]


def test_signal_that_was_not_injected_counts_where_some_was() -> None:
    known = figures._known_signal(sample(2))
    assert known is not None
    np.testing.assert_array_equal(known["mjj"], [3400, 3600, 3450, 3550])
    assert figures._known_signal(sample(0)) is None


@pytest.mark.parametrize(("score", "drawn"), [("coordinate", 4), ("kl", 2)])
def test_outlines_take_signal_whose_coordinate_is_known(
    monkeypatch: pytest.MonkeyPatch, score: str, drawn: int
) -> None:
    run: Any = SimpleNamespace(search=SimpleNamespace(detectors={"vae": SimpleNamespace(settings={"score": score})}))
    monkeypatch.setattr(figures, "searched", lambda run, name: sample(2))
    scored = SimpleNamespace(spare_score=np.array([1.5, 1.7]))
    monkeypatch.setattr(figures, "trained", lambda run, name, detector: scored)
    one = found("some", np.zeros((2, 3, 2)))
    mass, coordinate = figures._places(run, one, "signal")
    np.testing.assert_array_equal(mass, [3400, 3600, 3450, 3550][:drawn])
    np.testing.assert_array_equal(coordinate, [1, 2, 1.5, 1.7][:drawn])
    mass, coordinate = figures._places(run, one, "background")
    assert len(mass) == len(coordinate) == 3
