"""Every figure of a search: plain arrays in, matplotlib figures out.

No function here opens a window, touches pyplot's state or leaves a changed setting behind; `save` writes PNG and PDF.
"""

from analysis.plots.comparison import Comparison, Histogram, comparison_figure
from analysis.plots.features import Values, axis_label, histogram_values, shape_comparison
from analysis.plots.goodness import OrderSteps, ToyStatistic, goodness_figure, order_figure
from analysis.plots.injections import InjectedSignals, SpuriousScan, injection_figure, spurious_figure
from analysis.plots.intervals import garwood_errors, garwood_pulls
from analysis.plots.limits import LimitPoint, brazil_figure
from analysis.plots.profiling import LikelihoodScan, RankedNuisance, nll_figure, ranking_figure
from analysis.plots.roc import RocCurve, roc_figure, sic_figure
from analysis.plots.saving import save
from analysis.plots.scans import MassScan, p0_figure
from analysis.plots.scores import Profile, mean_profile, profile_figure
from analysis.plots.spectra import FittedSpectrum, spectrum_figure
from analysis.plots.style import Label
from analysis.plots.validation import BiasTable, bias_figure
from analysis.plots.windows import SlidingScan, WindowScan, window_figure

__all__ = [
    "BiasTable",
    "Comparison",
    "FittedSpectrum",
    "Histogram",
    "InjectedSignals",
    "Label",
    "LikelihoodScan",
    "LimitPoint",
    "MassScan",
    "OrderSteps",
    "Profile",
    "RankedNuisance",
    "RocCurve",
    "SlidingScan",
    "SpuriousScan",
    "ToyStatistic",
    "Values",
    "WindowScan",
    "axis_label",
    "bias_figure",
    "brazil_figure",
    "comparison_figure",
    "garwood_errors",
    "garwood_pulls",
    "goodness_figure",
    "histogram_values",
    "injection_figure",
    "mean_profile",
    "nll_figure",
    "order_figure",
    "p0_figure",
    "profile_figure",
    "ranking_figure",
    "roc_figure",
    "save",
    "shape_comparison",
    "sic_figure",
    "spectrum_figure",
    "spurious_figure",
    "window_figure",
]
