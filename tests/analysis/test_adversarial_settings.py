"""What a search file may say about networks that must not tell classes of their background apart."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from analysis.adversarial_settings import AdversarialSettings
from analysis.config import Search
from analysis.context import datasets_of
from analysis.errors import ConfigurationError
from analysis.pipeline import check_detectors
from analysis.search_file import load_search
from analysis.validation import validated

SETTINGS: dict[str, Any] = {
    "backgrounds": {
        "large": {
            "central": {"dataset": "ttbar"},
            "up": {"dataset": "ttbar_up", "variation": "up"},
            "down": {"dataset": "ttbar_down", "variation": "down"},
        }
    },
    "signal": "zprime_90",
    "signals": ["zprime_10"],
    "networks": {
        "plain": {"type": "adversarial_autoencoder", "settings": {"alpha": 0}},
        "robust": {"type": "adversarial_autoencoder", "plain": "plain"},
    },
    "contamination": {"network": "robust", "fractions": [0.1, 0.01]},
    "limits": {"networks": ["robust"]},
}


def changed(**values: Any) -> dict[str, Any]:
    return copy.deepcopy(SETTINGS) | values


def test_it_reads_every_data_set_once_and_the_first_class_is_the_central_one() -> None:
    settings = AdversarialSettings.model_validate(SETTINGS)
    assert settings.classes == ("central", "up", "down")
    assert settings.tested == ("zprime_90", "zprime_10")
    assert settings.datasets == ("ttbar", "ttbar_up", "ttbar_down", "zprime_90", "zprime_10")
    assert settings.contamination is not None
    assert settings.contamination.fractions == (0.01, 0.1)
    assert settings.trained_with("robust") == "large"


def test_a_search_for_it_needs_no_data_and_any_other_does() -> None:
    search = validated(Search, {"name": "robust", "adversarial": SETTINGS}, source="robust.yaml")
    assert datasets_of(search) == ["ttbar", "ttbar_up", "ttbar_down", "zprime_90", "zprime_10"]
    with pytest.raises(ConfigurationError, match="`data` names no sample"):
        validated(Search, {"name": "none"}, source="none.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backgrounds": {"large": {"central": {"dataset": "ttbar"}}}}, "has 1 class"),
        (
            {"backgrounds": {**SETTINGS["backgrounds"], "small": {n: {"dataset": n} for n in ("central", "up")}}},
            "the same classes",
        ),
        (
            {"backgrounds": {"large": {n: {"dataset": "ttbar"} for n in ("central", "up", "down")}}},
            "give each class its own",
        ),
        ({"networks": {"robust": {"type": "adversarial_autoencoder", "plain": "plan"}}}, "networks.robust.plain: plan"),
        ({"networks": {"robust": {"type": "x", "plain": "robust"}}}, "is the network itself"),
        ({"networks": {"robust": {"type": "x", "background": "tiny"}}}, "networks.robust.background: tiny"),
        ({"contamination": {"network": "rubost"}}, "contamination.network: rubost"),
        ({"contamination": {"network": "robust", "fractions": [0, 0.1]}}, "between 0 and 1"),
        ({"limits": {"networks": ["none"]}}, "limits.networks: none"),
        ({"limits": {"networks": ["robust"], "edges": [2000, 1000]}}, "rising"),
        (
            {"backgrounds": {"large": {n: {"dataset": n} for n in ("nominal", "more")}}},
            "`limits` take the classes `up` and `down`",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        validated(AdversarialSettings, changed(**change), source="robust.yaml")


def test_a_network_that_is_null_is_left_out() -> None:
    small = ("classifier_small", "adversarial_classifier_small")
    search, _ = load_search("adversarial", overrides=[f"adversarial.networks.{name}=null" for name in small])
    assert search.adversarial is not None
    assert len(search.adversarial.networks) == 6


@pytest.mark.parametrize("scale", [None, "paper"])
def test_the_ready_search_is_valid_and_reads_21_observables(scale: str | None) -> None:
    search, _ = load_search("adversarial", scale=scale)
    check_detectors(search)
    assert search.adversarial is not None
    assert len(search.adversarial.features) == 21


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("processing.processor=dijet", "processing.processor"),
        ("processing.smearings={up: 3}", "processing.smearings"),
        ("adversarial.features=[b1_pt, light1_ptt]", "light1_ptt"),
        ("adversarial.features=[b1_pt, mtt]", "the resonance mass"),
        ("adversarial.networks.autoencoder.type=cwola", "of type 'cwola'"),
        ("adversarial.networks.autoencoder.settings={alphaa: 0}", "networks.autoencoder"),
    ],
)
def test_what_cannot_run_is_told_before_it_does(override: str, said: str) -> None:
    search, _ = load_search("adversarial", overrides=[override])
    with pytest.raises(ConfigurationError, match=said):
        check_detectors(search)
