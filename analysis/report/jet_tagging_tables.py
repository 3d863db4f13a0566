"""Tables of networks that find jets without knowing what they are: arXiv:2007.01850."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.numbers import NONE, format_count, format_number, format_percent, format_uncertain
from analysis.report.data_tables import LABELS_NOTE
from analysis.report.quantities import number, part
from analysis.report.table import Column, Table, build

Entry = Mapping[str, Any]

AREA_NOTE = (
    "Areas under ROC curves of each type of jets against QCD jets in the same window of transverse momentum, none of "
    "which was trained on: value ± statistical uncertainty, ± spread over independent trainings where there are "
    "several."
)
EXPOSED_NOTE = "° shown W jets of many masses while it was trained, so that those tested with are no surprise to it."
DIVERGENCE_NOTE = (
    "Jensen–Shannon divergence (nats) between the mass spectra of QCD jets before and after a cut on the network's own "
    "score, at each efficiency of the background; in brackets what a cut that does not depend on the mass has on "
    "average with as many jets. dCor: distance correlation of score and mass, 0 for independent ones."
)
COMPARED_NOTE = (
    "How many times smaller the divergence is than that of the network that nothing makes independent of the mass, and "
    "the signal efficiency in units of that network's, both at the background efficiency quoted. "
    "A divergence that is no larger than the one in brackets above cannot be told from 0, nor can what divides by it."
)
DISTANCE_NOTE = (
    "Wasserstein distances (GeV, and relative to the mean of the input) and Jensen–Shannon divergences (nats) between "
    "spectra of QCD jets that were not trained on and of what the network makes of them, or generates. The last row of "
    "each network is between two halves of the input: what statistics alone makes."
)
_KINDS = {"reconstructed": "reconstructed", "generated": "generated", "halves": "two halves of the input"}


def areas_table(results: Entry) -> Table | None:
    """AUC by type of jets of every network and score."""
    entries = _entries(results)
    titles = part(results, "jet_types")
    names = list(dict.fromkeys(name for entry in entries for name in part(entry, "areas")))
    types: list[Column] = [(str(titles.get(name, name)), _measured("areas", name)) for name in names]
    notes = [
        AREA_NOTE,
        *([EXPOSED_NOTE] if any(_marked(entry) for entry in entries) else []),
        *([LABELS_NOTE] if any(entry.get("uses_labels") for entry in entries) else []),
    ]
    return build(
        "AUC by type of jets",
        [(_name(entry), entry) for entry in entries],
        [
            ("Network", lambda name, _: name),
            ("Score", lambda _, e: str(e.get("metric"))),
            *types,
            ("N QCD", lambda _, e: format_count(number(e.get("n_background")))),
            ("Trainings", lambda _, e: format_count(number(e.get("members")))),
        ],
        known=None,
        notes=notes,
        strong=frozenset(index for index, entry in enumerate(entries) if entry.get("own")),
    )


def sculpting_table(results: Entry) -> Table | None:
    """What cuts on the networks' own scores do to the mass spectrum of the background, and what they keep of jets."""
    entries = [entry for entry in _entries(results) if entry.get("own")]
    efficiencies = list(dict.fromkeys(_efficiencies(entry) for entry in entries))
    cuts: list[Column] = [
        (f"JSD at {format_percent(efficiency)}", _divergence(efficiency))
        for efficiency in (efficiencies[0] if efficiencies else ())
    ]
    titles = part(results, "jet_types")
    names = list(dict.fromkeys(name for entry in entries for name in part(entry, "signal_efficiency")))
    quoted = format_percent(number(entries[0].get("quoted"))) if entries else ""
    kept: list[Column] = [(f"ε_S of {titles.get(name, name)}", _measured("signal_efficiency", name)) for name in names]
    return build(
        "Independence of the jet mass",
        [(_name(entry), entry) for entry in entries],
        [
            ("Network", lambda name, _: name),
            ("Score", lambda _, e: str(e.get("metric"))),
            *cuts,
            ("dCor", _of("distance_correlation")),
            *kept,
        ],
        known=None,
        notes=(DIVERGENCE_NOTE, f"Signal efficiencies ε_S at a background efficiency of {quoted}."),
    )


def decorrelated_table(results: Entry) -> Table | None:
    """What independence of the mass gains and costs."""
    titles = part(results, "jet_types")
    return build(
        "What independence gains and costs",
        [(str(e.get("network")), e) for e in results.get("jet_decorrelated") or ()],
        [
            ("Network", lambda name, _: name),
            ("Compared with", lambda _, e: str(e.get("plain"))),
            ("Background kept", lambda _, e: format_percent(number(e.get("efficiency")))),
            ("JSD smaller by", lambda _, e: _times(number(e.get("reduction")))),
            ("Jets", lambda _, e: str(titles.get(str(e.get("jets")), e.get("jets")))),
            ("ε_S, in units of the other's", lambda _, e: format_number(number(e.get("kept")))),
        ],
        known=None,
        notes=(COMPARED_NOTE,),
    )


def distances_table(results: Entry) -> Table | None:
    """How far reconstructed and generated jets are from those that went in."""
    rows = [
        (
            name,
            {"kind": text, "beta": entry.get("beta"), **{q: part(entry, "distances", q, kind) for q in ("pt", "mass")}},
        )
        for name, entry in part(results, "jet_examined").items()
        for kind, text in _KINDS.items()
    ]
    columns: list[Column] = [
        (f"{title} [{unit}]", _distance(quantity, key))
        for quantity, title in (("pt", "pT"), ("mass", "mass"))
        for key, unit in (("wasserstein", "GeV"), ("relative", "%"), ("divergence", "nats"))
    ]
    return build(
        "Reconstructed and generated jets",
        rows,
        [
            ("Network", lambda name, _: name),
            ("β", lambda _, e: format_number(number(e.get("beta")))),
            ("Jets", lambda _, e: str(e.get("kind"))),
            *columns,
        ],
        known=None,
        notes=(DISTANCE_NOTE,),
    )


def _entries(results: Entry) -> Sequence[Entry]:
    return [entry for entry in results.get("jet_tagging") or () if isinstance(entry, Mapping)]


def _name(entry: Entry) -> str:
    marks = f"{' °' if _marked(entry) else ''}{' †' if entry.get('uses_labels') else ''}"
    return f"{entry.get('network')}{marks}"


def _marked(entry: Entry) -> bool:
    """Whether the mark of exposed outliers stands: those that were trained with labels have another."""
    return bool(entry.get("exposed")) and not entry.get("uses_labels")


def _text(found: Entry) -> str:
    spread = number(found.get("spread"))
    return format_uncertain(number(found.get("value")), number(found.get("uncertainty")), spread=spread)


def _of(key: str) -> Any:
    return lambda _, entry: _text(part(entry, key))


def _measured(key: str, name: str) -> Any:
    return lambda _, entry: _text(part(entry, key, name))


def _efficiencies(entry: Entry) -> tuple[float, ...]:
    return tuple(float(one["efficiency"]) for one in entry.get("sculpting") or ())


def _divergence(efficiency: float) -> Any:
    def cell(_: str, entry: Entry) -> str:
        found: Entry = next((one for one in entry.get("sculpting") or () if one.get("efficiency") == efficiency), {})
        return f"{_text(part(found, 'divergence'))} ({format_number(number(found.get('expected')), digits=2)})"

    return cell


def _distance(quantity: str, key: str) -> Any:
    scale = 100.0 if key == "relative" else 1.0

    def cell(_: str, entry: Entry) -> str:
        value = number(part(entry, quantity).get(key))
        return NONE if value is None else format_number(scale * value)

    return cell


def _times(value: float | None) -> str:
    return NONE if value is None else f"{format_number(value)} ×"
