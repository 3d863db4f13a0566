"""The report tells what results.json holds, escapes what it is told, and needs no other file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from analysis import plots
from analysis.report import ReportFigure, render_report
from analysis.report.doubts import warnings
from analysis.report.summary import most_significant, summary
from tests.analysis.report_example import Page, results


@pytest.fixture
def figure(tmp_path: Path) -> ReportFigure:
    path = plots.save(Figure((1, 1)), tmp_path / "figures", "spectrum")["png"]
    return ReportFigure("selections", "Spectrum", path, "Spectrum with fit and pulls")


def test_page_holds_the_numbers(tmp_path: Path, figure: ReportFigure) -> None:
    path = render_report(
        results(), [figure], directory=tmp_path, settings={"window": {"signal": (3300.0, 3700.0)}, "path": tmp_path},
        versions={"numpy": "2.1.0"}, log="opening line\n" + "line\n" * 100 + "last",
    )  # fmt: skip
    assert path == tmp_path / "report" / "index.html"
    text = Page(path).text
    for expected in (
        "3.50 TeV", "2.8 × 10⁻¹⁰", "6.20σ", "0.0052", "2.56σ", "0.020 [0.012, 0.031]", "2.05σ", "61.8 ± 9.3",
        "31.2/28", "0.40", "420 ± 21", "0.812 ± 0.012 ± 0.009 (n_S = 250, n_B = 51 234)", "0.951", "98.2", "21.3",
        "51 234", "85.4%",
        "52 345", "0.486%", "2.41", "3.30–3.70 TeV", "0.01235", "0.0021", "515", "2 000", "17", "numpy", "2.1.0",
        "- 3300.0", "last", "5f1c9a0e", "supervised_1% †", "reference only",
    ):  # fmt: skip
        assert expected in text, expected
    assert "opening line" not in text


def test_page_needs_no_other_file(tmp_path: Path, figure: ReportFigure) -> None:
    page = Page(render_report(results(), [figure], directory=tmp_path))
    assert all(link.startswith("#") for link in page.values("href"))
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object"})
    assert page.values("alt") == ["Spectrum: Spectrum with fit and pulls"]
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "http" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_contents_point_at_sections(tmp_path: Path, figure: ReportFigure) -> None:
    page = Page(render_report(results(), [figure], directory=tmp_path, settings={"a": 1}, log=["x\n"]))
    anchors = {f"#{name}" for name in page.values("id")}
    assert set(page.values("href")) == anchors
    assert {
        "#summary",
        "#data",
        "#detectors",
        "#selections",
        "#abcd",
        "#limits",
        "#figures_of_merit",
        "#settings",
        "#log",
    } == anchors


def test_hostile_names_are_escaped(tmp_path: Path, figure: ReportFigure) -> None:
    evil = "<script>alert('x')</script>\"&"
    hostile = results()
    hostile["search"] = hostile["version"] = hostile["config_key"] = evil
    for key in ("datasets", "cutflow", "mixtures", "detectors", "selections", "figures_of_merit"):
        hostile[key] = {evil + name: entry for name, entry in hostile[key].items()}
    hostile["datasets"][evil + "qcd"]["skipped_files"] = [evil]
    hostile["limits"][0].update(selection=evil, signal=evil, unit=evil)
    nasty = ReportFigure(evil, evil, figure.path, evil)
    path = render_report(
        hostile, [nasty], directory=tmp_path, settings={evil: evil}, versions={evil: evil}, log=evil
    )  # fmt: skip
    page = Page(path)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in path.read_text(encoding="utf-8")
    assert page.text.count("<script>alert('x')</script>\"&") > 15


@pytest.mark.parametrize("key", [key for key in results() if key != "search"])
def test_missing_parts_leave_the_rest(tmp_path: Path, key: str) -> None:
    without = results()
    del without[key]
    assert "3.50 TeV" in Page(render_report(without, [], directory=tmp_path)).text
    without[key] = None
    Page(render_report(without, [], directory=tmp_path))


def test_an_empty_search_still_has_a_page(tmp_path: Path) -> None:
    page = Page(render_report({}, [], directory=tmp_path))
    assert "No bump hunt has been made yet" in page.text
    assert page.values("id") == ["summary"]


def test_a_search_without_a_bump_hunt_says_what_it_has() -> None:
    content = {"n_signal": 10, "fraction": 0.0099, "window": [3300.0, 3700.0], "s_over_b_window": 0.061}
    area = {"value": 0.873, "uncertainty": 0.011, "spread": 0.023}
    found: dict[str, Any] = {
        "selections": {},
        "mixtures": {"one": content, "none": {"n_signal": 0, "fraction": 0.0}},
        "detectors": {
            "vae on one": {"sample": "one", "auc": area},
            "worse on one": {"sample": "one", "auc": area | {"value": 0.6}},
            "cheat on one": {"sample": "one", "uses_labels": True, "auc": area | {"value": 0.99}},
            "vae on none": {"sample": "none"},
        },
    }
    assert summary(found)[1:] == [
        "This search has no bump hunt.",
        "“one” holds 0.99% signal (S/B = 0.061 in 3.30–3.70 TeV), where the best detector without labels, vae, has an "
        "AUC of 0.873 ± 0.011 ± 0.023; “none” holds no injected signal.",
    ]
    assert summary({"selections": {"x": {"bump_hunt": {"local_p0": None}}}})[1:] == ["The bump hunt found no result."]


def test_entries_without_fields_are_shown_as_unknown(tmp_path: Path) -> None:
    bare: dict[str, Any] = {key: {"x": {}} for key in ("datasets", "cutflow", "mixtures", "detectors", "selections")}
    bare["selections"]["y"] = {"bump_hunt": {"local_p0": None, "global_p": {}, "background": None}}
    bare["limits"] = [{}, {"mass": None, "expected": [None, 1.0]}]
    bare["figures_of_merit"] = {"x": None}
    text = Page(render_report(bare, [], directory=tmp_path)).text
    assert "Selection y: the bump hunt found no result" in text


def test_same_input_gives_the_same_page(tmp_path: Path, figure: ReportFigure) -> None:
    pages = [render_report(results(), [figure], directory=tmp_path / run).read_bytes() for run in "ab"]
    assert pages[0] == pages[1]
    assert [path.name for path in (tmp_path / "a" / "report").iterdir()] == ["index.html"]


def test_a_failed_write_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = render_report(results(), [], directory=tmp_path)
    before = path.read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        render_report({}, [], directory=tmp_path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_most_significant_selection_is_no_reference() -> None:
    best = most_significant(results())
    assert best is not None
    assert best[0] == "cwola_1%"
    several = results()
    several["detectors"] = {f"{name} on pseudo": entry for name, entry in several["detectors"].items()}
    assert most_significant(several) == best
    only = results()
    only["selections"] = {"supervised_1%": only["selections"]["supervised_1%"]}
    assert most_significant(only) is not None
    assert any("references, not a search" in warning for warning in warnings(only))


def test_summary_in_plain_words() -> None:
    text = " ".join(summary(results())).replace("\u202f", " ")
    assert (
        "“demo” looked for a resonance in the dijet mass of pseudo (51 484 events after cuts): in the inclusive "
        "spectrum and 2 selections by cwola and supervised (truth labels, reference only)."
    ) in text
    assert "most significant selection is cwola_1% (efficiency 1%, 515 events): best mass 3.50 TeV" in text
    assert "global p = 0.020 [0.012, 0.031] (2.05σ, 2 000 toys)" in text
    assert "at 3.50 TeV is 98.2 selected events, where 21.3 (±1σ: 15 to 30) was expected" in text
    assert "250 injected signal events: 0.486% of all, in the window S/B = 0.032 and S/√B = 2.41" in text


def test_a_limit_that_was_not_found_is_not_quoted() -> None:
    missing = results()
    missing["limits"] = [{**entry, "observed": None} for entry in missing["limits"]]
    text = " ".join(summary(missing)).replace("\u202f", " ")
    assert "No observed 95% CL upper limit was found at 3.50 TeV." in text
    assert "–" not in text.partition("No observed")[2].partition(".")[0]
    assert "upper limit at" not in text


def test_the_summary_counts_what_was_searched() -> None:
    several = results()
    del several["mixtures"]
    several["datasets"] |= {"pseudo": {"selected": 4321}, "simulation": {"selected": 10000}}
    several["selections"]["tau21"] = {"mixture": "pseudo", "detector": None, "abcd": {"predicted": 420.0}}
    several["selections"]["other"] = {"mixture": "unknown", "detector": None}
    text = summary(several)[0].replace("\u202f", " ")
    assert "in the dijet mass of pseudo (4 321 events after cuts) and unknown: in the inclusive spectrum, 2 " in text
    assert text.endswith(" and 1 count with the ABCD method.")


def test_a_title_heads_the_page_with_the_name_beside(tmp_path: Path) -> None:
    titled = Page(render_report(results(), [], directory=tmp_path, settings={"title": "My own search"})).text
    assert "My own search search demo · Darkhorse 0.1.0" in " ".join(titled.split())
    for settings in (None, {"title": ""}):
        assert "search demo ·" not in Page(render_report(results(), [], directory=tmp_path, settings=settings)).text


def test_the_summary_names_the_price_of_several_selections() -> None:
    many = results()
    p = {"value": 0.0312, "low": 0.027, "high": 0.036, "toys": 2000, "is_bound": False}
    many["combined"] = {"pseudo": {"hunts": ["a", "b", "c"], "best": "b", "global_p": p, "global_z": 1.86}}
    (sentence,) = [text for text in summary(many) if "best of 3 selections" in text]
    assert "1.86σ, 2\u202f000 toys" in sentence


def test_nothing_doubtful_gives_no_warning() -> None:
    assert warnings(results()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("datasets", "qcd", "skipped_files", ["bad.root"]), "qcd: bad.root"),
        (("datasets", "qcd", "skipped_files", [{"file": "bad.root", "reason": "cut short"}]), "bad.root (cut short)"),
        (
            ("selections", "cwola_1%", "bump_hunt", "background", "p", 0.004),
            "does not describe the spectrum (p = 0.0040)",
        ),
        (("selections", "cwola_1%", "bump_hunt", "global_p", "is_bound", True), "none of 2 000 toys"),
        (("selections", "cwola_1%", "bump_hunt", "yield_error", 1e3), "a peak elsewhere bends the background-only fit"),
        (("selections", "cwola_1%", "bump_hunt", "failed_fits", 3), "3 fits of the scan failed"),
        (("selections", "cwola_1%", "bump_hunt", "global_p", "failed", 2), "2 fits of the toys failed"),
        (("limits", 0, "failed_fits", 2), "Limit of cwola_1% at 3.50 TeV: 2 fits failed"),
        (("limits", 0, "observed", None), "no observed limit was found"),
        (
            ("limits", 0, "expected_background", 0.31),
            "Limits of cwola_1%: fewer than 5 events under a resonance at 3.50 TeV (0.31 expected); the asymptotic "
            "formulae are not reliable there, toys are needed",
        ),
        (
            ("limits", 0, "extrapolated", True),
            "Limits of cwola_1% at 3.50 TeV: the window has a sideband on one side only",
        ),
        (("limits", 0, "observed_events", 2.0), "at 3.50 TeV (118 expected, 2 observed)"),
        (("limits", 0, "doubtful", True), "at 3.50 TeV: the background function does not describe the sidebands"),
        (
            ("selections", "cwola_1%", "abcd", "independence", {"doubtful": True, "ratio": 0.604, "ratio_error": 0.01}),
            "predicted over true background is 0.604 ± 0.010 (efficiency 1%)",
        ),
    ],
)
def test_what_is_doubtful_is_said(change: tuple[Any, ...], message: str) -> None:
    *keys, last, value = change
    doubtful = results()
    place: Any = doubtful
    for key in keys:
        place = place[key]
    place[last] = value
    found = [warning.replace("\u202f", " ") for warning in warnings(doubtful)]
    assert len(found) == 1
    assert message in found[0]


def test_what_holds_for_several_selections_is_said_once() -> None:
    doubtful = results()
    doubtful["selections"]["cwola_1%"]["bump_hunt"]["global_p"]["is_bound"] = True
    doubtful["selections"]["other"] = copy.deepcopy(doubtful["selections"]["cwola_1%"])
    second = doubtful["limits"][0] | {"mass": 4000.0, "reason": "Another one."}
    doubtful["limits"] = [doubtful["limits"][0] | {"observed": None, "reason": "Too few events."}, second]
    doubtful["limits"][1]["observed"] = None
    found = warnings(doubtful)
    assert len([text for text in found if "toys" in text]) == 1
    assert any(text.startswith("Selections cwola_1%, other: none of 2") for text in found)
    assert (
        "Limits of cwola_1% at 3.50 TeV, 4.00 TeV: no observed limit was found. At 3.50 TeV: Too few events." in found
    )



def test_a_global_bound_is_written_as_one(tmp_path: Path) -> None:
    bound = results()
    hunted = bound["selections"]["cwola_1%"]["bump_hunt"]
    hunted["global_p"].update(value=1 / 2001, low=0.0, high=0.0015, exceeding=0, is_bound=True)
    hunted["gross_vitells"].update(value=1.354e-6)
    text = Page(render_report(bound, [], directory=tmp_path)).text
    assert "global p < 5.0 × 10⁻⁴ (> 2.05σ, 2 000 toys)" in text
    assert "[0, 0.0015]" not in text
    assert "(S + 1)/(N + 1) is given as a bound" in text
    assert "Gross–Vitells extrapolation from them gives a global p of about 1.4 × 10⁻⁶ (4.69σ)" in text
    assert "extrapolation" not in " ".join(summary(results()))


def test_catalogue_and_versions_from_the_results(tmp_path: Path) -> None:
    known = results() | {
        "catalogue": {"qcd": {"recipe": {"seed": 11, "settings": ["HardQCD:all = on"]}, "sqrt_s": 13000.0}},
        "versions": {"python": "3.11.9", "pythia8mc": "8.312"},
        "libraries": {"scipy": "1.17.1"},
    }
    text = Page(render_report(known, [], directory=tmp_path)).text
    assert "Data sets used" in text
    assert "qcd: recipe: seed: 11 settings: - HardQCD:all = on sqrt_s: 13000.0" in text
    assert "pythia8mc 8.312" in text
    assert "scipy" not in text
    del known["versions"], known["catalogue"]
    text = Page(render_report(known, [], directory=tmp_path)).text
    assert "scipy 1.17.1" in text
    assert "Data sets used" not in text


def test_a_lost_figure_is_a_warning(tmp_path: Path) -> None:
    lost = ReportFigure("limits", "Brazil band", tmp_path / "gone.png")
    page = Page(render_report(results(), [lost], directory=tmp_path))
    assert "Figure Brazil band was not found" in page.text
    assert page.values("src") == []


def test_figures_in_order_and_unknown_sections_last(tmp_path: Path, figure: ReportFigure) -> None:
    other = ReportFigure("something", "Other", Path(figure.path).with_suffix(".pdf"), "Other figure")
    page = Page(render_report(results(), [other, figure], directory=tmp_path))
    assert page.values("alt") == ["Spectrum: Spectrum with fit and pulls", "Other: Other figure"]
    assert "Further figures" in page.text
    assert "figures/spectrum.pdf" in page.text
