"""Every figure of a search: plain arrays in, matplotlib figures out.

No function here opens a window, touches pyplot's state or leaves a changed setting behind; `save` writes PNG and PDF.
"""

from analysis.plots.comparison import Comparison, Histogram, comparison_figure
from analysis.plots.features import Values, axis_label, histogram_values, shape_comparison
from analysis.plots.intervals import garwood_errors, garwood_pulls
from analysis.plots.limits import LimitPoint, brazil_figure
from analysis.plots.roc import RocCurve, roc_figure, sic_figure
from analysis.plots.saving import save
from analysis.plots.scans import MassScan, p0_figure
from analysis.plots.scores import Profile, mean_profile, profile_figure
from analysis.plots.spectra import FittedSpectrum, spectrum_figure
from analysis.plots.style import Label

__all__ = [
    "Comparison",
    "FittedSpectrum",
    "Histogram",
    "Label",
    "LimitPoint",
    "MassScan",
    "Profile",
    "RocCurve",
    "Values",
    "axis_label",
    "brazil_figure",
    "comparison_figure",
    "garwood_errors",
    "garwood_pulls",
    "histogram_values",
    "mean_profile",
    "p0_figure",
    "profile_figure",
    "roc_figure",
    "save",
    "shape_comparison",
    "sic_figure",
    "spectrum_figure",
]
