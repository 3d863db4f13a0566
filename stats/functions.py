"""Smooth background families (log-linear, linear or neither in their parameters) and their integrals over bins."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stats.errors import StatisticsError
from stats.values import as_floats

CENTRE = 1  # quadrature nodes that make a bin its centre times its width
LEAST_EVENTS = 1e-290  # keeps logarithmic derivatives of empty bins finite


@dataclass(frozen=True)
class Family(abc.ABC):
    """A density dN/dm = f(m; θ), in events per GeV.

    Attributes:
        name: how results call it.
        parameter_names: of θ, in order.
        domain: masses in GeV, open interval, on which the function is defined.
        formula, source: in the paper's letters, and the paper.
    """

    name: str
    parameter_names: tuple[str, ...]
    domain: tuple[float, float]
    formula: str
    source: str

    @property
    def n_parameters(self) -> int:
        """Number of parameters, normalisation included."""
        return len(self.parameter_names)

    @abc.abstractmethod
    def density(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Events per GeV at ``mass`` (GeV, any shape) for θ of shape (…, p); shape (…, *mass.shape)."""

    @abc.abstractmethod
    def log_derivatives(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """∂ log f/∂θ_k, shape (…, *mass.shape, p)."""


@dataclass(frozen=True)
class LogLinearFamily(Family):
    """f = exp(Σ_k θ_k φ_k(m)); θ₀ is the logarithm of the normalisation.

    Attributes:
        terms: m in GeV, any shape, to φ with one more axis of length p.
    """

    terms: Callable[[np.ndarray], np.ndarray]

    def density(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Events per GeV at ``mass``."""
        return np.exp(np.tensordot(parameters, self.terms(np.asarray(mass, dtype=float)), axes=(-1, -1)))

    def log_derivatives(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """φ itself, whatever θ."""
        terms = self.terms(np.asarray(mass, dtype=float))
        return np.broadcast_to(terms, np.shape(parameters)[:-1] + terms.shape)


@dataclass(frozen=True)
class LinearFamily(Family):
    """f = Σ_k θ_k φ_k(m), fitted where every bin expects events.

    Attributes:
        terms: as in ``LogLinearFamily``.
        non_negative: whether every θ_k must be 0 or above, as Bernstein coefficients, so that f is positive everywhere.
    """

    terms: Callable[[np.ndarray], np.ndarray]
    non_negative: bool = False

    def density(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Events per GeV at ``mass``."""
        return np.tensordot(parameters, self.terms(np.asarray(mass, dtype=float)), axes=(-1, -1))

    def log_derivatives(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """φ / f."""
        return self.terms(np.asarray(mass, dtype=float)) / self.density(mass, parameters)[..., None]


@dataclass(frozen=True)
class Seed:
    """A log-linear family inside a wider one, from whose best fit that of the wider one can start.

    Attributes:
        terms: of the log-linear family, as there.
        complete: its parameters, shape (…, q), to those of the wider family, shape (…, p).
    """

    terms: Callable[[np.ndarray], np.ndarray]
    complete: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class NonLinearFamily(Family):
    """f = exp(g(m; θ)) with any smooth g; starting values come from ``seeds``.

    Attributes:
        log_density: m (any shape) and θ (…, p) to g, shape (…, *m.shape).
        gradient: the same to ∂g/∂θ, shape (…, *m.shape, p).
        seeds: every spectrum starts from the one that fits it best.
    """

    log_density: Callable[[np.ndarray, np.ndarray], np.ndarray]
    gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]
    seeds: tuple[Seed, ...]

    def density(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Events per GeV at ``mass``."""
        return np.exp(self.log_density(np.asarray(mass, dtype=float), np.asarray(parameters, dtype=float)))

    def log_derivatives(self, mass: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """∂g/∂θ."""
        return self.gradient(np.asarray(mass, dtype=float), np.asarray(parameters, dtype=float))


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
    """A family integrated over bins by Gauss–Legendre quadrature, E_i(θ) = Σ_q w_iq f(m_iq; θ).

    Of a log-linear family log E_i is nearly linear in θ: the second derivative is the variance of φ inside a bin.
    ``linearise`` expands it about a reference, exact there; elsewhere the relative error is half the
    variance, inside the bin, of the log-ratio of the two functions (10⁻⁵ over the statistical fluctuations of a
    spectrum). With one node (``CENTRE``) a bin is its centre times its width and the expansion is exact everywhere.

    Args:
        family: the density.
        edges: bin edges in GeV inside the family's domain.
        nodes: quadrature nodes per bin.

    Raises:
        StatisticsError: for edges that are none or outside the domain, or no more bins than parameters.
    """

    def __init__(self, family: Family, edges: np.ndarray, *, nodes: int = 5) -> None:
        if not isinstance(family, Family):
            raise StatisticsError(f"Expected a background family, got {family!r:.60}: stats.family makes one by name.")
        edges = as_floats(edges, "Bin edges")
        if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > 0).all():
            raise StatisticsError(f"Bin edges must be two or more masses in GeV that rise, got shape {edges.shape}.")
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
        self.nodes = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * positions
        self.weights = half * weights

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the family."""
        return self.family.n_parameters

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.edges.size - 1)

    def expected(self, parameters: np.ndarray) -> np.ndarray:
        """Events per bin; (…, n_parameters) to (…, n_bins)."""
        return np.einsum("nq,...nq->...n", self.weights, self.family.density(self.nodes, np.asarray(parameters)))

    def log_derivatives(self, parameters: np.ndarray) -> np.ndarray:
        """∂ log E_i / ∂θ_k; (…, n_parameters) to (…, n_bins, n_parameters)."""
        return self.expected_and_slopes(parameters)[1]

    def expected_and_slopes(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both of the above from one pass over the nodes."""
        parameters = np.asarray(parameters, dtype=float)
        parts = self.weights * self.family.density(self.nodes, parameters)
        slopes = self.family.log_derivatives(self.nodes, parameters)
        events = parts.sum(axis=-1)
        return events, np.einsum("...nq,...nqp->...np", parts, slopes) / np.maximum(events, LEAST_EVENTS)[..., None]

    def averages(self, terms: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Integrals of terms over bins, shape (n_bins, n_terms), and widths of the bins, shape (n_bins,)."""
        return np.einsum("nq,nqp->np", self.weights, terms(self.nodes)), self.weights.sum(axis=1)

    def linearise(self, parameters: np.ndarray) -> LogLinear:
        """The log-linear model that agrees with this one, and with its gradient, at ``parameters``."""
        design = self.log_derivatives(parameters)
        return LogLinear(design, np.log(self.expected(parameters)) - design @ parameters)

    def middle(self, terms: Callable[[np.ndarray], np.ndarray]) -> LogLinear:
        """The log-linear model of bin-averaged terms, for a first fit that knows no parameters yet."""
        integrals, width = self.averages(terms)
        return LogLinear(integrals / width[:, None], np.log(width))
