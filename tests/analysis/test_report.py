"""The report tells what results.json holds, escapes what it is told, and needs no other file."""

from __future__ import annotations

import copy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from analysis import plots
from analysis.report import ReportFigure, render_report
from analysis.report.quantities import Quantity, scalar_text
from analysis.report.render import unbroken
from analysis.report.summary import most_significant, summary, warnings
from analysis.report.table import Table


def selection(detector: str | None, p0: float, *, z: float, fit_p: float = 0.4, value: float = 0.02) -> dict[str, Any]:
    return {
        "detector": detector, "mixture": "pseudo", "window": [3300.0, 3700.0], "efficiency": 0.01, "seed": 1,
        "n_selected": 515,
        "bump_hunt": {
            "mass": 3500.0, "width": 0.03, "yield": {"value": 61.8, "uncertainty": 9.3, "n": 515},
            "local_p0": p0, "local_z": z,
            "global_p": {"value": value, "low": 0.012, "high": 0.031, "method": "toys", "toys": 2000},
            "global_z": 2.05,
            "background": {"family": "dijet", "parameters": 3, "chi2": 31.25, "ndof": 28, "p": fit_p},
        },
        "abcd": {"predicted": 420.0, "uncertainty": 21.0, "observed": 515, "z": 3.3},
    }  # fmt: skip


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
            "cwola": {"auc": {"value": 0.8123, "uncertainty": 0.0123, "n": 51484}, "uses_labels": False,
                      "type": "cwola"},
            "supervised": {"auc": 0.9512, "uses_labels": True, "members": 4, "epochs": 17},
        },
        "selections": {
            "inclusive": selection(None, 0.0052, z=2.56),
            "cwola_1%": selection("cwola", 2.8e-10, z=6.2),
            "supervised_1%": selection("supervised", 1e-30, z=11.4),
        },
        "limits": [
            {"selection": "cwola_1%", "signal": "wprime", "mass": 3500.0, "unit": "selected events", "observed": 98.2,
             "expected": [11, 15, 21.3, 30, 43], "scan": [[1, 0.5], [90, 0.06]], "failed_fits": 0},
        ],
        "figures_of_merit": {"jsd_inclusive": {"value": 1.2e-4, "uncertainty": 3e-5, "n": 515}},
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
        "31.2/28", "0.40", "420 ± 21", "0.812 ± 0.012 (n = 51 484)", "0.951", "98.2", "21.3", "51 234", "85.4%",
        "52 345", "0.486%", "2.41", "3.30–3.70 TeV", "(1.20 ± 0.30) × 10⁻⁴", "515", "2 000", "17", "numpy", "2.1.0",
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
    assert "“demo” looked for a resonance in the dijet mass in 1 data set (51 234 events after cuts)" in text
    assert "most significant selection is cwola_1% (efficiency 1%, 515 events): best mass 3.50 TeV" in text
    assert "global p = 0.020 [0.012, 0.031] (2.05σ, 2 000 toys)" in text
    assert "at 3.50 TeV is 98.2 selected events, where 21.3 (±1σ: 15 to 30) was expected" in text
    assert "250 injected signal events: 0.486% of all, in the window S/B = 0.032 and S/√B = 2.41" in text


def test_nothing_doubtful_gives_no_warning() -> None:
    assert warnings(results()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("datasets", "qcd", "skipped_files", ["bad.root"]), "qcd: bad.root"),
        (("datasets", "qcd", "skipped_files", [{"file": "bad.root", "reason": "cut short"}]), "bad.root (cut short)"),
        (("selections", "cwola_1%", "bump_hunt", "background", "p", 0.004), "fit is poor (p = 0.0040)"),
        (("selections", "cwola_1%", "bump_hunt", "global_p", "value", 1 / 2001), "none of 2 000 toys"),
        (("selections", "cwola_1%", "bump_hunt", "failed_fits", 3), "3 fits of the scan failed"),
        (("selections", "cwola_1%", "bump_hunt", "global_p", "failed", 2), "2 fits of the toys failed"),
        (("limits", 0, "failed_fits", 2), "Limit of cwola_1% at 3.50 TeV: 2 fits failed"),
        (("limits", 0, "observed", None), "no observed limit was found"),
    ],
)
def test_what_is_doubtful_is_said(change: tuple[Any, ...], message: str) -> None:
    *keys, last, value = change
    changed = copy.deepcopy(results())
    place: Any = changed
    for key in keys:
        place = place[key]
    place[last] = value
    found = [warning.replace("\u202f", " ") for warning in warnings(changed)]
    assert len(found) == 1
    assert message in found[0]


def test_a_global_bound_is_written_as_one(tmp_path: Path) -> None:
    bound = results()
    bound["selections"]["cwola_1%"]["bump_hunt"]["global_p"].update(value=1 / 2001, low=0.0, high=0.0015)
    text = Page(render_report(bound, [], directory=tmp_path)).text
    assert "global p < 5.0 × 10⁻⁴ [0, 0.0015] (> 2.05σ, 2 000 toys)" in text


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


def test_quantities_and_cells() -> None:
    assert str(Quantity.read({"value": 0.5, "uncertainty": 0.1, "n": 10})) == "0.50 ± 0.10"
    assert Quantity.read({"value": 0.5, "n": 10}).with_count == "0.5 (n = 10)"
    assert Quantity.read("text") == Quantity()
    assert Quantity.read(float("nan")) == Quantity()
    assert [scalar_text(value) for value in (None, True, 3, 0.25, "x", [1, 2])] == [
        "–",
        "yes",
        "3",
        "0.25",
        "x",
        "1, 2",
    ]
    assert unbroken("1 × 10 TeV") == "1\u00a0×\u00a010\u00a0TeV"


def test_tables_must_be_rectangular() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        Table("x", ["a", "b"], [["1"]])
