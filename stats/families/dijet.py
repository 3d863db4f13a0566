"""Functions that fall as powers of x = m/√s: the dijet functions and their relatives. All are log-linear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral

import numpy as np

from stats.errors import StatisticsError
from stats.functions import LogLinearFamily
from stats.values import positive

_POWERS = ("", " ln x", " ln² x", " ln³ x", " ln⁴ x")


def dijet(n_parameters: int, *, sqrt_s: float) -> LogLinearFamily:
    """The dijet functions f = p0 (1−x)^p1 / x^(p2 + p3 ln x + p4 ln² x + p5 ln³ x), x = m/√s, cut after
    3 to 6 parameters.

    With 2 parameters f = p0 / x^p2. Used by CDF (arXiv:0812.4036), ATLAS and CMS (arXiv:1611.03568); the sixth
    parameter continues the row.

    Args:
        n_parameters: 2 to 6.
        sqrt_s: centre-of-mass energy in GeV.
    """
    _check_order("dijet", n_parameters, range(2, 7))
    logs = _log_powers(max(n_parameters - 2, 1), -1.0)
    falling = n_parameters > 2
    numerator = "p0 (1 − x)^p1" if falling else "p0"
    return _in_x(
        f"dijet{n_parameters}",
        ("log_p0", "p1", "p2", "p3", "p4", "p5")[:n_parameters] if falling else ("log_p0", "p2"),
        lambda x: ([np.log1p(-x)] if falling else []) + logs(x),
        formula=f"{numerator} / x^{_exponent(2, max(n_parameters - 2, 1))}",
        source="arXiv:1611.03568",
        sqrt_s=sqrt_s,
    )


def atlas(n_parameters: int, *, sqrt_s: float) -> LogLinearFamily:
    """f = p1 (1−x)^p2 x^(p3 + p4 ln x + p5 ln² x), cut after 3 to 5 parameters: the dijet function.

    In the letters of ATLAS, arXiv:1407.1376 (four parameters) and arXiv:1910.08447.

    Args:
        n_parameters: 3 to 5.
        sqrt_s: centre-of-mass energy in GeV.
    """
    _check_order("ATLAS", n_parameters, range(3, 6))
    logs = _log_powers(n_parameters - 2, 1.0)
    return _in_x(
        f"atlas{n_parameters}",
        ("log_p1", "p2", "p3", "p4", "p5")[:n_parameters],
        lambda x: [np.log1p(-x), *logs(x)],
        formula=f"p1 (1 − x)^p2 x^{_exponent(3, n_parameters - 2)}",
        source="arXiv:1407.1376; arXiv:1910.08447",
        sqrt_s=sqrt_s,
    )


def diphoton(n_parameters: int, *, sqrt_s: float) -> LogLinearFamily:
    """f = N (1−x^(1/3))^b x^(a0 + a1 ln x + a2 ln² x), cut after 3, 4 or 5 parameters.

    ATLAS's background of high-mass diphoton resonances (arXiv:1606.03833).

    Args:
        n_parameters: 3 to 5.
        sqrt_s: centre-of-mass energy in GeV.
    """
    _check_order("diphoton", n_parameters, range(3, 6))
    count = n_parameters - 2
    logs = _log_powers(count, 1.0)
    exponent = " + ".join(f"a{k}{_POWERS[k]}" for k in range(count))
    return _in_x(
        f"diphoton{n_parameters}",
        ("log_N", "b", "a0", "a1", "a2")[:n_parameters],
        lambda x: [np.log1p(-np.cbrt(x)), *logs(x)],
        formula=f"N (1 − x^(1/3))^b x^({exponent})",
        source="arXiv:1606.03833",
        sqrt_s=sqrt_s,
    )


def ua2(n_parameters: int, *, sqrt_s: float) -> LogLinearFamily:
    """f = p0 x^(−p1) exp(−p2 x − p3 x²), cut after 2, 3 or 4 parameters.

    Of UA2's dijet mass spectrum (Z. Phys. C 49 (1991) 17), since then the usual alternative to the dijet function.

    Args:
        n_parameters: 2 to 4.
        sqrt_s: centre-of-mass energy in GeV.
    """
    _check_order("UA2", n_parameters, range(2, 5))
    exponent = ("", " exp(−p2 x)", " exp(−p2 x − p3 x²)")[n_parameters - 2]
    return _in_x(
        f"ua2_{n_parameters}",
        ("log_p0", "p1", "p2", "p3")[:n_parameters],
        lambda x: [-np.log(x), -x, -(x**2)][: n_parameters - 1],
        formula=f"p0 x^(−p1){exponent}",
        source="Z. Phys. C 49 (1991) 17",
        sqrt_s=sqrt_s,
    )


def _check_order(name: str, n_parameters: int, allowed: range) -> None:
    if not isinstance(n_parameters, Integral) or n_parameters not in allowed:
        raise StatisticsError(
            f"The {name} function has {allowed.start} to {allowed.stop - 1} parameters, not {n_parameters!r}."
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
    energy = positive(sqrt_s, "sqrt_s must be a positive energy in GeV")
    return LogLinearFamily(
        name=name,
        parameter_names=names,
        domain=(0.0, energy),
        formula=f"{formula}, x = m/√s",
        source=source,
        terms=lambda mass: np.stack([np.ones_like(mass), *terms(mass / energy)], axis=-1),
    )
