"""Background in a region selected by two scores, from the regions that one or both of them reject."""

from stats.abcd.closure import ClosureCheck, Dependence, closure_checks, dependence
from stats.abcd.coefficients import Correlation, correlation
from stats.abcd.counting import CountingEstimate, counting_estimate, tag_n_train
from stats.abcd.discovery import AbcdDiscovery, abcd_discovery
from stats.abcd.likelihood import abcd_workspace, fitted_background, with_region_a
from stats.abcd.plane import Plane, count_plane, plane_of, strips
from stats.abcd.regions import (
    RegionEstimate,
    Regions,
    estimate,
    even_strips,
    extended_estimate,
    extended_regions,
    plain_estimate,
    plain_regions,
)
from stats.abcd.shares import SignalShares, shares_of, signal_shares
from stats.abcd.significance import Significance, excess_significance, expected_significance
from stats.abcd.toys import ToyClosure, toy_closure
from stats.abcd.truth import TrueClosure, beyond_tolerance, is_doubtful, true_closure

__all__ = [
    "AbcdDiscovery",
    "ClosureCheck",
    "Correlation",
    "CountingEstimate",
    "Dependence",
    "Plane",
    "RegionEstimate",
    "Regions",
    "SignalShares",
    "Significance",
    "ToyClosure",
    "TrueClosure",
    "abcd_discovery",
    "abcd_workspace",
    "beyond_tolerance",
    "closure_checks",
    "correlation",
    "count_plane",
    "counting_estimate",
    "dependence",
    "estimate",
    "even_strips",
    "excess_significance",
    "expected_significance",
    "extended_estimate",
    "extended_regions",
    "fitted_background",
    "is_doubtful",
    "plain_estimate",
    "plain_regions",
    "plane_of",
    "shares_of",
    "signal_shares",
    "strips",
    "tag_n_train",
    "toy_closure",
    "true_closure",
    "with_region_a",
]
