"""Figures of the tests that a background model went through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.context import SearchRun
from analysis.figures.captions import signal_content
from analysis.plots import (
    BiasTable,
    InjectedSignals,
    Label,
    OrderSteps,
    SpuriousScan,
    ToyStatistic,
    bias_figure,
    goodness_figure,
    injection_figure,
    order_figure,
    spurious_figure,
)
from analysis.stages.hunt import hunt
from analysis.stages.searched import searched
from analysis.stages.validate import background_orders, validate

Described = tuple[str, str, str, object]
SECTION = "validation"


def validation_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) for every test of every selection that could be made."""
    for sample, order in background_orders(run).items():
        if "reason" not in order:
            caption = (
                f"F-test for the number of parameters of the background function of {sample}, on {order['control']}: "
                f"p-value of each function's χ² and of each step to the next. {_use(order)}"
            )
            steps = OrderSteps.from_result(order, threshold=order["threshold"])
            yield SECTION, f"f-test-{sample}", caption, order_figure(steps, label=label)
    for identifier, tests in validate(run).items():
        content = signal_content(searched(run, hunt(run)[identifier].sample))
        for name, figure_of in _FIGURES.items():
            if name in tests and "reason" not in tests[name]:
                caption, figure = figure_of(tests[name], label)
                yield SECTION, f"{name.replace('_', '-')}-{identifier}", f"{identifier}: {caption}{content}", figure


def _use(order: Mapping[str, Any]) -> str:
    if order["chooses"]:
        return f"{order['family']} was taken."
    return f"It would take {order['family']}; the search file fixes the function beforehand."


def _goodness(entry: Mapping[str, Any], label: Label) -> tuple[str, object]:
    caption = (
        "goodness of the background fit by the likelihood ratio to the saturated model, against toys that repeat the "
        "fit; the curve is the asymptotic χ² distribution."
    )
    return caption, goodness_figure(ToyStatistic.from_result(entry), label=label)


def _outside(entry: Mapping[str, Any], label: Label) -> tuple[str, object]:
    caption, figure = _goodness(entry, label)
    return f"outside the signal window, {caption}", figure


def _bias(entry: Mapping[str, Any], label: Label) -> tuple[str, object]:
    caption = (
        f"mean pull of the fitted signal over toys, for every pair of a true function (fitted outside the signal "
        f"window) and a fitted one, at the worst of the masses {_masses(entry)}. A pair passes below "
        f"{entry['threshold']:g}, which was fixed beforehand."
    )
    return caption, bias_figure(BiasTable.from_result(entry), label=label)


def _spurious(entry: Mapping[str, Any], label: Label) -> tuple[str, object]:
    template = "the simulation, selected like the data and"
    if entry["truth"] is not None:
        template = f"a smooth {entry['truth']} fitted to the spectrum outside the window,"
    caption = (
        f"spurious signal: what a fit with signal finds in {template} scaled to the events of the data, where there "
        "is none; bands are the statistical error of the data."
    )
    return caption, spurious_figure(SpuriousScan.from_result(entry), label=label)


def _injection(entry: Mapping[str, Any], label: Label) -> tuple[str, object]:
    caption = (
        f"fitted against injected signal events at {entry['mass']:g} GeV, mean over toys; the band is the expected "
        "error of one fit."
    )
    return caption, injection_figure(InjectedSignals.from_result(entry), label=label)


def _masses(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{mass:g}" for mass in entry["masses"]) + " GeV"


_FIGURES = {
    "goodness": _goodness,
    "goodness_outside_window": _outside,
    "bias": _bias,
    "spurious_signal": _spurious,
    "injection": _injection,
}
