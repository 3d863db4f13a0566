"""Asymptotic CLs of a pyhf model, from two fits per tested signal strength.

The test statistic q̃ and its distributions are equations 62 to 66 of Cowan, Cranmer, Gross, Vitells
(arXiv:1007.1727); CLs and the expected values of it are what ``pyhf.infer.hypotest`` returns, whose five fits per
point include three that never change.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyhf
from pyhf.exceptions import FailedMinimization
from pyhf.infer import mle
from scipy.special import log_ndtr

from stats.errors import StatisticsError
from stats.models import Workspace
from stats.strength import free_fit, start_at_zero

logger = logging.getLogger(__name__)

# pyhf checks part of a workspace against its schema; the rest fails where it is used
REFUSED = (
    pyhf.exceptions.InvalidSpecification,
    pyhf.exceptions.InvalidModel,
    pyhf.exceptions.InvalidModifier,
    pyhf.exceptions.InvalidMeasurement,
    pyhf.exceptions.InvalidNameReuse,
    pyhf.exceptions.InvalidWorkspaceOperation,
    KeyError,
    TypeError,
    ValueError,
)
BAND = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])  # expected values, in standard deviations of the background-only outcome


def open_workspace(workspace: Mapping[str, Any]) -> tuple[Any, np.ndarray]:
    """pyhf model and data (observations, then auxiliary data) of a workspace.

    Raises:
        StatisticsError: where pyhf does not accept it, where it names no parameter of interest or fixes it, and where
            its numbers of events are not finite, or the observed ones negative or not one per bin.
    """
    try:
        with warnings.catch_warnings():
            # pyhf 0.7 resolves its schema with a class that jsonschema deprecates
            warnings.filterwarnings("ignore", "jsonschema.RefResolver", DeprecationWarning)
            # what this package made has been checked by its tests: the schema takes longer than a fit
            validate = not isinstance(workspace, Workspace)
            opened = pyhf.Workspace(dict(workspace), validate=validate)
            model = opened.model(validate=validate)
            data = np.asarray(opened.data(model), dtype=float)
    except REFUSED as error:
        raise StatisticsError(f"pyhf does not accept the workspace: {type(error).__name__}: {error}") from error
    if model.config.poi_index is None:
        raise StatisticsError("The workspace names no parameter of interest: there is nothing to set a limit on.")
    if model.config.suggested_fixed()[model.config.poi_index]:
        raise StatisticsError(f"The workspace fixes its parameter of interest, {model.config.poi_name!r}: free it.")
    _check_numbers(model, data)
    return model, data


def _check_numbers(model: Any, data: np.ndarray) -> None:
    expected = np.asarray(model.expected_data(model.config.suggested_init()), dtype=float)
    if data.shape != expected.shape:
        raise StatisticsError(
            f"The workspace observes {data.size - model.config.nauxdata} bins and expects events in "
            f"{model.config.nmaindata}: give one observation per bin."
        )
    if not (np.isfinite(data).all() and np.isfinite(expected).all()) or (data[: model.config.nmaindata] < 0).any():
        raise StatisticsError(
            "The workspace's expected and observed events must be finite numbers, the observed ones not negative."
        )


class AsymptoticTest:
    """CLs of one model on one set of data; fits that never change are done once.

    Use inside ``minimiser.pyhf_session``. Fits that fail are counted; the point they belong to has no CLs.

    The signal strength is fitted from 0 up, as q̃ has it, even where the workspace's bounds hold negative values.

    Attributes:
        best: fitted signal strength, at least 0.
        evaluated: signal strength → (observed, five expected) log CLs of every point that was tried and succeeded.
        failed_fits: fits that failed.
    """

    def __init__(self, model: Any, data: np.ndarray) -> None:
        self.model = model
        self.data = np.asarray(data, dtype=float)
        self.poi = int(model.config.poi_index)
        self.bounds = np.array(model.config.suggested_bounds(), dtype=float)
        start_at_zero(self.bounds, self.poi)
        self.failed_fits = 0
        self.evaluated: dict[float, np.ndarray] = {}
        self._points: dict[float, tuple[np.ndarray, np.ndarray, float]] = {}
        initial = list(model.config.suggested_init())
        free = free_fit(lambda: self._fit(self.data, None, initial), self.bounds, self.poi)
        none = self._fit(self.data, 0.0, initial)
        if free is None or none is None:
            raise StatisticsError(
                "The model could not be fitted to the data: its background or its bounds do not suit them."
            )
        self.free, self.free_value = free
        self.none, self.none_value = none
        if self.none_value < self.free_value:
            self.free, self.free_value = self.none, self.none_value
        self.best = float(self.free[self.poi])
        self.asimov = np.asarray(model.expected_data(self.none), dtype=float)
        self.asimov_value = float(mle.twice_nll(self.none, self.asimov, model).item())

    @property
    def discovery_q0(self) -> float:
        """q₀, equation 12: 0 for a deficit."""
        return max(self.none_value - self.free_value, 0.0) if self.best > 0.0 else 0.0

    @property
    def sigma(self) -> float:
        """A guess of the strength's uncertainty: what the background's Poisson fluctuations alone leave.

        Raises:
            StatisticsError: for a signal that adds nothing to any bin: there is nothing to limit.
        """
        none, one = (np.asarray(self.model.expected_actualdata(self._at(mu)), dtype=float) for mu in (0.0, 1.0))
        information = float(((one - none) ** 2 / np.maximum(none, 0.5)).sum())
        if not (np.isfinite(information) and information > 0):
            raise StatisticsError("The signal is zero in every bin, or not finite: there is nothing to set a limit on.")
        return 1.0 / np.sqrt(information)

    @property
    def expected_background(self) -> float:
        """Events that the model expects under the signal (``telling_bins``) without one, before any fit."""
        return float(np.asarray(self.model.expected_actualdata(self._before(0.0)), float)[self.telling_bins()].sum())

    @property
    def observed_events(self) -> float:
        """Events in the data under the signal (``telling_bins``)."""
        return float(self.data[self.telling_bins()].sum())

    def telling_bins(self) -> np.ndarray:
        """Indices of the bins that tell a signal.

        These are the bins that a counting experiment would take: with the largest S/√(B + S), S for a strength of one
        ``sigma``, among the sets of those with the highest s/b. A control region with a little signal and a large
        background is none of them, and the numbers do not depend on how finely a peak is binned.
        """
        none, one = (np.asarray(self.model.expected_actualdata(self._before(mu)), dtype=float) for mu in (0.0, 1.0))
        signal = self.sigma * np.maximum(one - none, 0.0)
        order = np.argsort(-signal / np.maximum(none, 1e-300), kind="stable")
        seen, total = signal[order].cumsum(), none[order].cumsum()
        return order[: int(np.argmax(seen / np.sqrt(np.maximum(total + seen, 1e-300)))) + 1]

    def asimov_root(self, mu: float) -> float | None:
        """√q̃ of an evaluated strength on the background-only expectation, or None where the fit failed."""
        return self._points[mu][2] if mu in self._points else None

    def extend(self, largest: float) -> None:
        """Move the upper bound of the signal strength up to ``largest``."""
        self.bounds[self.poi, 1] = largest

    def log_cls(self, mu: float) -> np.ndarray | None:
        """log CLs: observed, then expected at −2, −1, 0, 1, 2 standard deviations; None when a fit failed."""
        if mu not in self.evaluated:
            if mu >= self.bounds[self.poi, 1]:
                self.extend(2.0 * mu)
            near = min(self._points, key=lambda other: abs(other - mu), default=None)
            starts = (self.free, self.none) if near is None else self._points[near][:2]
            on_data = self._fit(self.data, mu, list(starts[0]))
            on_asimov = self._fit(self.asimov, mu, list(starts[1]))
            if on_data is None or on_asimov is None:
                return None
            q_mu = max(on_data[1] - self.free_value, 0.0) if mu > self.best else 0.0
            q_asimov = max(on_asimov[1] - self.asimov_value, 0.0)
            self.evaluated[mu] = log_cls(q_mu, q_asimov)
            self._points[mu] = (on_data[0], on_asimov[0], float(np.sqrt(q_asimov)))
        return self.evaluated[mu]

    def _before(self, mu: float) -> np.ndarray:
        """The parameters before any fit with the strength at ``mu``."""
        parameters = np.array(self.model.config.suggested_init(), dtype=float)
        parameters[self.poi] = mu
        return parameters

    def _at(self, mu: float) -> np.ndarray:
        """The background-only fit with the strength at ``mu``."""
        parameters = self.none.copy()
        parameters[self.poi] = mu
        return parameters

    def _fit(self, data: np.ndarray, mu: float | None, start: list[float]) -> tuple[np.ndarray, float] | None:
        start = list(np.clip(start, *self.bounds.T))
        bounds = [tuple(bound) for bound in self.bounds.tolist()]
        if mu is not None and all(np.delete(self.model.config.suggested_fixed(), self.poi)):
            start[self.poi] = mu  # a model without nuisance parameters leaves nothing to fit
            return np.array(start), float(mle.twice_nll(start, data, self.model).item())
        try:
            if mu is None:
                point, value = mle.fit(data, self.model, start, bounds, return_fitted_val=True)
            else:
                point, value = mle.fixed_poi_fit(mu, data, self.model, start, bounds, return_fitted_val=True)
        except (FailedMinimization, FloatingPointError, np.linalg.LinAlgError) as error:
            self.failed_fits += 1
            logger.warning("a fit at mu = %s failed: %s", mu, type(error).__name__)
            return None
        return np.asarray(point, dtype=float), float(np.asarray(value).item())


def log_cls(q_mu: float, q_asimov: float) -> np.ndarray:
    """log CLs, observed then the five expected, from q̃ on the data and on the background-only Asimov data."""
    root, root_asimov = np.sqrt(q_mu), np.sqrt(q_asimov)
    linear = root <= root_asimov
    statistic = root - root_asimov if linear else (q_mu - q_asimov) / (2.0 * root_asimov)
    outcomes = np.concatenate([[statistic], -BAND])
    return log_ndtr(-(outcomes + root_asimov)) - log_ndtr(-outcomes)
