"""Sums of floats that do not depend on the order of addition.

Floating-point addition is not associative, so histograms filled in chunks differ in their last digits from one
chunking or executor to another. Sums here are integers in units of 2^-1126, which every float64 is a multiple of:
adding them is exact, and one correct rounding at the end gives the same bits for any order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MANTISSA_BITS = 53
_LOW_BITS = 27
_SMALLEST_EXPONENT = -1073  # of the smallest positive float64, as numpy.frexp gives it
_UNIT = 1 << (_MANTISSA_BITS - _SMALLEST_EXPONENT)


def exact_sums(values: npt.ArrayLike, bins: npt.NDArray[np.integer], n_bins: int) -> npt.NDArray[np.object_]:
    """Exact sum of the values in each bin, (n_bins,) Python integers in units of 2^-1126.

    ``values`` are finite float64, ``bins`` their bin numbers in [0, n_bins); up to 2^26 values at a time.
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    whole = (mantissa * 2.0**_MANTISSA_BITS).astype(np.int64)
    high, low = whole >> _LOW_BITS, whole & ((1 << _LOW_BITS) - 1)
    totals = np.zeros(n_bins, dtype=object)
    for power in np.unique(exponent):
        chosen = exponent == power
        # both halves are below 2^27, so that these float sums are exact
        sums = [np.bincount(bins[chosen], weights=half[chosen], minlength=n_bins) for half in (high, low)]
        for index in np.flatnonzero((sums[0] != 0) | (sums[1] != 0)):
            total = (int(sums[0][index]) << _LOW_BITS) + int(sums[1][index])
            totals[index] += total << (int(power) - _SMALLEST_EXPONENT)
    return totals


def exact_sum(values: npt.ArrayLike) -> int:
    """Exact sum of all values, a Python integer in units of 2^-1126."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return int(exact_sums(array, np.zeros(len(array), dtype=np.intp), 1)[0])


def to_float(total: int) -> float:
    """The float64 nearest to an exact sum."""
    return total / _UNIT


def to_floats(totals: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """The float64 nearest to each of several exact sums."""
    return np.array([to_float(int(total)) for total in totals], dtype=np.float64)
