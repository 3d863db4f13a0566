"""What a search file may not say about its statistics: every refusal names the key and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.config import Search
from analysis.errors import ConfigurationError
from analysis.pipeline import check_detectors
from analysis.search_file import merged
from analysis.stages.selections import edges_of
from analysis.statistics_settings import SpectrumSettings
from analysis.validation import validated
from stats.families import FAMILIES, orders
from tests.analysis.statistics_search import statistics_search

NOWHERE = Path("nowhere")


def search(changes: dict[str, Any], *, without: tuple[str, ...] = ()) -> Search:
    content = merged(statistics_search(NOWHERE, NOWHERE), changes)
    return validated(Search, {key: value for key, value in content.items() if key not in without}, source="x.yaml")


def test_the_shared_search_is_valid() -> None:
    found = search({})
    assert found.limits is not None
    assert found.limits.cross_section is not None
    assert found.limits.cross_section.signals == {3500.0: "resonance"}


ABCD = {"name": "taus", "first": "-j1_tau21", "second": "-j2_tau21"}
TEMPLATES = {3000: "resonance", 4500: "other"}
SIGNALS = {"limits": {"cross_section": {"signals": {3600: "resonance"}}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spectrum": {"family": "djet"}}, r"spectrum\.family: 'djet' is no background family; did you mean 'dijet'"),
        ({"spectrum": {"parameters": 9}}, r"spectrum: the family dijet has 2, 3, 4, 5, 6 parameters, not 9"),
        ({"spectrum": {"family": "atlas", "order": {"candidates": [2, 3]}}}, r"atlas has 3, 4, 5 parameters, not 2"),
        ({"spectrum": {"order": {"candidates": [4, 3]}}}, r"spectrum\.order\.candidates: .* two rising"),
        (
            {"spectrum": {"parameters": "ftest"}},
            r"spectrum\.parameters: 'ftest' is neither .*; did you mean 'f-test'\?",
        ),
        ({"spectrum": {"width": 1600}}, r"`bump_hunt\.masses`: the mass 4200 GeV lies outside .*2600 to 4200 GeV"),
        ({"spectrum": {"width": 9000}}, r"spectrum: no bin of 9000 GeV fits between `start` and `stop`"),
        (
            {"spectrum": {"order": {"control": "sideband"}}},
            r"control: sideband`: There is no data set .*; did you mean 'sidebands'",
        ),
        ({"spectrum": {"order": {"control": "hidden"}}}, r"`spectrum\.order\.control: hidden` names a mixture; name"),
        ({"bump_hunt": {"masses": {"stop": 9000}}}, r"`bump_hunt\.masses`: the mass 5600 GeV lies outside .* widen"),
        ({"bump_hunt": {"widths": [105, 150]}}, r"bump_hunt: a width of 105 .*did you mean `width_unit: GeV`\?"),
        (
            {"bump_hunt": {"width_unit": "GeV"}},
            r"bump_hunt: a width of 0\.03 GeV .*did you mean `width_unit: relative`",
        ),
        ({"bump_hunt": {"masses": {"start": 4600}}}, r"bump_hunt\.masses: `start` \(4600 GeV\) lies above `stop`"),
        (
            {"bump_hunt": {"fixed": {"mass": 5700, "efficiencies": [0.2]}}},
            r"`bump_hunt\.fixed\.mass`: the mass 5700 GeV lies outside",
        ),
        ({"bump_hunt": {"fixed": {"mass": 3500}}}, r"bump_hunt\.fixed\.efficiencies"),
        ({"bump_hunt": {"fixed": {"mass": 3500, "efficiencies": [0.2, 0.2]}}}, r"efficiencies: the same .* twice"),
        ({"bump_hunt": {"fixed": {"mass": 3500, "efficiencies": [1]}}}, r"fixed\.efficiencies\.0: .*than 1, got 1"),
        (
            {"bump_hunt": {"templates": TEMPLATES, "fixed": {"mass": 5000, "efficiencies": [0.2]}}},
            r"`bump_hunt\.fixed\.mass`: 5000 GeV lies beyond the simulated signals of `bump_hunt\.templates`",
        ),
        ({"limits": {"width": 105}}, r"limits: a width of 105 .*did you mean `width_unit: GeV`\?"),
        ({"limits": {"width_unit": "GeV"}}, r"limits: a width of 0\.03 GeV .*did you mean `width_unit: relative`"),
        ({"bump_hunt": {"tails": {"alpha_low": 1}}}, r"bump_hunt\.tails\.n_low"),
        ({"bump_hunt": {"windows": {"widths": [2, 40]}}}, r"`bump_hunt\.windows\.widths`: a window of 40 bins .*half"),
        ({"bump_hunt": {"windows": {"widths": [3, 2]}}}, r"bump_hunt\.windows\.widths: \[3, 2\] do not rise"),
        ({"bump_hunt": {"statistic": "chi2"}}, r"bump_hunt\.statistic.*likelihood.*bumphunter"),
        ({"validation": {"bias": {"masses": [7000]}}}, r"`validation\.bias\.masses`: the mass 7000 GeV lies outside"),
        ({"validation": {"injection": {"mass": 100}}}, r"`validation\.injection\.mass`: the mass 100 GeV"),
        ({"validation": {"selections": [0.1]}}, r"`validation\.selections` asks for 0\.1, .*`efficiencies`.* add it"),
        ({"validation": {"bias": {"families": [{"family": "ua2", "parameters": 5}]}}}, r"families\.0: the family ua2"),
        ({"limits": {"selections": [0.5]}}, r"`limits\.selections` asks for 0\.5"),
        ({"limits": {"masses": [3500, 3500]}}, r"limits\.masses: the same mass is listed twice"),
        ({"limits": {"masses": [2000, 3500]}}, r"`limits\.masses`: the mass 2000 GeV lies outside"),
        ({"limits": {"exclude": "exces"}}, r"limits\.exclude: 'exces' is neither `excess` nor a list of intervals"),
        ({"limits": {"exclude": [[3700]]}}, r"limits\.exclude\.intervals\.0\.1: Field required\. "),
        ({"limits": {"exclude": [[3700, 3300]]}}, r"limits\.exclude: \[3700, 3300\] is not an interval"),
        ({"limits": {"systematics": {"scale": 0.7}}}, r"limits\.systematics\.scale"),
        ({"limits": {"systematics": {"normalisation": {"a b": 0.1}}}}, r"limits\.systematics\.normalisation\.a b"),
        (SIGNALS, r"limits: `cross_section\.signals` has a signal of 3600 GeV, .* add the mass to `masses`"),
        ({"limits": {"cross_section": {"signals": {3500: "hidden"}}}}, r"signals\.3500: hidden` names a mixture"),
        ({"limits": {"cross_section": {"injected": [1.0]}}}, r"limits\.cross_section\.injected\.0"),
        (
            {"limits": {"cross_section": {"injected": [0.01]}}},
            r"limits\.cross_section\.injected: \[0\.01\] .* two or more",
        ),
        ({"limits": {"level": 0.95}}, r"limits\.level: 0\.95 .*: 0\.05 gives 95% CLs limits"),
        ({"limits": {"cross_section": {"luminosity": 0}}}, r"limits\.cross_section\.luminosity"),
        ({"efficiencies": [0.2, 0.05, 0.2]}, r"efficiencies: the same efficiency is listed twice"),
        ({"abcd": [{**ABCD, "name": "cwola"}]}, r"every entry of `abcd` needs a `name` of its own, .* rename one"),
        ({"abcd": [ABCD, ABCD]}, r"every entry of `abcd` needs a `name` of its own"),
        ({"abcd": [{**ABCD, "second": "-j1_tau21"}]}, r"abcd\.0: `first` and `second` are both 'j1_tau21'.* another"),
        ({"abcd": [{**ABCD, "second": "j1_tau21"}]}, r"abcd\.0: `first` and `second` are both 'j1_tau21'"),
        ({"abcd": [{**ABCD, "efficiencies": [0.1, 0.1]}]}, r"abcd\.0\.efficiencies: the same .* listed twice"),
        ({"abcd": [{**ABCD, "efficiencies": [0.49]}]}, r"abcd\.0: .*70% of each score, .* `background_like`"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refusal:
        search(changes)
    assert str(refusal.value).startswith("x.yaml is not valid. ")


@pytest.mark.parametrize(
    ("changes", "without", "message"),
    [
        ({}, ("simulation",), r"`validation\.spurious_signal\.template: simulation` needs a `simulation`"),
        (
            {"spectrum": {"order": {"control": "simulation"}}},
            ("simulation", "validation"),
            r"`spectrum\.order\.control: simulation` needs a `simulation`",
        ),
        ({}, ("window", "detectors"), r"`spectrum\.order\.control: sidebands` needs a `window`"),
        ({}, ("bump_hunt", "limits"), r"`validation` doubts the background of the `bump_hunt`: give both"),
        ({}, ("bump_hunt", "validation"), r"`limits` are set on the spectra of the `bump_hunt`: give both"),
        ({}, ("spectrum",), r"`bump_hunt` and `limits` need a `spectrum`"),
        (
            {"abcd": [{**ABCD, "window": True}], "spectrum": {"parameters": 3}},
            ("window", "detectors"),
            r"`window: true` needs a `window`",
        ),
    ],
)
def test_refused_for_what_is_missing(changes: dict[str, Any], without: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        search(changes, without=without)


def test_a_data_set_may_be_called_nearly_as_a_control() -> None:
    found = search({"datasets": {"sideband": {"files": ["x.root"]}}, "spectrum": {"order": {"control": "sideband"}}})
    assert found.spectrum is not None
    assert found.spectrum.order.control == "sideband"


@pytest.mark.parametrize(
    ("key", "score", "message"),
    [
        ("first", "-j1_tau12", r"`abcd\.taus\.first: -j1_tau12` is neither .*; did you mean 'j1_tau\d\d?'\?"),
        ("second", "leading_tau", r"`abcd\.taus\.second: leading_tau` is neither .*; did you mean 'leading_tau\d'\?"),
        ("second", "cwolla", r"`abcd\.taus\.second: cwolla` is neither .*; did you mean 'cwola'\?"),
        ("first", "truth", r"`abcd\.taus\.first: truth` is neither a detector of the search nor a column"),
    ],
)
def test_scores_that_do_not_exist_are_refused_before_anything_runs(key: str, score: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_detectors(search({"abcd": [{**ABCD, key: score}]}))


@pytest.mark.parametrize("score", ["cwola", "-cwola", "j1_nconst", "-subleading_tau21", "deta"])
def test_detectors_and_columns_are_scores(score: str) -> None:
    check_detectors(search({"abcd": [{**ABCD, "first": score}]}))


@pytest.mark.parametrize(("stop", "width"), [(5600, 100), (5650, 100), (5600, 0.1), (3500, 300)])
def test_the_settings_count_the_bins_of_the_spectrum(stop: float, width: float) -> None:
    settings = SpectrumSettings(start=2600, stop=stop, width=width)
    assert settings.n_bins == len(edges_of(settings)) - 1
    assert settings.end == edges_of(settings)[-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_candidates_of_its_own(family: str) -> None:
    settings = SpectrumSettings(start=2600, stop=5600, width=100, family=family, parameters="f-test")
    assert len(settings.candidates) >= 2
    assert set(settings.candidates) <= set(orders(family))
    assert max(settings.candidates) <= 5
    fixed = SpectrumSettings(start=2600, stop=5600, bins=30, family=family, parameters=orders(family)[0])
    assert fixed.candidates == settings.candidates
