"""What a search file may say about networks that find single jets."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from analysis.config import Search
from analysis.context import datasets_of
from analysis.errors import ConfigurationError
from analysis.jet_tagging_settings import JetTaggingSettings, MassAxis
from analysis.pipeline import check_detectors
from analysis.search_file import load_search
from analysis.validation import validated

SETTINGS: dict[str, Any] = {
    "background": "qcd",
    "background_test": "qcd_test",
    "exposure": "outliers",
    "jets": {
        "w": {"dataset": "w_80", "kind": "W", "mass": 80},
        "top": {"dataset": "top_174", "kind": "top", "mass": 174},
    },
    "networks": {"vae": {"type": "jet_vae"}, "disco": {"type": "jet_vae", "plain": "vae"}},
    "examined": {"networks": ["vae"], "jets": ["w"]},
    "held_out": [{"network": "vae", "reference": "disco", "jets": ["top"]}],
}


def changed(**values: Any) -> dict[str, Any]:
    return copy.deepcopy(SETTINGS) | values


def test_it_reads_every_data_set_once_and_needs_no_data() -> None:
    search = validated(Search, {"name": "jets", "jet_tagging": SETTINGS}, source="jets.yaml")
    assert datasets_of(search) == ["qcd", "qcd_test", "outliers", "w_80", "top_174"]
    assert search.jet_tagging is not None
    assert search.jet_tagging.shown == "w"
    assert search.jet_tagging.jets["top"].title == "top, 174 GeV"


def test_a_network_that_a_scale_leaves_out_is_gone() -> None:
    networks = {**SETTINGS["networks"], "slow": None}
    assert list(JetTaggingSettings.model_validate(changed(networks=networks)).networks) == ["vae", "disco"]


def test_masses_have_bins_of_one_width() -> None:
    np.testing.assert_allclose(np.diff(MassAxis(start=20, stop=420, bins=8).edges), 50)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"background_test": "qcd"}, "`background_test: qcd` is also the `background`"),
        ({"jets": {"w": {"dataset": "outliers", "kind": "W", "mass": 80}}}, "`jets.w.dataset: outliers` is also the"),
        ({"test_pt": [650, 550]}, "no window of pT"),
        ({"efficiencies": [0.5, 1.0]}, "no different efficiencies"),
        ({"quoted": 0.2}, "`quoted: 0.2` is none of `efficiencies`"),
        ({"masses": {"start": 400, "stop": 300}}, "must lie below `stop`"),
        ({"networks": {"vae": {"type": "jet_vae", "plain": "vea"}}}, "networks.vae.plain: vea.*did you mean 'vae'"),
        ({"examined": {"networks": ["disko"]}}, "examined.networks: disko.*did you mean 'disco'"),
        ({"examined": {"networks": ["vae"], "jets": ["tops"]}}, "examined.jets: tops"),
        ({"held_out": [{"network": "vae", "reference": "none", "jets": ["top"]}]}, "held_out.reference: none"),
        ({"benchmark": "higgs"}, "benchmark: higgs"),
    ],
)
def test_what_does_not_fit_together_is_told(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        validated(JetTaggingSettings, changed(**change), source="jets.yaml")


@pytest.mark.parametrize("scale", [None, "paper"])
def test_the_ready_search_is_valid(scale: str | None) -> None:
    search, _ = load_search("jet_tagging", scale=scale)
    check_detectors(search)
    settings = search.jet_tagging
    assert settings is not None
    assert {"vae", "disco_100", "disco_1000", "mse_oe", "kl_oe", "classifier", "classifier_mass"} <= set(
        settings.networks
    )
    assert settings.events == (600_000 if scale else 40_000)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("processing={constituents: 20}", "processing.processor"),
        ("processing.constituents=10", "processing: {constituents: 20}"),
        ("processing.jet.min_jet_pt=600", "goes beyond the jets that `processing.jet` keeps"),
        ("jet_tagging.exposure=null", "mse_oe.*add `jet_tagging.exposure"),
        ("jet_tagging.networks.vae.settings={betaa: 1}", "networks.vae"),
        ("jet_tagging.networks.vae.settings.emd=false", "networks.vae.metrics: emd.*emd: true"),
        ("jet_tagging.networks.vae.metrics=[nil]", "networks.vae.metrics: nil.*did you mean 'nll'"),
        ("jet_tagging.networks.classifier.metrics=[mse]", "networks.classifier.metrics: mse"),
        ("jet_tagging.networks.vae.settings.jets=[j2]", "of j2"),
        ("jet_tagging.examined.networks=[classifier]", "neither reconstructs nor generates"),
        ("jet_tagging.networks.more={type: salad}", "networks.more.type: salad` trains on"),
        (
            "jet_tagging.networks.more={type: autoencoder, settings: {features: [j1_m, j2_m], latent: 1}}",
            "the column 'j2_m'",
        ),
        ("jet_tagging.networks.more={type: image_autoencoder}", "images"),
    ],
)
def test_what_cannot_run_is_told_before_it_does(override: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_detectors(load_search("jet_tagging", overrides=[override])[0])
