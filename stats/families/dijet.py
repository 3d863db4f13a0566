"""Functions that fall as powers of x = m/√s: the dijet functions and their relatives. All are log-linear."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stats.errors import StatisticsError
from stats.functions import LogLinearFamily

_POWERS = ("", " ln x", " ln² x", " ln³ x", " ln⁴ x")


def dijet(n_parameters: int, *, sqrt_s: float) -> LogLinearFamily:
    """The dijet functions f = p0 (1−x)^p1 / x^(p2 + p3 ln x + p4 ln² x + p5 ln³ x), x = m/√s, cut after
    3 to 6 parameters.

    With 2 parameters f = p0 / x^p2. Used by CDF (arXiv:0812.4036, equation 1), ATLAS and CMS
    (arXiv:1611.03568, section 5, where the F-test runs over those with 2 to 5 parameters; the sixth continues the row).

    Args:
        n_parameters: 2 to 6.
        sqrt_s: centre-of-mass energy in GeV.
    """
    if n_parameters not in range(2, 7):
        raise StatisticsError(f"The dijet function has 2 to 6 parameters, not {n_parameters}.")
    logs = _log_powers(max(n_parameters - 2, 1), -1.0)
    falling = n_parameters > 2
    numerator = "p0 (1 − x)^p1" if falling else "p0"
    return _in_x(
        f"dijet{n_parameters}",
        ("log_p0", "p1", "p2", "p3", "p4", "p5")[:n_parameters] if falling else ("log_p0", "p2"),
        lambda x: ([np.log1p(-x)] if falling else []) + logs(x),
        formula=f"{numerator} / x^{_exponent(2, max(n_parameters - 2, 1))}",
        source="arXiv:1611.03568, section 5",
        sqrt_s=sqrt_s,
    )


def _exponent(first: int, n_terms: int) -> str:
    terms = " + ".join(f"p{first + k}{_POWERS[k]}" for k in range(n_terms))
    return terms if n_terms == 1 else f"({terms})"


def _log_powers(count: int, sign: float) -> Callable[[np.ndarray], list[np.ndarray]]:
    return lambda x: [sign * np.log(x) ** power for power in range(1, count + 1)]


def _in_x(
    name: str,
    names: tuple[str, ...],
    terms: Callable[[np.ndarray], Sequence[np.ndarray]],
    *,
    formula: str,
    source: str,
    sqrt_s: float,
) -> LogLinearFamily:
    """A log-linear family of x = m/√s whose first term is the normalisation."""
    if not (np.isfinite(sqrt_s) and sqrt_s > 0):
        raise StatisticsError(f"sqrt_s must be a positive energy in GeV, got {sqrt_s!r}.")
    return LogLinearFamily(
        name=name,
        parameter_names=names,
        domain=(0.0, float(sqrt_s)),
        formula=f"{formula}, x = m/√s",
        source=source,
        terms=lambda mass: np.stack([np.ones_like(mass), *terms(mass / sqrt_s)], axis=-1),
    )
