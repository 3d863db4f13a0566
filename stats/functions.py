"""Smooth background families, log-linear in their parameters, and their integrals over bins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stats.errors import StatisticsError

CENTRE = 1  # quadrature nodes that make a bin its centre times its width


@dataclass(frozen=True)
class Family:
    """A density dN/dm = exp(Σ_k θ_k φ_k(m)), in events per GeV.

    Attributes:
        name: how results call it.
        parameter_names: of θ, in order; the first is the logarithm of the normalisation.
        terms: m in GeV, any shape, to φ with one more axis of length ``n_parameters``; also ∂log f/∂θ.
        domain: masses in GeV, open interval, on which the function is defined.
        formula, source: in the paper's letters, and the paper.
    """

    name: str
    parameter_names: tuple[str, ...]
    terms: Callable[[np.ndarray], np.ndarray]
    domain: tuple[float, float]
    formula: str
    source: str

    @property
    def n_parameters(self) -> int:
        """Number of parameters, normalisation included."""
        return len(self.parameter_names)

    def density(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Events per GeV at ``mass`` (GeV)."""
        return np.exp(self.terms(np.asarray(mass, dtype=float)) @ parameters)


def dijet(n_parameters: int, *, sqrt_s: float) -> Family:
    """The dijet functions f = p0 (1−x)^p1 / x^(p2 + p3 ln x + p4 ln² x), x = m/√s, cut after 3, 4 or 5 parameters.

    With 2 parameters f = p0 / x^p2. Used by CDF (arXiv:0812.4036, equation 1), ATLAS and CMS
    (arXiv:1611.03568, section 5, where the F-test runs over the same four).

    Args:
        n_parameters: 2 to 5.
        sqrt_s: centre-of-mass energy in GeV.
    """
    if n_parameters not in (2, 3, 4, 5):
        raise StatisticsError(f"The dijet function has 2 to 5 parameters, not {n_parameters}.")
    if not (np.isfinite(sqrt_s) and sqrt_s > 0):
        raise StatisticsError(f"sqrt_s must be a positive energy in GeV, got {sqrt_s!r}.")

    def terms(mass: np.ndarray) -> np.ndarray:
        x = mass / sqrt_s
        log_x = np.log(x)
        columns = [np.ones_like(x), -log_x] if n_parameters == 2 else [np.ones_like(x), np.log1p(-x), -log_x]
        columns += [-(log_x**power) for power in range(2, n_parameters - 1)]
        return np.stack(columns, axis=-1)

    names = ("log_p0", "p2") if n_parameters == 2 else ("log_p0", "p1", "p2", "p3", "p4")[:n_parameters]
    exponent = {2: "p2", 3: "p2", 4: "(p2 + p3 ln x)", 5: "(p2 + p3 ln x + p4 ln² x)"}[n_parameters]
    numerator = "p0" if n_parameters == 2 else "p0 (1 − x)^p1"
    return Family(
        name=f"dijet{n_parameters}",
        parameter_names=names,
        terms=terms,
        domain=(0.0, sqrt_s),
        formula=f"{numerator} / x^{exponent}, x = m/√s",
        source="arXiv:1611.03568, section 5",
    )


@dataclass(frozen=True)
class LogLinear:
    """Expected events exp(offset + design · θ): what a batched fit solves.

    Attributes:
        design: shape (n_bins, n_parameters).
        offset: shape (n_bins,).
    """

    design: np.ndarray
    offset: np.ndarray

    def expected(self, parameters: np.ndarray) -> np.ndarray:
        """Events per bin; (…, n_parameters) to (…, n_bins)."""
        return np.exp(self.offset + parameters @ self.design.T)


class BinnedFamily:
    """A family integrated over bins by Gauss–Legendre quadrature.

    E_i(θ) = Σ_q w_iq exp(φ(m_iq)·θ). Its logarithm is nearly linear in θ: the second derivative is the variance of φ
    inside a bin. ``linearise`` expands it about a reference, exact there; elsewhere the relative error is half the
    variance, inside the bin, of the log-ratio of the two functions (10⁻⁵ over the statistical fluctuations of a
    spectrum). With one node (``CENTRE``) a bin is its centre times its width and the expansion is exact everywhere.

    Args:
        family: the density.
        edges: bin edges in GeV inside the family's domain.
        nodes: quadrature nodes per bin.
    """

    def __init__(self, family: Family, edges: np.ndarray, *, nodes: int = 5) -> None:
        edges = np.asarray(edges, dtype=float)
        low, high = family.domain
        if not (edges[0] > low and edges[-1] < high):
            raise StatisticsError(
                f"{family.name} is defined between {low:g} and {high:g} GeV, "
                f"the bins span {edges[0]:g} to {edges[-1]:g} GeV."
            )
        if edges.size - 1 <= family.n_parameters:
            raise StatisticsError(
                f"{edges.size - 1} bins cannot test {family.name} with its {family.n_parameters} parameters: "
                "use more bins."
            )
        positions, weights = np.polynomial.legendre.leggauss(nodes)
        half = 0.5 * np.diff(edges)[:, None]
        self.family = family
        self.edges = edges
        self._terms = family.terms(0.5 * (edges[1:] + edges[:-1])[:, None] + half * positions)
        self._weights = half * weights

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the family."""
        return self.family.n_parameters

    def expected(self, parameters: np.ndarray) -> np.ndarray:
        """Events per bin; (…, n_parameters) to (…, n_bins)."""
        exponents = np.einsum("nqp,...p->...nq", self._terms, parameters)
        return np.einsum("nq,...nq->...n", self._weights, np.exp(exponents))

    def log_gradient(self, parameters: np.ndarray) -> np.ndarray:
        """∂ log E_i / ∂θ_k at one point θ, shape (n_bins, n_parameters)."""
        parts = self._weights * np.exp(self._terms @ parameters)
        return np.einsum("nq,nqp->np", parts, self._terms) / parts.sum(axis=1, keepdims=True)

    def linearise(self, parameters: np.ndarray) -> LogLinear:
        """The log-linear model that agrees with this one, and with its gradient, at ``parameters``."""
        design = self.log_gradient(parameters)
        return LogLinear(design, np.log(self.expected(parameters)) - design @ parameters)

    def middle(self) -> LogLinear:
        """The log-linear model of bin-averaged terms, for a first fit that knows no parameters yet."""
        width = self._weights.sum(axis=1)
        return LogLinear(np.einsum("nq,nqp->np", self._weights, self._terms) / width[:, None], np.log(width))
