"""Tables of networks that must not tell classes of their background apart, as table 1 of arXiv:1905.10384."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.numbers import NONE, format_count, format_number, format_percent, format_uncertain
from analysis.report.data_tables import LABELS_NOTE
from analysis.report.quantities import number, part
from analysis.report.table import Table, build

Entry = Mapping[str, Any]

MEASURED_NOTE = (
    "Areas under ROC curves of the signal against each class of the background, and against all of them, each class "
    "counting the same; means over independent trainings, out of fold: value ± statistical uncertainty ± spread over "
    "the trainings. The difference is that between the largest and the smallest area; it is never negative, and for "
    "equal areas of the size of its uncertainty. Limits cut on the mean score of all trainings."
)
TRAINING_NOTE = (
    "Accuracy with which the adversary tells the class of background events that neither network trained on, at the "
    "end; a guess is right in one of so many classes (chance). Distance: Kolmogorov–Smirnov, of the two classes that "
    "are farthest apart in the score. Means and standard deviations over all trainings of all folds. An adversary is "
    "blind that guesses although the distance is large; a network is useless whose loss is above that of a constant "
    "output, collapsed if it is one (and then it does not count)."
)
COMPARED_NOTE = (
    "How many times smaller the difference is than that of the network without an adversary, tested with the same "
    "smearing, and how much of that network's AUC − 0.5 is kept. Uncertainties: statistical and spread over trainings "
    "of both networks in quadrature, without the correlation that comes from their common events."
)
LIMIT_NOTE = (
    "Cross sections of signal events that pass the selection of jets and lepton, as in the paper. S/√B: at the point "
    "of the ROC curve that needs the least signal, with the error from the number of simulated events. CLs: limit that "
    "pyhf expects of the m_tt̄ spectrum above the same threshold, with its ±1σ range, the smearing as one nuisance "
    "parameter (classes up and down for one standard deviation), and in the last column without it. The score is the "
    "mean over trainings."
)


def robustness_table(results: Entry) -> Table | None:
    """AUC by class of every network and smearing, for the signal that classifiers were trained on."""
    entries = [e for e in _entries(results, "robustness") if not e.get("contamination")]
    first = [e for e in entries if e.get("signal") == _first_signal(results)]
    labelled = any(e.get("uses_labels") for e in first)
    return build(
        "AUC by class of the background",
        [(_name(entry), entry) for entry in first],
        [
            ("Network", lambda name, _: name),
            ("Trained with", lambda _, e: str(e.get("trained_with"))),
            ("Tested with", lambda _, e: str(e.get("tested_with"))),
            ("Signal", lambda _, e: str(e.get("signal"))),
            ("All", lambda _, e: _measured(e, "overall")),
            *((name, _of_class(name)) for name in _classes(first)),
            ("Difference", lambda _, e: _measured(e, "difference")),
            ("Difference of the mean score", lambda _, e: _measured(part(e, "of_mean"), "difference")),
            ("N signal", lambda _, e: format_count(number(e.get("n_signal")))),
            ("N per class", lambda _, e: _counts(e)),
            ("Trainings", lambda _, e: format_count(number(e.get("members")))),
        ],
        known=None,
        notes=(MEASURED_NOTE, *((LABELS_NOTE,) if labelled else ())),
    )


def compared_table(results: Entry) -> Table | None:
    """What the adversary gains and costs."""
    first = _first_signal(results)
    return build(
        "What the adversary does",
        [(str(e.get("network")), e) for e in _entries(results, "robustness_compared") if e.get("signal") == first],
        [
            ("Network", lambda name, _: name),
            ("Without adversary", lambda _, e: str(e.get("plain"))),
            ("Smearing", lambda _, e: str(e.get("smearing"))),
            ("Difference smaller by", lambda _, e: _uncertain(e, "reduction")),
            ("AUC − 0.5 kept [%]", lambda _, e: _uncertain(e, "kept", scale=100.0)),
        ],
        known=None,
        notes=(COMPARED_NOTE,),
    )


def training_table(results: Entry) -> Table | None:
    """How the adversaries of all networks ended."""
    entries = [(name, part(entry, "opponent")) for name, entry in (results.get("networks") or {}).items()]
    return build(
        "Networks and adversaries after training",
        [(name, entry) for name, entry in entries if entry],
        [
            ("Network", lambda name, _: name),
            ("Adversary's accuracy", lambda _, e: _uncertain(e, "accuracy")),
            ("Chance", lambda _, e: format_number(number(e.get("chance")))),
            ("Distance of classes", lambda _, e: _uncertain(e, "class_distance")),
            *((name.capitalize(), _how_many(name)) for name in ("blind", "useless", "collapsed")),
            ("Of", lambda _, e: format_count(number(e.get("trainings")))),
        ],
        known=None,
        notes=(TRAINING_NOTE,),
    )


def _how_many(name: str) -> Any:
    return lambda _, entry: format_count(number(entry.get(name)))


def signals_table(results: Entry) -> Table | None:
    """Table 1 of the paper: every signal with its AUC, difference and limits."""
    areas = {_key(e): e for e in _entries(results, "robustness") if not e.get("contamination")}
    rows = [(str(e.get("network")), {**e, "area": areas.get(_key(e), {})}) for e in _entries(results, "smeared_limits")]
    return build(
        "Signals and limits on their cross sections",
        rows,
        [
            ("Network", lambda name, _: name),
            ("Tested with", lambda _, e: str(e.get("tested_with"))),
            ("Signal", lambda _, e: str(e.get("signal"))),
            ("AUC", lambda _, e: _measured(part(e, "area"), "overall")),
            ("Difference", lambda _, e: _measured(part(e, "area"), "difference")),
            ("S/√B limit [fb]", lambda _, e: _simple(e)),
            ("ε_S, ε_B there", lambda _, e: _point(e)),
            ("CLs limit [fb]", lambda _, e: _expected(e, "cls_expected")),
            ("CLs, no smearing [fb]", lambda _, e: _expected(e, "cls_expected_without_smearing")),
        ],
        known=None,
        notes=(LIMIT_NOTE,),
    )


def contamination_table(results: Entry) -> Table | None:
    """Figure 7 of the paper in numbers: AUC and difference against the signal among the training events."""
    first = _first_signal(results)
    entries = [e for e in _entries(results, "robustness") if e.get("signal") == first]
    scanned = {e.get("network") for e in entries if e.get("contamination")}
    rows = [
        (str(e.get("network")), e)
        for e in entries
        if e.get("network") in scanned and e.get("tested_with") == e.get("trained_with")
    ]
    rows.sort(key=lambda row: (row[0], number(row[1].get("contamination")) or 0.0))
    return build(
        "Signal among the training events",
        rows,
        [
            ("Network", lambda name, _: name),
            ("Signal in training", lambda _, e: format_percent(number(e.get("contamination")))),
            ("AUC", lambda _, e: _measured(e, "overall")),
            ("Difference", lambda _, e: _measured(e, "difference")),
        ],
        known=None,
        notes=("The background's events are the same in all trainings; signal is smeared like the class it hides in.",),
    )


def _entries(results: Entry, key: str) -> Sequence[Entry]:
    return [entry for entry in results.get(key) or () if isinstance(entry, Mapping)]


def _first_signal(results: Entry) -> Any:
    return next((e.get("signal") for e in _entries(results, "robustness")), None)


def _key(entry: Entry) -> tuple[Any, ...]:
    return entry.get("network"), entry.get("tested_with"), entry.get("signal")


def _name(entry: Entry) -> str:
    return f"{entry.get('network')} †" if entry.get("uses_labels") else str(entry.get("network"))


def _classes(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(str(name) for entry in entries for name in part(entry, "classes")))


def _of_class(name: str) -> Any:
    return lambda _, entry: _measured(part(entry, "classes"), name)


def _measured(entry: Entry, key: str) -> str:
    found = part(entry, key)
    spread = number(found.get("spread"))
    return format_uncertain(number(found.get("value")), number(found.get("uncertainty")), spread=spread)


def _counts(entry: Entry) -> str:
    counts = [number(one) for one in part(entry, "n_background").values()]
    known = [one for one in counts if one is not None]
    if not known:
        return NONE
    low, high = min(known), max(known)
    return format_count(low) if low == high else f"{format_count(low)} to {format_count(high)}"


def _uncertain(entry: Entry, key: str, *, scale: float = 1.0) -> str:
    value, uncertainty = (number(part(entry, key).get(one)) for one in ("value", "uncertainty"))
    if value is None or uncertainty is None:
        return NONE
    return format_uncertain(scale * value, scale * uncertainty)


def _simple(entry: Entry) -> str:
    found = part(entry, "simple")
    return format_uncertain(number(found.get("cross_section")), number(found.get("error")))


def _point(entry: Entry) -> str:
    found = part(entry, "simple")
    kept = [format_percent(number(found.get(key))) for key in ("signal_efficiency", "background_efficiency")]
    return ", ".join(kept) if found else str(entry.get("reason", NONE))


def _expected(entry: Entry, key: str) -> str:
    values = [number(one) for one in entry.get(key) or ()]
    if len(values) != 5 or values[2] is None:
        return NONE
    return f"{format_number(values[2])} ({format_number(values[1])} to {format_number(values[3])})"
