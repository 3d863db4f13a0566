"""Figures of what an autoencoder makes of jets: 4 to 7, 16 and 17 of arXiv:2007.01850."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm, spearmanr

from analysis.context import SearchRun
from analysis.numbers import format_count, format_number
from analysis.plots import Comparison, Label, Values, comparison_figure, histogram_values
from analysis.plots.average_images import AverageImages, average_images_figure
from analysis.plots.comparison import Histogram
from analysis.plots.correlations import Pair, correlation_figure
from analysis.plots.embedding import Embedding, embedding_figure
from analysis.stages.jet_examined import BINS, FEATURE_EDGES, IMAGE_HALF_WIDTH, QUANTITIES, Examined, examined
from analysis.stages.jet_samples import BACKGROUND, settings_of
from ml.dependence import distance_correlation
from ml.jet_inputs import COMPONENTS

Described = tuple[str, str, str, object]
SECTION = "jets_examined"
LABELS = {"pt": r"$p_{T,J}$ of the constituents [GeV]", "mass": r"$m_J$ of the constituents [GeV]"}
_COMPONENTS = {"E": "E", "px": "p_x", "py": "p_y", "pz": "p_z"}


def jet_examined_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) of every network that is examined, and of all latent spaces together."""
    found = list(examined(run).values())
    for one in found:
        yield _spectra(one, "reconstructed", label)
        yield _spectra(one, "generated", label)
        yield _features(one, label)
        yield _images(one, label)
        yield _correlations(one, label)
    if found:
        yield _embedded(run, found, label)


def _spectra(one: Examined, kind: str, label: Label) -> Described:
    """Figures 4, 6 and 16: pT and mass."""
    grid = []
    for name in QUANTITIES:
        values = [one.arrays[f"{which}:{name}"] for which in ("input", kind)]
        low, high = np.quantile(values[0], (0.0, 0.99))
        samples = [
            Values("QCD jets", values[0], None, "simulation"),
            Values(kind.title(), values[1], None, "reweighted"),
        ]
        grid.append(histogram_values(LABELS[name], samples, edges=np.linspace(low, high, BINS + 1)))
    distances = "; ".join(
        f"{'pT' if name == 'pt' else name}: {format_number(there[kind]['wasserstein'])} GeV, "
        f"{format_number(100 * there[kind]['relative'])}% of the mean "
        f"({format_number(there['halves']['wasserstein'])} GeV between two halves of the input)"
        for name, there in one.distances.items()
    )
    what = "reconstructed by" if kind == "reconstructed" else "generated from the prior by"
    caption = (
        f"Jets {what} {one.name} (β = {one.beta:g}), beside {format_count(len(one.arrays['jet_mass']))} QCD jets that "
        f"it was not trained on, each normalised to its own area. Wasserstein distances – {distances}."
    )
    return SECTION, f"jet-{kind}-{one.name}", caption, comparison_figure(grid, columns=2, label=label)


def _features(one: Examined, label: Label) -> Described:
    """Figure 5, left: standardised features against the unit Gaussian."""
    gaussian = np.diff(norm.cdf(FEATURE_EDGES))
    grid = []
    for name in COMPONENTS:
        counts = {kind: one.arrays[f"{kind}:{name}"] for kind in ("input", "generated")}
        histograms = [
            Histogram("QCD jets", counts["input"], role="simulation"),
            Histogram("Generated", counts["generated"], role="reweighted"),
            Histogram("Unit Gaussian", gaussian * counts["input"].sum(), np.zeros_like(gaussian), role="inclusive"),
        ]
        x_label = f"${_COMPONENTS[name]}$ of constituents, standardised"
        grid.append(Comparison(x_label, FEATURE_EDGES, histograms))
    caption = (
        f"What {one.name} sees and generates: components of the four-momenta of all constituents, each standardised by "
        "its mean and width over the training jets, beside the unit Gaussian, which they resemble in no more than mean "
        "and width."
    )
    return SECTION, f"jet-features-{one.name}", caption, comparison_figure(grid, columns=2, log=True, label=label)


def _images(one: Examined, label: Label) -> Described:
    """Figure 5, right."""
    count = len(one.arrays["jet_mass"])
    short = replace(label, sqrt_s=None)  # the panels are narrow
    groups = [
        AverageImages(kind.title() if kind != "input" else "QCD jets", [one.arrays[f"{kind}:image"]], [count])
        for kind in ("input", "reconstructed", "generated")
    ]
    caption = (
        f"Mean images of QCD jets, of {one.name}'s reconstructions of them and of jets that it generated: each "
        "constituent with its share of the jet's transverse momentum."
    )
    figure = average_images_figure(
        groups, objects=["Constituents"], half_width=IMAGE_HALF_WIDTH, rotated=False, label=short
    )
    return SECTION, f"jet-images-{one.name}", caption, figure


def _correlations(one: Examined, label: Label) -> Described:
    """Figure 7, the first three."""
    mass, mse, kl = (one.arrays[name].astype(np.float64) for name in ("jet_mass", "mse", "kl"))
    names = {"mass": r"$m_J$ [GeV]", "mse": "Mean squared error", "kl": "KL divergence / latent dimensions [nats]"}
    pairs = [
        _pair(names["mass"], names["mse"], mass, mse),
        _pair(names["mse"], names["kl"], mse, kl),
        _pair(names["mass"], names["kl"], mass, kl),
    ]
    caption = (
        f"How the parts of {one.name}'s score (β = {one.beta:g}) depend on the mass of QCD jets and on each other; "
        "dCor is the distance correlation, ρ Spearman's. The most extreme half percent of each lies outside."
    )
    return SECTION, f"jet-correlations-{one.name}", caption, correlation_figure(pairs, label=label)


def _pair(x_label: str, y_label: str, x: np.ndarray, y: np.ndarray) -> Pair:
    rank = float(spearmanr(x, y).statistic)
    return Pair(x_label, y_label, x, y, f"dCor = {distance_correlation(x, y):.2f}, $\\rho$ = {rank:.2f}")


def _embedded(run: SearchRun, found: Sequence[Examined], label: Label) -> Described:
    """Figure 7, the last, and figure 17."""
    settings = settings_of(run)
    titles = {BACKGROUND: "QCD"} | {name: one.title for name, one in settings.jets.items()}
    places = [
        {titles[name.split(":", 1)[1]]: values for name, values in one.arrays.items() if name.startswith("embedded:")}
        for one in found
    ]
    panels = [Embedding(f"{one.name}, β = {one.beta:g}", of_one) for one, of_one in zip(found, places, strict=True)]
    counts = ", ".join(f"{format_count(len(values))} {name}" for name, values in places[0].items())
    assert settings.examined is not None
    caption = (
        f"Latent means of jets ({counts}) in two dimensions by t-SNE (perplexity {settings.examined.perplexity:g}). "
        "Distances between far points and the axes mean nothing."
    )
    return SECTION, "jet-embedding", caption, embedding_figure(panels, label=label)
