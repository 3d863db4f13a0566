"""Counts and templates in, p-values and limits out. Knows nothing of detectors or files."""

from stats.binning import resolution_edges, uniform_edges
from stats.bumphunt import BumpHunt, bump_hunt, goodness_outside
from stats.errors import StatisticsError
from stats.families import FAMILIES, dijet, family, orders
from stats.fits import BackgroundFits, SignalFits, effective, fit_background, fit_signal
from stats.functions import BinnedFamily, Family
from stats.goodness import Goodness, OrderChoice, chi2_test, choose_order
from stats.limits import UpperLimit, resonance_limits, upper_limit
from stats.lookelsewhere import GlobalP, binomial_interval, gross_vitells_p, toy_p, toy_scans
from stats.models import Channel, resonance_workspace, window_channel, workspace
from stats.scan import Scan, scan
from stats.signals import CrystalBall, Gaussian, SignalShape, TemplateShape, gaussian_template, gaussian_templates
from stats.spectrum import Spectrum

__all__ = [
    "FAMILIES",
    "BackgroundFits",
    "BinnedFamily",
    "BumpHunt",
    "Channel",
    "CrystalBall",
    "Family",
    "Gaussian",
    "GlobalP",
    "Goodness",
    "OrderChoice",
    "Scan",
    "SignalFits",
    "SignalShape",
    "Spectrum",
    "StatisticsError",
    "TemplateShape",
    "UpperLimit",
    "binomial_interval",
    "bump_hunt",
    "chi2_test",
    "choose_order",
    "dijet",
    "effective",
    "family",
    "fit_background",
    "fit_signal",
    "gaussian_template",
    "gaussian_templates",
    "goodness_outside",
    "gross_vitells_p",
    "orders",
    "resolution_edges",
    "resonance_limits",
    "resonance_workspace",
    "scan",
    "toy_p",
    "toy_scans",
    "uniform_edges",
    "upper_limit",
    "window_channel",
    "workspace",
]
