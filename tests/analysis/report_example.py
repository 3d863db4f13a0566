"""The results of a small search as results.json holds them, and a reader of the page made from them."""

from __future__ import annotations

import copy
import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from ml.metrics import Measured
from stats import Spectrum, bump_hunt, dijet


@cache
def real_hunt() -> dict[str, Any]:
    """A real bump hunt as it stands in results.json."""
    edges = np.arange(2500.0, 5100.0, 100.0)
    counts = 3000 * np.exp(-(edges[:-1] - 2500) / 400)
    spectrum = Spectrum.from_counts(edges, np.random.default_rng(1).poisson(counts))
    found = bump_hunt(
        spectrum, dijet(3, sqrt_s=13000.0), masses=[3300.0, 3500.0], toys=50, rng=np.random.default_rng(2)
    )
    return dict(json.loads(json.dumps(found.to_dict())))


def changed(entry: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A copy with other values under keys that it has already."""
    assert values.keys() <= entry.keys()
    return {**copy.deepcopy(entry), **values}


def hunt(p0: float, z: float) -> dict[str, Any]:
    real = real_hunt()
    return changed(
        real,
        mass=3500.0, yield_error=9.3, local_p0=p0, local_z=z, global_z=2.05,
        global_p=changed(real["global_p"], value=0.02, low=0.012, high=0.031, toys=2000, exceeding=39, is_bound=False),
        gross_vitells=changed(real["gross_vitells"], value=0.0193, low=0.0191, high=0.0195, toys=2000),
        background=changed(real["background"], chi2=31.25, ndof=28, p=0.4),
        **{"yield": 61.8},
    )  # fmt: skip


def selection(detector: str | None, p0: float, *, z: float) -> dict[str, Any]:
    return {
        "detector": detector, "mixture": "pseudo", "window": [3300.0, 3700.0], "efficiency": 0.01, "seed": 1,
        "n_selected": 515, "n_signal": 77, "signal_fraction": 0.1493, "s_over_b_window": 0.642,
        "s_over_sqrt_b_window": 7.03, "bump_hunt": hunt(p0, z),
        "abcd": {"predicted": 420.0, "uncertainty": 21.0, "observed": 515, "z": 3.3},
    }  # fmt: skip


def measured(value: float, uncertainty: float, spread: float, *, n_background: int) -> dict[str, Any]:
    return Measured(value, uncertainty, 250, n_background, spread).to_dict()


def results() -> dict[str, Any]:
    cutflow = {"nominal": {"all": {"events": 60000, "sum_of_weights": 60000.0},
                           "leading pT": {"events": 51234, "sum_of_weights": 51234.0}},
               "up": {"all": {"events": 60000, "sum_of_weights": 60000.0},
                      "leading pT": {"events": 52345, "sum_of_weights": 52345.0}}}  # fmt: skip
    return {
        "search": "demo", "version": "0.1.0", "config_key": "5f1c9a0e",
        "datasets": {"qcd": {"events": 60000, "selected": 51234, "skipped_files": []}},
        "cutflow": {"qcd": cutflow},
        "mixtures": {"pseudo": {
            "background": "qcd", "signal": "wprime", "n_signal": 250, "n_background": 51234, "fraction": 0.00486,
            "window": [3300, 3700], "s_over_b_window": 0.032, "s_over_sqrt_b_window": 2.41,
            "n_signal_window": 181, "n_background_window": 5650,
        }},
        "detectors": {
            "cwola": {"auc": measured(0.8123, 0.0123, 0.0087, n_background=51234),
                      "max_sic": measured(5.308, 0.432, 0.617, n_background=43),
                      "sic_at_0.5": measured(4.499, 0.270, 0.645, n_background=0),
                      "background_rejection_at_0.5": measured(80.9, 8.8, 18.5, n_background=83),
                      "uses_labels": False, "type": "cwola", "signal_fraction": 0.00486, "s_over_b_window": 0.032,
                      "s_over_sqrt_b_window": 2.41},
            "supervised": {"auc": 0.9512, "uses_labels": True, "members": 4, "epochs": 17},
        },
        "selections": {
            "inclusive": selection(None, 0.0052, z=2.56),
            "cwola_1%": selection("cwola", 2.8e-10, z=6.2),
            "supervised_1%": selection("supervised", 1e-30, z=11.4),
        },
        "limits": [
            {"selection": "cwola_1%", "signal": "wprime", "mass": 3500.0, "unit": "selected events", "observed": 98.2,
             "expected": [11, 15, 21.3, 30, 43], "scan": [[1, 0.5], [90, 0.06]], "failed_fits": 0, "level": 0.05,
             "width": 0.03, "best_fit": 61.7, "local_p0": 2.9e-10, "expected_background": 118.25,
             "signal_fraction": 0.1493, "s_over_b_window": 0.642, "s_over_sqrt_b_window": None},
        ],
        "figures_of_merit": {"jsd cwola_1%": {"value": 0.0123456, "uncertainty": 0.00213, "n": 515}},
    }  # fmt: skip


class Page(HTMLParser):
    """Text, links and cells of a page; complains about tags that do not close in order."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []
        self.text = " ".join(self.text.replace("\u00a0", " ").replace("\u202f", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(attribute)) is not None]
