"""Counts and templates in, p-values and limits out. Knows nothing of detectors or files."""

from stats.abcd import abcd_workspace, closure_checks, count_plane, extended_estimate, plain_estimate, tag_n_train
from stats.binning import resolution_edges, uniform_edges
from stats.bumphunt import bump_hunt, goodness_outside
from stats.bumphunter import Bump, BumpHunter
from stats.combination import Combination, combine_hunts
from stats.crosssections import CrossSections, cross_sections, in_fb
from stats.disjoint import disjoint_spectra, require_disjoint
from stats.efficiency import CrossSection, Efficiency, InjectedEfficiency
from stats.errors import StatisticsError
from stats.families import FAMILIES, dijet, family, orders
from stats.fits import BackgroundFits, SignalFits, effective, fit_background, fit_signal
from stats.functions import BinnedFamily, Family
from stats.goodness import Goodness, OrderChoice, chi2_test, choose_order
from stats.huntresult import BumpHunt
from stats.impacts import Impact, Impacts, impacts
from stats.limits import UpperLimit, resonance_limits, upper_limit
from stats.lookelsewhere import GlobalP, binomial_interval, gross_vitells_p, toy_p
from stats.models import Channel, resonance_channel, resonance_workspace, window_channel, workspace
from stats.nllscan import NllScan, nll_scan
from stats.overlaps import Overlap
from stats.profiling import Nuisance, PostFit, Pulls, pulls
from stats.scan import Scan, scan
from stats.signals import CrystalBall, Gaussian, SignalShape, TemplateShape, gaussian_template
from stats.simple import SimpleLimit, counting_limit, counting_workspace, simple_limit
from stats.spectrum import Spectrum
from stats.systematics import (
    EnergyScale,
    Luminosity,
    Normalisation,
    Resolution,
    ShapeVariation,
    Systematic,
    TemplateStatistics,
)
from stats.templates import template_workspace
from stats.teststatistics import StatisticToys, statistic_toys
from stats.toydiscovery import ToyDiscovery, toy_discovery
from stats.toys import ToyLimit, toy_limit
from stats.validation import (
    BiasMatrix,
    InjectionTest,
    SaturatedTest,
    SpuriousSignal,
    bias_matrix,
    injection_test,
    saturated_test,
    spurious_signal,
)

__all__ = [
    "FAMILIES",
    "BackgroundFits",
    "BiasMatrix",
    "BinnedFamily",
    "Bump",
    "BumpHunt",
    "BumpHunter",
    "Channel",
    "Combination",
    "CrossSection",
    "CrossSections",
    "CrystalBall",
    "Efficiency",
    "EnergyScale",
    "Family",
    "Gaussian",
    "GlobalP",
    "Goodness",
    "Impact",
    "Impacts",
    "InjectedEfficiency",
    "InjectionTest",
    "Luminosity",
    "NllScan",
    "Normalisation",
    "Nuisance",
    "OrderChoice",
    "Overlap",
    "PostFit",
    "Pulls",
    "Resolution",
    "SaturatedTest",
    "Scan",
    "ShapeVariation",
    "SignalFits",
    "SignalShape",
    "SimpleLimit",
    "Spectrum",
    "SpuriousSignal",
    "StatisticToys",
    "StatisticsError",
    "Systematic",
    "TemplateShape",
    "TemplateStatistics",
    "ToyDiscovery",
    "ToyLimit",
    "UpperLimit",
    "abcd_workspace",
    "bias_matrix",
    "binomial_interval",
    "bump_hunt",
    "chi2_test",
    "choose_order",
    "closure_checks",
    "combine_hunts",
    "count_plane",
    "counting_limit",
    "counting_workspace",
    "cross_sections",
    "dijet",
    "disjoint_spectra",
    "effective",
    "extended_estimate",
    "family",
    "fit_background",
    "fit_signal",
    "gaussian_template",
    "goodness_outside",
    "gross_vitells_p",
    "impacts",
    "in_fb",
    "injection_test",
    "nll_scan",
    "orders",
    "plain_estimate",
    "pulls",
    "require_disjoint",
    "resolution_edges",
    "resonance_channel",
    "resonance_limits",
    "resonance_workspace",
    "saturated_test",
    "scan",
    "simple_limit",
    "spurious_signal",
    "statistic_toys",
    "tag_n_train",
    "template_workspace",
    "toy_discovery",
    "toy_limit",
    "toy_p",
    "uniform_edges",
    "upper_limit",
    "window_channel",
    "workspace",
]
