"""Which figures a search shows, and what their captions say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.config import DetectorSettings, WindowSettings
from analysis.events import Events, count_mixture
from analysis.figures import limits, windows
from analysis.figures.captions import selected_content, signal_content
from analysis.figures.data import feature_names
from analysis.figures.detectors import figure_groups
from analysis.plots import Label
from analysis.stages.limit import Limited
from analysis.stages.searched import Searched


def sample(n_signal: int, *, known: bool = True, window: tuple[float, float] | None = (3300.0, 3700.0)) -> Searched:
    truth = np.repeat([1, 0], [n_signal, 400])
    events = Events({"truth": truth, "mjj": np.full(len(truth), 3500.0)})
    counts = count_mixture(events, background="qcd", signal="wprime", window=window) if known else None
    return Searched("pseudo", events, None, counts, "key")


def test_captions_name_the_signal_three_ways() -> None:
    expected = " pseudo holds a total signal fraction of 2.44%, S/B = 0.025 and S/√B = 0.5 in the window."
    assert signal_content(sample(10)) == expected
    assert signal_content(sample(10, window=None)) == " pseudo holds a total signal fraction of 2.44%."
    assert signal_content(sample(0)) == " pseudo holds no signal."
    assert signal_content(sample(10, known=False)) == ""
    selection = {"signal_fraction": 0.25, "s_over_b_window": 1.5, "s_over_sqrt_b_window": 6.0}
    assert "25%, S/B = 1.5 and S/√B = 6 in the window" in selected_content(selection)
    assert selected_content({"signal_fraction": None}) == ""


def test_only_features_that_a_detector_reads_are_its_inputs() -> None:
    def names(**features: list[str]) -> list[str]:
        detectors = {
            name: DetectorSettings(type="cwola", settings={"features": read}) for name, read in features.items()
        }
        search = SimpleNamespace(detectors=detectors, abcd=(), processing=SimpleNamespace(processor="dijet"))
        return feature_names(SimpleNamespace(search=search))  # type: ignore[arg-type]

    assert names(a=["j1_m", "j2_m"], b=["j2_m", "j1_tau21"]) == ["j1_m", "j2_m", "j1_tau21"]
    assert names() == ["j1_m", "j1_tau21", "j1_tau32", "j2_m", "j2_tau21", "j2_tau32"]


def test_detectors_that_name_the_same_figure_stand_together() -> None:
    """In the order of the search; with a window of their own apart; in the main figure where they name none."""
    own = WindowSettings(signal=(4000, 4400), sidebands=((3600, 4000),))
    named: dict[str, dict[str, Any]] = {
        "first": {"figures": ["order", "main"]},
        "second": {},
        "third": {"figures": ["order"], "window": own},
        "fourth": {"figures": ["order"]},
        "fifth": {"window": own},
    }
    detectors = {name: DetectorSettings(type="cwola", **settings) for name, settings in named.items()}
    run: Any = SimpleNamespace(search=None, detectors=detectors, window=WindowSettings(signal=(3300, 3700)))
    run.search = run
    assert list(figure_groups(run)) == [
        ("", ["first", "second"]),
        ("-windows", ["fifth"]),
        ("-order", ["first", "fourth"]),
        ("-order-windows", ["third"]),
    ]


def test_limits_are_drawn_at_their_level(monkeypatch: pytest.MonkeyPatch) -> None:
    hunted = SimpleNamespace(
        identifier="pseudo-inclusive", sample="pseudo", summary={}, selection=SimpleNamespace(detector=None)
    )
    entry = {"selection": "pseudo-inclusive", "mass": 3500.0, "observed": 3.0, "expected": [1.0, 2.0, 3.0, 4.0, 5.0]}
    run: Any = SimpleNamespace(search=SimpleNamespace(limits=SimpleNamespace(level=0.1, cross_section=None)))
    monkeypatch.setattr(limits, "hunt", lambda _: {"pseudo-inclusive": hunted})
    monkeypatch.setattr(windows, "hunt", lambda _: {"pseudo-inclusive": hunted})
    found = Limited([{**entry, "unit": "selected events", "signal": "Gaussian"}], None, Path())
    monkeypatch.setattr(limits, "limited", lambda _: {"pseudo-inclusive": found})
    monkeypatch.setattr(limits, "searched", lambda _run, _name: sample(10))
    [(section, name, caption, figure)] = list(limits.limit_figures(run, Label()))
    assert (section, name) == ("limits", "limit-pseudo-inclusive")
    assert caption.startswith("Upper limits at 90% CLs on the number of resonance events")
    assert "S/√B = 0.5" in caption
    assert "no limit" not in caption.lower()
    assert figure.axes[0].get_ylabel().startswith("90% CL")  # type: ignore[attr-defined]
    lost: dict[str, Any] = {"observed": None, "expected": [None] * 5}
    found.entries.extend(
        [found.entries[0] | lost | {"mass": 4000.0}, found.entries[0] | {"mass": 3000.0, "observed": None}]
    )
    [(_, _, gaps, _)] = list(limits.limit_figures(run, Label()))
    assert " No limit was found at 4.00 TeV; no observed limit was found at 3.00 TeV." in gaps
    run.search.limits = None
    assert list(limits.limit_figures(run, Label())) == []
