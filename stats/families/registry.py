"""Which background functions there are: a family by its name and number of parameters."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType

from stats.errors import StatisticsError
from stats.families.dijet import atlas, dijet, diphoton, ua2
from stats.families.exponentials import modified_exponential
from stats.families.polynomials import bernstein, checked_range, exponential_polynomial, polynomial
from stats.functions import Family
from stats.values import positive


@dataclass(frozen=True)
class Recipe:
    """How a name becomes a family.

    Attributes:
        orders: numbers of parameters it exists with, each nested in the next.
        build: (n_parameters, √s in GeV, lowest and highest edge in GeV) to the family.
        description: a line for people who choose.
    """

    orders: tuple[int, ...]
    build: Callable[[int, float, tuple[float, float]], Family]
    description: str


FAMILIES: Mapping[str, Recipe] = MappingProxyType(
    {
        "dijet": Recipe(
            (2, 3, 4, 5, 6),
            lambda n, sqrt_s, _: dijet(n, sqrt_s=sqrt_s),
            "p0 (1 − x)^p1 / x^(p2 + p3 ln x + …), x = m/√s",
        ),
        "atlas": Recipe(
            (3, 4, 5),
            lambda n, sqrt_s, _: atlas(n, sqrt_s=sqrt_s),
            "p1 (1 − x)^p2 x^(p3 + p4 ln x + …): the dijet function in ATLAS's letters",
        ),
        "diphoton": Recipe(
            (3, 4, 5),
            lambda n, sqrt_s, _: diphoton(n, sqrt_s=sqrt_s),
            "N (1 − x^(1/3))^b x^(a0 + a1 ln x + …)",
        ),
        "ua2": Recipe((2, 3, 4), lambda n, sqrt_s, _: ua2(n, sqrt_s=sqrt_s), "p0 x^(−p1) exp(−p2 x − p3 x²)"),
        "exponential_polynomial": Recipe(
            (2, 3, 4, 5, 6, 7),
            lambda n, _, mass_range: exponential_polynomial(n, mass_range=mass_range),
            "exp(c0 + c1 t + …), t from −1 to 1 over the spectrum",
        ),
        "polynomial": Recipe(
            (2, 3, 4, 5, 6, 7),
            lambda n, _, mass_range: polynomial(n, mass_range=mass_range),
            "c0 + c1 t + …, positive in every bin",
        ),
        "bernstein": Recipe(
            (2, 3, 4, 5, 6, 7),
            lambda n, _, mass_range: bernstein(n, mass_range=mass_range),
            "Bernstein polynomial with coefficients ≥ 0",
        ),
        "modified_exponential": Recipe(
            (2, 3),
            lambda n, _, mass_range: modified_exponential(n, mass_range=mass_range),
            "p0 exp(−a (y^b − 1)/b), y = m/m0: p0 exp(p1 m^p2)",
        ),
    }
)


def orders(name: str) -> tuple[int, ...]:
    """Numbers of parameters a family exists with, rising; StatisticsError for a name that is none."""
    return _recipe(name).orders


def family(name: str, n_parameters: int, *, sqrt_s: float, mass_range: tuple[float, float]) -> Family:
    """A background family.

    Args:
        name: one of ``FAMILIES``.
        n_parameters: one of ``orders(name)``, normalisation included.
        sqrt_s: centre-of-mass energy in GeV.
        mass_range: lowest and highest edge of the spectrum in GeV, on which polynomials are laid out.

    Raises:
        StatisticsError: for an unknown name (with the nearest one) or order (with those allowed), or an energy or
            range that is none.
    """
    recipe = _recipe(name)
    if not isinstance(n_parameters, Integral) or n_parameters not in recipe.orders:
        allowed = ", ".join(str(order) for order in recipe.orders)
        raise StatisticsError(
            f"The {name} family, {recipe.description}, exists with {allowed} parameters, not with {n_parameters!r}."
        )
    energy = positive(sqrt_s, "sqrt_s must be a positive energy in GeV")
    return recipe.build(int(n_parameters), energy, checked_range(mass_range))


def _recipe(name: str) -> Recipe:
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    near = difflib.get_close_matches(str(name), FAMILIES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise StatisticsError(f"There is no background family {name!r}: {hint}Known are {', '.join(FAMILIES)}.")
