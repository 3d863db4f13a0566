"""Figures of the selected spectra: fits and pulls, p0 scans, shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import selected_content, signal_content
from analysis.figures.windows import best_of_windows
from analysis.numbers import format_number, format_percent, format_toy_p, format_uncertain
from analysis.plots import (
    FittedSpectrum,
    Label,
    MassScan,
    comparison_figure,
    p0_figure,
    shape_comparison,
    spectrum_figure,
)
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.sculpting import BackgroundShape, background_shapes
from analysis.stages.searched import searched, window_of

Described = tuple[str, str, str, object]


def hunt_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) for every sample and selection."""
    for name in run.search.data:
        every = [hunted for hunted in hunt(run).values() if hunted.sample == name]
        if not every:
            continue
        found = best_of_windows(run, every)
        left_out = (
            " Of the windows that slide only the one with the largest excess is shown for each efficiency."
            if len(found) < len(every)
            else ""
        )
        settings = window_of(run, None)
        window = settings.signal if settings else None
        content = signal_content(searched(run, name))
        for hunted in found:
            own = window_of(run, hunted.selection.detector)
            yield _spectrum(hunted, own.signal if own else None, label, content=content)
        yield (
            "selections",
            f"p0-{name}",
            f"Local p0 of a resonance against its mass in {name}, for every selection (uncapped; signal width as in "
            f"the table). Global p-values come from toys that repeat fit and scan. A large excess bends the background "
            "function that is fitted along with a peak at other masses: further peaks of its line are no excesses of "
            f"their own.{left_out}{content}",
            p0_figure([_scan(hunted) for hunted in found], window=window, label=label),
        )
        inclusive, *selected = found
        shapes = shape_comparison(
            inclusive.spectrum.edges,
            inclusive.spectrum.counts,
            [(hunted.label, hunted.spectrum.counts) for hunted in selected],
            window=window,
        )
        if selected:
            caption = (
                f"Shape of the selected spectra of {name} beside the inclusive one, each normalised to its own area."
                f"{left_out}{content}"
            )
            yield "selections", f"shapes-{name}", caption, comparison_figure(shapes, log=True, label=label)
        yield from _background_shapes(run, name, selected, label, window=window, more=f"{left_out}{content}")


def _background_shapes(
    run: SearchRun,
    sample: str,
    found: Sequence[Hunted],
    label: Label,
    *,
    window: tuple[float, float] | None,
    more: str,
) -> Iterator[Described]:
    """Yield for each detector the spectra of the background that its selections keep, where it is known."""
    known = background_shapes(run)
    for detector in dict.fromkeys(hunted.selection.detector for hunted in found):
        of_detector = [hunted.identifier for hunted in found if hunted.selection.detector == detector]
        own = {name: known[name] for name in of_detector if name in known}
        if not own:
            continue
        inclusive, simulation = next((one.inclusive, one.simulation) for one in own.values())
        spectra = [inclusive, *(one.spectrum for one in own.values())]
        weighted = any(not np.array_equal(one.counts, one.variances) for one in spectra)
        divergences = {name: one.divergence(run.rng(f"background {name}")) for name, one in own.items()}
        shapes = shape_comparison(
            inclusive.edges,
            inclusive.counts,
            [(_divergent(own[name], found), own[name].spectrum.counts)
             for name, found in divergences.items()],
            window=window,
            variances=[one.variances for one in spectra] if weighted else None,
        )  # fmt: skip
        chance = [format_number(one["expected"], digits=2) for one in divergences.values()]
        whose = "known from the truth" if simulation is None else f"as {simulation} simulates it"
        fitted = _fitted(list(own.values()))
        caption = (
            f"Dijet mass of the background of {sample}, {whose}, after selections of {detector} beside the inclusive "
            "one, each normalised to its own area, with statistical errors. JSD is the Jensen–Shannon divergence from "
            f"the inclusive shape; random choices of as many events have {', '.join(chance)} nats on average.{fitted}"
            f"{more}"
        )
        yield (
            "selections",
            f"background-shapes-{sample}-{detector}",
            caption,
            comparison_figure(shapes, log=True, label=label),
        )


def _divergent(shape: BackgroundShape, divergence: Mapping[str, Any]) -> str:
    amount = format_uncertain(divergence["value"], divergence["uncertainty"])
    text = f"{format_percent(shape.selection.efficiency)} selected, JSD {amount} nats"
    if shape.fit is None:
        return text
    return f"{text}, no fit" if shape.fit.p is None else f"{text}, fit p {format_toy_p(shape.fit.facts['p'])}"


def _fitted(shapes: Sequence[BackgroundShape]) -> str:
    """What the p-values of a legend are, and why there is none."""
    fits = [one.fit for one in shapes if one.fit is not None]
    families = dict.fromkeys(str(fit.facts["family"]) for fit in fits if fit.p is not None)
    tested = (
        f" p is that of a fit of the search's background function ({', '.join(families)}) to the selected background, "
        "whole spectrum, against the saturated model, from toys."
        if families
        else ""
    )
    reasons = dict.fromkeys(str(fit.facts["reason"]) for fit in fits if fit.p is None)
    return tested + "".join(f" No fit: {reason}" for reason in reasons)


def _spectrum(hunted: Hunted, window: tuple[float, float] | None, label: Label, *, content: str) -> Described:
    background, peak = hunted.summary["bump_hunt"]["background"], hunted.summary["bump_hunt"]
    spectrum = FittedSpectrum(
        hunted.label,
        hunted.spectrum.edges,
        hunted.spectrum.counts,
        fit=hunted.fit["expected"],
        fit_error=hunted.fit["error"],
        signal=hunted.fit["signal"],
        window=window,
        chi2=background["chi2"],
        ndof=background["ndof"],
        p=background["p"],
    )
    bump = peak.get("bumphunter")
    found = ""
    if bump is not None:
        low, high = bump["window"]
        found = (
            f" The BumpHunter's most significant window is {low:g} to {high:g} GeV: {bump['observed']:g} events where "
            f"{bump['expected']:.1f} were expected."
        )
    caption = (
        f"Spectrum of {hunted.identifier} with the background-only fit ({background['family']}), and the best-fit "
        f"resonance at {peak['mass']:g} GeV on top of it. Pulls are (data − fit) over the Garwood error that "
        f"faces the fit, so their squares do not add up to χ².{found}{content}{selected_content(hunted.summary)}"
    )
    return "selections", f"spectrum-{hunted.identifier}", caption, spectrum_figure(spectrum, label=label)


def _scan(hunted: Hunted) -> MassScan:
    result = hunted.summary["bump_hunt"]
    return MassScan(
        hunted.label,
        hunted.scan["masses"],
        hunted.scan["p0"],
        best_mass=result["mass"],
        global_p=result["global_p"],
        global_z=result["global_z"],
    )
