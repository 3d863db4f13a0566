"""Tables of the estimates from two scores: prediction and observation, likelihood, closure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from analysis.numbers import (
    NONE,
    format_count,
    format_number,
    format_p_value,
    format_percent,
    format_uncertain,
    format_z,
)
from analysis.report.quantities import entries, number, part, scalar_text
from analysis.report.table import Column, Table, build

Entry = Mapping[str, Any]
Rows = list[tuple[str, Entry]]

_METHODS = {"plain": "Plain", "extended": "Extended"}
COUNTING_NOTE = (
    "Predicted: efficiency of each score's selection among events that the other score finds background-like, times "
    "each other and all events (Tag N' Train), with its statistical and systematic uncertainty. Plain: B·C/D. "
    "Extended: six regions, the trend along the first or the second score taken off; both with statistical "
    "uncertainty alone. Z is the binomial one; Z (simple) is (observed − predicted)/√(observed + σ²)."
)
CLOSURE_NOTE = (
    "Closure, not correlation, is the test: an excess is to be believed only where the validation regions close. "
    "Their pulls beside the selection also rise with signal. Pearson's coefficient is that of all events, signal among "
    "them, the others are those of the events that neither score selects."
)
TRUTH_NOTE = (
    "The counting estimate, compared with the background that truth tells in the signal region. Made from background "
    "alone it tests whether the two scores are independent; made from all events it is what the search predicts, which "
    "signal in the control regions raises. Errors of the ratios: the prediction's statistical one and the Poisson "
    "error of the true count, σ² = r² [(σ_P/P)² + 1/T − 2/N] with the events in both counted once; no systematic "
    "uncertainty. Closes: within 5% and one error, or within two errors, which one in twenty of the tightest "
    "selections misses by chance. Correlation coefficients: of the scores of background within each fold, with the "
    "error that independent scores would have."
)
SIGNIFICANCE_NOTE = (
    "Counting estimate, in standard deviations: expected N_signal / √(N_observed + σ²) with the true number of signal "
    "events, observed (N_observed − N_predicted) / √(N_observed + σ²), with σ the statistical ⊕ systematic uncertainty "
    "of the prediction (arXiv:2002.12376, equation 4.1). Signal in the control regions raises the prediction, which "
    "lowers the observed value where the estimate closes: one that is larger than expected means that the estimate "
    "does not close, or a fluctuation."
)
_DEPENDENT = "the scores are not independent in background, so what is observed is no significance."
LIKELIHOOD_NOTE = (
    "Likelihood with a channel for each region; the closure uncertainty acts on the prediction in region A. Without "
    "region A: predicted from the others alone. Where the signal's shares in the control regions are not known, "
    "none is assumed there, which makes the limit too strong for a signal that also falls there."
)


def abcd_tables(results: Entry) -> list[Table]:
    """Return all tables of the estimates from two scores, none where there are no estimates."""
    tables = (
        abcd_table(results),
        *significance_tables(results),
        abcd_truth_table(results),
        abcd_closure_table(results),
        abcd_likelihood_table(results),
    )
    return [table for table in tables if table is not None]


def abcd_table(results: Entry) -> Table | None:
    """Events predicted from control regions against those observed."""
    rows = _rows(results)
    reasons = [f"{name}: {entry['reason']}" for name, entry in rows if entry.get("reason")]
    return build(
        "ABCD estimates",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("First score", lambda _, a: scalar_text(a.get("first"))),
            ("Second score", lambda _, a: scalar_text(a.get("second"))),
            ("Of each score, nominal", lambda _, a: format_percent(number(a.get("tail")))),
            ("Of each score, selected", lambda _, a: _tails(a)),
            ("Of all, if independent", lambda _, a: format_percent(_squared(number(a.get("tail"))))),
            ("Of all, selected", lambda _, a: format_percent(number(a.get("selected_fraction")))),
            ("Predicted", lambda _, a: _with_error(a)),
            ("Observed", lambda _, a: format_count(number(a.get("observed")))),
            ("Z", lambda _, a: format_z(number(a.get("z")))),
            ("Z (simple)", lambda _, a: format_z(number(part(a, "counting").get("z_simple")))),
            ("Expected Z (simple)", lambda _, a: format_z(number(part(a, "counting").get("expected_z_simple")))),
            ("Plain", lambda _, a: _with_error(part(a, "plain"))),
            ("Extended, first", lambda _, a: _with_error(part(a, "extended"))),
            ("Extended, second", lambda _, a: _with_error(part(a, "extended_second"))),
            ("True background", lambda _, a: format_count(number(a.get("true_background")))),
        ],
        known=(
            "name", "first", "second", "tail", "predicted", "uncertainty", "observed", "z", "reason",
            "true_background", "largest_pull", "selected_fraction", "tails",
        ),
        notes=(COUNTING_NOTE, *reasons) if any(part(a, "counting") for _, a in rows) else (),
    )  # fmt: skip


def significance_tables(results: Entry) -> list[Table]:
    """For each sample with several estimates, their significances side by side, a row for each efficiency."""
    samples: dict[str, dict[float, dict[str, Entry]]] = {}
    for name, entry in entries(results, "selections"):
        found, efficiency = part(entry, "abcd"), number(entry.get("efficiency"))
        if part(found, "counting") and efficiency is not None:
            rows = samples.setdefault(str(entry.get("mixture", NONE)), {})
            rows.setdefault(efficiency, {})[str(found.get("name", name))] = found
    return [table for sample, rows in samples.items() if (table := _significance_table(sample, rows)) is not None]


def _significance_table(sample: str, rows: Mapping[float, Mapping[str, Entry]]) -> Table | None:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    doubtful = [name for row in rows.values() for name in row if part(row, name, "independence").get("doubtful")]
    return build(
        f"ABCD significance by efficiency, {sample}",
        [(format_percent(efficiency), rows[efficiency]) for efficiency in sorted(rows, reverse=True)]
        if len(names) > 1
        else (),
        [
            ("Efficiency if independent", lambda name, _: name),
            *(column for name in names for column in _significances(name)),
        ],
        known=None,
        notes=(SIGNIFICANCE_NOTE, *(f"{name}: {_DEPENDENT}" for name in dict.fromkeys(doubtful))),
    )


def _significances(estimate: str) -> list[Column]:
    return [
        (f"{estimate}: {title}", lambda _, row, key=key: format_z(number(part(row, estimate, "counting").get(key))))  # type: ignore[misc]
        for title, key in (("expected", "expected_z_simple"), ("observed", "z_simple"))
    ]


def abcd_truth_table(results: Entry) -> Table | None:
    """Predicted over true background, and the correlation of the scores on background, where truth is known."""
    rows = [(name, part(entry, "truth")) for name, entry in _rows(results) if part(entry, "truth")]
    return build(
        "ABCD closure on the true background",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Background events", lambda _, t: format_count(number(part(t, "correlation").get("n")))),
            ("Pearson ρ", lambda _, t: _coefficient(t, "pearson")),
            ("Rank ρ", lambda _, t: _coefficient(t, "rank")),
            ("True background", lambda _, t: format_count(number(part(t, "closure").get("true")))),
            ("Predicted from background", lambda _, t: _with_error(part(t, "closure"), "predicted", "statistical")),
            ("Predicted / true", lambda _, t: _with_error(part(t, "closure"), "ratio", "ratio_error")),
            ("Closes", lambda _, t: scalar_text(part(t, "closure").get("closes"))),
            ("From all events / true", lambda _, t: _with_error(part(t, "closure_in_data"), "ratio", "ratio_error")),
        ],
        known=None,
        notes=(TRUTH_NOTE,),
    )


def _coefficient(truth: Entry, key: str) -> str:
    return _with_error(part(truth, "correlation"), key, "error")


def abcd_likelihood_table(results: Entry) -> Table | None:
    """Upper limits and p-values of the likelihood, with and without the signal region."""
    rows = [
        (name, {"method": title, **part(entry, f"likelihood_{method}")})
        for name, entry in _rows(results)
        for method, title in _METHODS.items()
        if part(entry, f"likelihood_{method}")
    ]
    return build(
        "ABCD likelihood: limits in selected signal events",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Estimate", lambda _, e: scalar_text(e.get("method"))),
            ("Predicted without region A", lambda _, e: format_number(number(e.get("predicted")))),
            ("Fitted background", lambda _, e: format_number(number(e.get("fitted_background")))),
            ("Best fit", lambda _, e: format_number(_yield(part(e, "limit").get("best_fit")))),
            ("Local p₀", lambda _, e: format_p_value(number(part(e, "limit").get("local_p0")))),
            ("Observed limit", lambda _, e: format_number(number(part(e, "limit").get("observed")))),
            *(_expected(index, title) for index, title in ((1, "Expected −1σ"), (2, "Median"), (3, "+1σ"))),
            ("Median without region A", lambda _, e: format_number(_nth(e.get("blinded_expected"), 2))),
            ("Signal in control regions", lambda _, e: _shares(e)),
            ("Failed fits", lambda _, e: scalar_text(part(e, "limit").get("failed_fits"))),
            ("No limit because", lambda _, e: scalar_text(e.get("reason"))),
        ],
        known=("method", "predicted", "fitted_background", "limit", "shares_known", "closure", "reason"),
        notes=(
            LIKELIHOOD_NOTE,
            *dict.fromkeys(
                f"{name}: {part(entry, 'limit')['local_p0_reason']}"
                for name, entry in rows
                if part(entry, "limit").get("local_p0_reason")
            ),
        ),
    )


def abcd_closure_table(results: Entry) -> Table | None:
    """Closure in validation regions and the dependence of both scores."""
    rows = [(name, entry) for name, entry in _rows(results) if entry.get("closure_checks") or entry.get("dependence")]
    known = (
        "name", "first", "second", "tail", "predicted", "uncertainty", "observed", "z", "reason", "selected_fraction",
        "tails",
    )  # fmt: skip
    return build(
        "ABCD closure",
        [(name, {key: value for key, value in entry.items() if key not in known}) for name, entry in rows],
        [
            ("Selection", lambda name, _: name),
            ("Validation regions", lambda _, a: str(len(a.get("closure_checks") or ()))),
            ("Nearest inside", lambda _, a: _nearest(a, "inside")),
            ("Nearest beside, first", lambda _, a: _nearest(a, "first")),
            ("Nearest beside, second", lambda _, a: _nearest(a, "second")),
            ("Largest pull", lambda _, a: format_z(number(a.get("largest_pull")))),
            ("Pearson ρ", lambda _, a: _with_error(part(a, "dependence"), "pearson", "pearson_error")),
            ("Distance correlation", _measure("distance_correlation")),
            ("Mutual information [nats]", _measure("mutual_information")),
            ("p of independence", lambda _, a: format_p_value(number(part(a, "dependence").get("p")))),
        ],
        known=("true_background", "largest_pull"),
        notes=(
            "Nearest: observed over predicted in the validation region closest to the selection.",
            CLOSURE_NOTE,
        ),
    )  # fmt: skip


def _rows(results: Entry) -> Rows:
    return [(name, part(entry, "abcd")) for name, entry in entries(results, "selections") if part(entry, "abcd")]


def _tails(entry: Entry) -> str:
    """Fractions of events that the first and the second score select, one where both are written alike."""
    texts = [format_percent(number(one.get("fraction"))) for one in entry.get("tails") or ()]
    return ", ".join(dict.fromkeys(texts)) or NONE


def _squared(value: float | None) -> float | None:
    return None if value is None else value**2


def _with_error(entry: Entry, key: str = "predicted", error: str = "uncertainty") -> str:
    return format_uncertain(number(entry.get(key)), number(entry.get(error)))


def _nth(values: Any, index: int) -> float | None:
    return number(dict(enumerate(values or ())).get(index))


def _yield(value: Any) -> float | None:
    """Events, 0 for what a fit at its bound leaves of them."""
    events = number(value)
    return 0.0 if events is not None and events < 1e-6 else events


def _expected(index: int, title: str) -> Column:
    return title, lambda _, e: format_number(_nth(part(e, "limit").get("expected"), index))


def _shares(entry: Entry) -> str:
    """Signal in the control regions for each event in region A."""
    shares = part(entry, "signal_shares")
    total, selected = sum(number(value) or 0.0 for value in shares.values()), number(shares.get("A"))
    if not selected:
        return NONE
    return f"{format_number(total / selected - 1)} × A" if entry.get("shares_known") else "none assumed"


def _nearest(entry: Entry, region: str) -> str:
    checks = [one for one in entry.get("closure_checks") or () if one.get("region") == region]
    if not checks:
        return NONE
    last = max(checks, key=lambda one: number(one.get("boundary")) or 0.0)
    return format_uncertain(number(last.get("ratio")), number(last.get("ratio_error")))


def _measure(key: str) -> Callable[[str, Entry], str]:
    return lambda _, entry: format_number(number(part(entry, "dependence").get(key)))
