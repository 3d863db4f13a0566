"""Fits of one pyhf model to many data sets, with any parameters held, on one or several processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stats.errors import StatisticsError

if TYPE_CHECKING:
    from stats.batchfits import BatchFits
    from stats.histfactory import CompiledModel

logger = logging.getLogger(__name__)

STEP = 1e-2  # of second differences, in units of the error
CHUNK = 500  # fits handed to a process at a time
EXTENSIONS = 30  # of the signal strength's upper bound, by a factor of four each
EDGE = 1e-6  # relative: closer to its upper bound the strength counts as at the bound


@dataclass(frozen=True)
class ManyFits:
    """Fits of one model to N data sets.

    Attributes:
        points: parameters at the minima, shape (N, n_parameters); NaN where the fit failed.
        values: −2 log L there, with pyhf's constants, shape (N,); NaN where the fit failed.
    """

    points: np.ndarray
    values: np.ndarray

    @property
    def failed(self) -> int:
        """Fits that failed from every start."""
        return int(np.isnan(self.values).sum())


class ModelFits:
    """The model and data of a workspace, and fits of it: by ``stats.histfactory`` if it knows the model, else by pyhf.

    Attributes:
        model, data: as pyhf has them; data are observations, then auxiliary data.
        poi: index of the parameter of interest.
        bounds: of every parameter, shape (n_parameters, 2); may be moved before fitting.
        held: parameters that the workspace fixes, and their values.
        initial: pyhf's suggested starting point, shape (n_parameters,).
    """

    def __init__(self, workspace: Mapping[str, Any]) -> None:
        from stats.asymptotics import open_workspace

        self.workspace = workspace
        self.model, self.data = open_workspace(workspace)
        config = self.model.config
        self.poi = int(config.poi_index)
        self.names: list[str] = list(config.par_names)
        self.bounds = np.array(config.suggested_bounds(), dtype=float)
        self.initial = np.array(config.suggested_init(), dtype=float)
        fixed = np.array(config.suggested_fixed(), dtype=bool)
        self.held = {int(index): float(self.initial[index]) for index in np.flatnonzero(fixed)}
        if self.poi in self.held:
            raise StatisticsError(f"The workspace fixes its parameter of interest, {self.names[self.poi]!r}: free it.")
        self.compiled, self.batch = self._compile()

    def _compile(self) -> tuple[CompiledModel | None, BatchFits | None]:
        from stats.batchfits import BatchFits
        from stats.histfactory import CompiledModel, UnsupportedModel

        compiled = None
        try:
            with self.session():
                compiled = CompiledModel(self.model)
                return compiled, BatchFits(self.model)
        except UnsupportedModel as error:
            logger.info("fits of %s are slower: %s", "one data set" if compiled is None else "many data sets", error)
            return compiled, None

    def expected(self, point: np.ndarray) -> np.ndarray:
        """Expected events, then expected auxiliary data, shape (n_data,)."""
        with self.session():
            return np.asarray(self.model.expected_data(np.asarray(point, dtype=float)), dtype=float)

    def session(self) -> AbstractContextManager[Any]:
        """pyhf on NumPy with this package's minimiser; nested sessions change nothing."""
        import pyhf

        from stats.minimiser import NewtonOptimizer, pyhf_session

        tensorlib, optimizer = pyhf.get_backend()
        inside = tensorlib.name == "numpy" and isinstance(optimizer, NewtonOptimizer)
        return nullcontext() if inside else pyhf_session()

    def fit(
        self, data: np.ndarray, *, fixed: Mapping[int, float] | None = None, start: np.ndarray | None = None
    ) -> tuple[np.ndarray, float] | None:
        """Point and −2 log L of the best fit with the parameters ``fixed`` (index → value) held; None if it failed.

        Tried from ``start``, then from pyhf's suggested point.
        """
        starts = [self.initial] if start is None else [np.asarray(start, dtype=float), self.initial]
        held, data = {**self.held, **(fixed or {})}, np.asarray(data, dtype=float)
        for candidate in starts:
            found = (
                self._compiled_fit(data, held, candidate) if self.compiled else self._pyhf_fit(data, held, candidate)
            )
            if found is not None:
                return found
        return None

    def free_fit(self) -> tuple[np.ndarray, float]:
        """Best fit to the data; the strength's upper bound moves up for as long as the fit rests on it.

        Raises:
            StatisticsError: where a fit fails, or the strength that fits best grows without end.
        """
        for _ in range(EXTENSIONS):
            found = self.fit(self.data)
            if found is None:
                raise StatisticsError(
                    "The model could not be fitted to the data: its background or bounds do not suit them."
                )
            largest = self.bounds[self.poi, 1]
            if found[0][self.poi] < (1.0 - EDGE) * largest:
                return found
            self.bounds[self.poi, 1] = 4.0 * largest
        raise StatisticsError(f"The signal strength that fits best grows without end, beyond {largest:g}.")

    def _compiled_fit(
        self, data: np.ndarray, fixed: Mapping[int, float], start: np.ndarray
    ) -> tuple[np.ndarray, float] | None:
        assert self.compiled is not None
        if len(fixed) == self.initial.size:
            point = np.array([fixed[index] for index in range(self.initial.size)])
            value = self.compiled.twice_nll(point, data)
            return (point, value) if np.isfinite(value) else None
        found = self.compiled.fit(data, fixed=fixed, start=start, bounds=self.bounds)
        return (found.point, found.twice_nll) if found.converged and np.isfinite(found.twice_nll) else None

    def fit_many(
        self, data: np.ndarray, *, fixed: Mapping[int, float] | None = None, starts: np.ndarray, pool: Any = None
    ) -> ManyFits:
        """Fit N data sets, shape (N, n_data), each from its own row of ``starts`` or all from one.

        Equal data sets are fitted once. The result does not depend on ``pool`` (see ``process_pool``).
        """
        count = data.shape[0]
        starts = np.broadcast_to(starts, (count, self.initial.size))
        jobs = np.concatenate([data, starts], axis=1)
        unique, inverse = np.unique(jobs, axis=0, return_inverse=True) if count else (jobs, np.zeros(0, dtype=int))
        chunks = [unique[first : first + CHUNK] for first in range(0, unique.shape[0], CHUNK)]
        if pool is None:
            parts = [self._chunk(chunk, fixed) for chunk in chunks]
        else:
            waiting = [pool.submit(_in_worker, self.bounds, chunk, fixed) for chunk in chunks]
            parts = [future.result() for future in waiting]
        table = np.concatenate(parts) if parts else np.zeros((0, self.initial.size + 1))
        table = table[np.ravel(inverse)]
        return ManyFits(points=table[:, :-1], values=table[:, -1])

    def hessian(self, point: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Second derivatives of −log L of the data over the parameters ``free`` (indices), shape (n, n)."""
        if self.compiled is not None:
            return np.asarray(self.compiled.hessian(point, self.data))[np.ix_(free, free)]
        with self.session():
            return self._second_differences(point, free)

    def _second_differences(self, point: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Central second differences, steps of a hundredth of the error that each parameter alone would have."""

        def value(*moves: tuple[int, float]) -> float:
            moved = point.copy()
            for index, step in moves:
                moved[index] += step
            return 0.5 * float(np.asarray(mle.twice_nll(moved, self.data, self.model)).item())

        from pyhf.infer import mle

        room = np.minimum(point - self.bounds[:, 0], self.bounds[:, 1] - point)
        centre, steps = value(), {}
        for k in free:
            step = float(min(1e-3 * max(abs(point[k]), 1e-3), room[k]))
            curve = max((value((k, step)) + value((k, -step)) - 2.0 * centre) / step**2, 1e-12)
            steps[k] = float(min(STEP / np.sqrt(curve), room[k]))
        hessian = np.empty((free.size, free.size))
        for i, j in enumerate(free):
            a = steps[j]
            hessian[i, i] = (value((j, a)) + value((j, -a)) - 2.0 * centre) / a**2
            for row, k in enumerate(free[:i]):
                b = steps[k]
                ahead, behind = (
                    value((j, a), (k, b)) + value((j, -a), (k, -b)),
                    value((j, a), (k, -b)) + value((j, -a), (k, b)),
                )
                hessian[i, row] = hessian[row, i] = (ahead - behind) / (4.0 * a * b)
        return hessian

    def _chunk(self, jobs: np.ndarray, fixed: Mapping[int, float] | None) -> np.ndarray:
        data, starts = jobs[:, : self.data.size], jobs[:, self.data.size :]
        table = np.full((jobs.shape[0], self.initial.size + 1), np.nan)
        for first in range(0, jobs.shape[0], self.batch.size) if self.batch is not None else ():
            part = slice(first, first + self.batch.size)  # type: ignore[union-attr]
            table[part] = self._batch_fit(data[part], starts[part], {**self.held, **(fixed or {})})
        for place in np.flatnonzero(np.isnan(table[:, -1])):
            row = table[place]
            found = self.fit(data[place], fixed=fixed, start=starts[place])
            if found is not None:
                row[:-1], row[-1] = found
        return table

    def _batch_fit(self, data: np.ndarray, starts: np.ndarray, fixed: Mapping[int, float]) -> np.ndarray:
        """Points and values of fits done together, NaN where that is left to ``fit``."""
        assert self.batch is not None
        begin = np.clip(starts, self.bounds[:, 0], self.bounds[:, 1])
        for index, value in fixed.items():
            begin[:, index] = value
        free = np.setdiff1d(np.arange(begin.shape[1]), list(fixed))
        points, values, converged = self.batch.minimise(data, begin, free, self.bounds)
        return np.where(converged[:, None], np.column_stack([points, values]), np.nan)

    def _pyhf_fit(
        self, data: np.ndarray, fixed: Mapping[int, float], start: np.ndarray
    ) -> tuple[np.ndarray, float] | None:
        from pyhf.exceptions import FailedMinimization
        from pyhf.infer import mle

        begin = np.clip(start, self.bounds[:, 0], self.bounds[:, 1])
        held = np.zeros(begin.size, dtype=bool)
        for index, value in fixed.items():
            begin[index], held[index] = value, True
        bounds = [tuple(bound) for bound in self.bounds.tolist()]
        try:
            with self.session():
                point, value = mle.fit(data, self.model, begin.tolist(), bounds, held.tolist(), return_fitted_val=True)
        except (FailedMinimization, FloatingPointError, np.linalg.LinAlgError) as error:
            logger.debug("a fit with %s held failed: %s", dict(fixed), error)
            return None
        value = float(np.asarray(value).item())
        return (np.asarray(point, dtype=float), value) if np.isfinite(value) else None


def process_pool(workspace: Mapping[str, Any], workers: int) -> AbstractContextManager[Any]:
    """Processes (not threads: pyhf's backend is global) that hold the model; None within for one worker."""
    if workers <= 1:
        return nullcontext()
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(max_workers=workers, initializer=_start_worker, initargs=(dict(workspace),))


_worker: ModelFits | None = None


def _start_worker(workspace: Mapping[str, Any]) -> None:
    global _worker
    _worker = ModelFits(workspace)


def _in_worker(bounds: np.ndarray, jobs: np.ndarray, fixed: Mapping[int, float] | None) -> np.ndarray:
    if _worker is None:
        raise RuntimeError("the process was not started with a model")
    _worker.bounds = bounds
    return _worker._chunk(jobs, fixed)
