"""Simulated signals as the processor's variations move them: jet energy scale or resolution up and down."""

from __future__ import annotations

from functools import partial

import numpy as np

from analysis.context import SearchRun
from analysis.settings import NOMINAL
from analysis.stages.process import processed
from analysis.stages.selections import edges_of
from stats import ShapeVariation, Systematic


def varied_shapes(run: SearchRun, signal: str) -> list[Systematic]:
    """Return one shape uncertainty (``histosys``) per entry of `limits.systematics.variations`.

    Events move in mass and across the cuts; all are counted against those of the nominal sample in the spectrum.
    Raises StageError where the signal was processed without the variations, StatisticsError where no event is left.
    """
    limits = run.search.limits
    asked = limits.systematics.variations if limits is not None else {}
    return [run.once(f"{name} of {signal}", partial(_varied, run, signal, name, *pair)) for name, pair in asked.items()]


def _varied(run: SearchRun, signal: str, name: str, up: str, down: str) -> Systematic:
    nominal, *varied = (_spectrum(run, signal, variation) for variation in (NOMINAL, up, down))
    return ShapeVariation.from_histograms(name, nominal, *varied)


def _spectrum(run: SearchRun, signal: str, variation: str) -> np.ndarray:
    """Return the sum of weights in each bin of the spectrum."""
    assert run.search.spectrum is not None
    events = processed(run, signal).events([], variation=variation)
    return np.histogram(events["mjj"], edges_of(run.search.spectrum), weights=events["weight"])[0]
