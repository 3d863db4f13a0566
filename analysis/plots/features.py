"""Columns to histograms that can be compared: names with units, common bins, sums of weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.plots.comparison import Comparison, Histogram, Role
from analysis.plots.style import plain

_QUANTITIES = {
    "pt": r"$p_{{T,J_{jet}}}$ [GeV]",
    "eta": r"$\eta_{{J_{jet}}}$",
    "phi": r"$\varphi_{{J_{jet}}}$",
    "m": r"$m_{{J_{jet}}}$ [GeV]",
    "tau1": r"$\tau_{{1}}$ of $J_{jet}$",
    "tau2": r"$\tau_{{2}}$ of $J_{jet}$",
    "tau3": r"$\tau_{{3}}$ of $J_{jet}$",
    "tau21": r"$\tau_{{21}}$ of $J_{jet}$",
    "tau32": r"$\tau_{{32}}$ of $J_{jet}$",
    "nconst": r"Constituents of $J_{jet}$",
}
_OBJECTS = {"b1": "b_1", "b2": "b_2", "light1": "q_1", "light2": "q_2", "lepton": r"\ell"}
_OF_OBJECT = {
    "pt": r"$p_{{T,{name}}}$ [GeV]",
    "eta": r"$\eta_{{{name}}}$",
    "phi": r"$\varphi_{{{name}}}$",
    "m": r"$m_{{{name}}}$ [GeV]",
    "e": r"$E_{{{name}}}$ [GeV]",
    "px": r"$p_{{x,{name}}}$ [GeV]",
    "py": r"$p_{{y,{name}}}$ [GeV]",
    "pz": r"$p_{{z,{name}}}$ [GeV]",
}
_EVENT = {
    "met": r"$p_T^{\mathrm{miss}}$ [GeV]",
    "ht": r"$H_T$ [GeV]",
    "mtt": r"$m_{t\bar{t}}$ (four jets and lepton) [GeV]",
    "mjj": r"$m_{JJ}$ [GeV]",
    "deta": r"$|\Delta\eta_{JJ}|$",
    "met_pt": r"$p_T^{\mathrm{miss}}$ [GeV]",
    "score": "Anomaly score",
}


@dataclass(frozen=True)
class Values:
    """One sample of a quantity: (n,) values, and weights where events do not count 1 each."""

    label: str
    values: np.ndarray
    weights: np.ndarray | None = None
    role: Role = "data"


def axis_label(column: str) -> str:
    """Label of a column's axis, with its unit; an unknown column is its own label.

    >>> axis_label("j1_m")
    '$m_{J_1}$ [GeV]'
    """
    match = re.fullmatch(r"j([12])_(\w+)", column)
    if match and match[2] in _QUANTITIES:
        return _QUANTITIES[match[2]].format(jet=match[1])
    name, _, quantity = column.partition("_")
    if name in _OBJECTS and quantity in _OF_OBJECT:
        return _OF_OBJECT[quantity].format(name=_OBJECTS[name])
    return _EVENT.get(column, plain(column))


def histogram_values(
    x_label: str,
    samples: Sequence[Values],
    *,
    edges: np.ndarray | None = None,
    bins: int = 40,
    coverage: float = 0.99,
    window: tuple[float, float] | None = None,
) -> Comparison:
    """Fill histograms of several samples with common bins.

    Without `edges` the bins cover the central `coverage` of all samples; events outside are not drawn. Values that
    are not finite are left out. The ratio is taken to the first sample with role "simulation", if there is one.
    """
    if edges is None:
        edges = _common_edges(samples, bins, coverage)
    histograms = [_fill(sample, edges) for sample in samples]
    simulation = [index for index, sample in enumerate(samples) if sample.role == "simulation"]
    reference = simulation[0] if simulation and len(samples) > 1 else None
    return Comparison(x_label, edges, histograms, reference, window)


def shape_comparison(
    edges: np.ndarray,
    inclusive: np.ndarray,
    selected: Sequence[tuple[str, np.ndarray]],
    *,
    x_label: str = r"$m_{JJ}$ [GeV]",
    window: tuple[float, float] | None = None,
    variances: Sequence[np.ndarray] | None = None,
) -> Comparison:
    """Compare the shape of selected spectra (label, (n,) counts) with the inclusive one they are subsets of.

    `variances`, of the inclusive one first and (n,) each, are those of weighted events; None for counts.
    """
    given = [None] * (1 + len(selected)) if variances is None else [np.asarray(own, float) for own in variances]
    histograms = [Histogram("Inclusive", np.asarray(inclusive, dtype=float), given[0], role="inclusive")]
    histograms += [
        Histogram(name, np.asarray(counts, dtype=float), own, role="selection")
        for (name, counts), own in zip(selected, given[1:], strict=True)
    ]
    return Comparison(x_label, edges, histograms, 0 if selected else None, window)


def _fill(sample: Values, edges: np.ndarray) -> Histogram:
    values = np.asarray(sample.values, dtype=float)
    fine = np.isfinite(values)
    if sample.weights is None:
        return Histogram(sample.label, np.histogram(values[fine], edges)[0].astype(float), role=sample.role)
    weights = np.asarray(sample.weights, dtype=float)[fine]
    sums = np.histogram(values[fine], edges, weights=weights)[0]
    squares = np.histogram(values[fine], edges, weights=weights**2)[0]
    return Histogram(sample.label, sums, squares, sample.role)


def _common_edges(samples: Sequence[Values], bins: int, coverage: float) -> np.ndarray:
    finite = [np.asarray(s.values, dtype=float)[np.isfinite(s.values)] for s in samples]
    finite = [values for values in finite if len(values)]
    if not finite:
        return np.linspace(0.0, 1.0, bins + 1)
    tail = (1 - coverage) / 2
    low = min(float(np.quantile(values, tail)) for values in finite)
    high = max(float(np.quantile(values, 1 - tail)) for values in finite)
    everything = np.concatenate(finite)
    if np.all(everything == np.round(everything)) and high - low < 20 * bins:
        step = max(1, int(np.ceil((high - low + 1) / bins)))  # whole numbers: each bin holds as many of them
        return np.arange(np.floor(low), np.ceil(high) + step + 1, step) - 0.5
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)
