"""Tables of the tests that a background model went through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import (
    NONE,
    format_count,
    format_mass,
    format_number,
    format_p_value,
    format_percent,
    format_toy_p,
)
from analysis.report.quantities import Quantity, entries, number, part
from analysis.report.table import Table, build

Entry = Mapping[str, Any]
# p-value of the goodness of fit below which the report warns
POOR_FIT = 0.01


def order_table(results: Entry) -> Table | None:
    """The F-test of each sample, one row per step."""
    rows = [
        (f"{sample}: {test['simpler']} → {test['richer']}", test)
        for sample, order in entries(results, "background_order")
        for test in order.get("tests") or ()
    ]
    controls = {
        f"{sample}: decided on {order.get('control', NONE)}; the richer function is taken below "
        f"p = {format_number(number(order.get('threshold')))}, which leads to {order.get('family', NONE)}"
        f"{'' if order.get('chooses') else ' (the search file fixes the function beforehand)'}."
        for sample, order in entries(results, "background_order")
        if "reason" not in order
    }
    failed = [
        f"{sample}: no F-test. {order['reason']}"
        for sample, order in entries(results, "background_order")
        if order.get("reason")
    ]
    return build(
        "Number of parameters by F-test",
        rows or [(sample, {}) for sample, _ in entries(results, "background_order")],
        [
            ("Step", lambda name, _: name),
            ("F", lambda _, e: format_number(number(e.get("f")))),
            ("p", lambda _, e: format_p_value(number(e.get("p")))),
        ],
        known=None,
        notes=(*sorted(controls), *failed),
    )


def goodness_table(results: Entry) -> Table | None:
    """Saturated goodness of fit of every tested selection."""
    titles = {"goodness": "whole spectrum", "goodness_outside_window": "outside the window"}
    rows = [
        (f"{name}, {title}", part(tests, key))
        for name, tests in entries(results, "validation")
        for key, title in titles.items()
        if key in tests
    ]
    return build(
        "Goodness of fit against the saturated model",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Function", lambda _, e: str(e.get("family", NONE))),
            ("Deviance / ndof", lambda _, e: deviance_text(e)),
            ("p from toys", lambda _, e: toy_p_text(part(e, "p"))),
            ("p, asymptotic", lambda _, e: format_p_value(number(e.get("asymptotic_p")))),
            ("χ² p from toys", lambda _, e: toy_p_text(part(e, "chi2_p"))),
            ("Toys", lambda _, e: format_count(number(part(e, "p").get("toys")))),
            ("Failed", lambda _, e: format_count(number(e.get("failed")))),
        ],
        known=None,
        notes=tuple(_reasons(rows)),
    )


def bias_table(results: Entry) -> Table | None:
    """The worst mean pull of every pair of a true and a fitted function."""
    rows = [
        (f"{name}: {pair.get('truth', NONE)} fitted with {pair.get('fit', NONE)}", pair)
        for name, tests in entries(results, "validation")
        for pair in part(tests, "bias").get("pairs") or ()
    ]
    thresholds = {
        f"A pair passes with a mean pull below {format_number(number(part(tests, 'bias').get('threshold')))} at every "
        "mass and injected strength; undecided where the error on the mean does not allow to tell."
        for _, tests in entries(results, "validation")
        if part(tests, "bias").get("pairs")
    }
    return build(
        "Bias of the fitted signal",
        rows,
        [
            ("True and fitted function", lambda name, _: name),
            ("Worst mean pull", lambda _, e: str(_pull(e))),
            ("At", lambda _, e: _where(e)),
            ("Failed toys", lambda _, e: format_percent(number(e.get("failure_rate")))),
            ("Verdict", lambda _, e: str(e.get("verdict", NONE))),
        ],
        known=None,
        notes=(*sorted(thresholds), *_reasons(_tests(results, "bias"))),
    )


def spurious_table(results: Entry) -> Table | None:
    """The largest spurious signal of every tested selection."""
    rows = _tests(results, "spurious_signal")
    return build(
        "Spurious signal",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Function", lambda _, e: str(e.get("family", NONE))),
            ("Template", lambda _, e: str(e.get("truth") or "simulation") if "family" in e else NONE),
            ("Largest |S| [events]", lambda _, e: format_number(number(e.get("systematic")))),
            ("Largest |S|/σ", lambda _, e: format_number(_largest(e.get("ratio")))),
            ("Largest |S|/template's error", lambda _, e: format_number(_largest(_of_template(e)))),
            ("Accepted below", lambda _, e: format_number(number(e.get("limit")))),
            ("Failed fits", lambda _, e: format_count(number(e.get("failed")))),
            ("Verdict", lambda _, e: str(e.get("verdict", NONE))),
        ],
        known=None,
        notes=(
            "σ is the statistical error that the data have; a spurious signal is accepted below the limit or if the "
            "statistics of the template explain it. A template that is a fitted function has no error of its own.",
            *_reasons(rows),
        ),
    )


def _of_template(entry: Entry) -> list[float | None]:
    """Spurious signal by mass in units of its error from the template's statistics; None where there is none."""
    pairs = zip(entry.get("yields") or [], entry.get("template_errors") or [], strict=True)
    return [spurious / error if spurious is not None and error else None for spurious, error in pairs]


def injection_table(results: Entry) -> Table | None:
    """Slope and offset of fitted against injected signal."""
    rows = _tests(results, "injection")
    return build(
        "Injected signals",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Mass", lambda _, e: format_mass(number(e.get("mass")))),
            ("Slope", lambda _, e: str(Quantity(number(e.get("slope")), number(e.get("slope_error"))))),
            ("Offset [events]", lambda _, e: str(Quantity(number(e.get("offset")), number(e.get("offset_error"))))),
            ("p of the line", lambda _, e: format_p_value(number(e.get("p")))),
            ("Failed toys", lambda _, e: format_percent(number(e.get("failure_rate")))),
            ("Verdict", lambda _, e: str(e.get("verdict", NONE))),
        ],
        known=None,
        notes=tuple(_reasons(rows)),
    )


def validation_warnings(results: Entry) -> Iterator[str]:
    """What the tests found wrong, in sentences."""
    for name, tests in entries(results, "validation"):
        for key, title in _TITLES.items():
            entry = part(tests, key)
            if entry.get("reason"):
                yield f"Selection {name}: the {title} could not be tested. {entry['reason']}"
            p = part(entry, "p") if key.startswith("goodness") else {}
            if _poor(tests, key):
                place = _PLACES[key] if _tested(tests, "goodness_outside_window") else ""
                yield (
                    f"Selection {name}: the background function does not fit{place} (p {format_toy_p(p)} "
                    "from toys, saturated model)."
                )
        pairs = [pair for pair in part(tests, "bias").get("pairs") or () if pair.get("verdict") == "biased"]
        for pair in pairs:
            yield (
                f"Selection {name}: if the true background is {pair['truth']}, a fit with {pair['fit']} biases the "
                f"signal by {_pull(pair)} standard deviations at {_where(pair)}."
            )
        if part(tests, "spurious_signal").get("verdict") == "rejected":
            largest = format_number(_largest(part(tests, "spurious_signal").get("ratio")))
            yield (
                f"Selection {name}: the background function invents a signal of up to {largest} standard deviations "
                "where there is none (spurious signal)."
            )
        if part(tests, "injection").get("verdict") == "biased":
            yield f"Selection {name}: injected signals do not come back unbiased."


_TITLES = {
    "goodness": "goodness of fit",
    "goodness_outside_window": "goodness of fit outside the window",
    "bias": "bias of the signal",
    "spurious_signal": "spurious signal",
    "injection": "linearity of injected signals",
}


_PLACES = {"goodness": " the whole spectrum", "goodness_outside_window": " outside the window"}


def _tested(tests: Entry, key: str) -> bool:
    return number(part(tests, key, "p").get("value")) is not None


def _poor(tests: Entry, key: str) -> bool:
    """Whether a fit is bad for another reason than the peak that is looked for.

    Where the fit outside the window is known, that of the whole spectrum counts only if both are bad.
    """
    keys = [key, *(["goodness_outside_window"] if _tested(tests, "goodness_outside_window") else [])]
    values = [number(part(tests, one, "p").get("value")) for one in keys if one in _PLACES]
    return key in _PLACES and all(value is not None and value < POOR_FIT for value in values)


def _tests(results: Entry, key: str) -> list[tuple[str, Entry]]:
    return [(name, part(tests, key)) for name, tests in entries(results, "validation") if key in tests]


def _reasons(rows: list[tuple[str, Entry]]) -> Iterator[str]:
    return (f"{name}: not tested. {entry['reason']}" for name, entry in rows if entry.get("reason"))


def deviance_text(entry: Entry) -> str:
    """Deviance over degrees of freedom, as in a table."""
    deviance, ndof = number(entry.get("deviance")), number(entry.get("ndof"))
    return NONE if deviance is None or ndof is None else f"{deviance:.1f} / {ndof:.0f}"


def toy_p_text(p: Entry) -> str:
    """A p-value from toys, as in a table: a bound with its sign."""
    return NONE if number(p.get("value")) is None else format_toy_p(p).removeprefix("= ")


def _pull(pair: Entry) -> Quantity:
    return Quantity(number(pair.get("worst_mean")), number(pair.get("worst_mean_error")))


def _where(pair: Entry) -> str:
    """The mass and injected strength of the worst mean pull."""
    for point in pair.get("points") or ():
        if number(point.get("mean")) is not None and point["mean"] == pair.get("worst_mean"):
            return f"{format_mass(number(point.get('mass')))}, {format_number(number(point.get('strength')))}σ injected"
    return NONE


def _largest(values: Any) -> float | None:
    found = [abs(value) for entry in values or () if (value := number(entry)) is not None]
    return max(found, default=None)
