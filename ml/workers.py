"""Jobs run by workers: processes of this machine, or those of a Dask cluster."""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ml.errors import TrainingError
from ml.jobs import Job, is_finished, train
from ml.sample import Sample
from ml.threads import single_thread

logger = logging.getLogger(__name__)

# of concurrent.futures (loky's are subclasses) and of Dask, by name: neither need be installed or imported
LOST = frozenset({"BrokenExecutor", "CancelledError", "CommClosedError", "KilledWorker"})


class Executor(Protocol):
    """What runs jobs elsewhere: a `concurrent.futures.Executor`, or anything with its `submit`.

    An executor whose workers keep data between calls may have a method `share(sample)`: what it returns is handed to
    `submit` in the sample's place, and must arrive there as the sample. Without it every job carries its samples.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> concurrent.futures.Future[Any]:
        """Call `fn(*args)` in a worker."""


def _work(job: Job, key: str, roles: Sequence[str], *samples: Sample) -> Exception | None:
    """Train in a worker; what fails in the training comes back as a value, what is raised is the worker's fault."""
    try:
        with single_thread():
            train(replace(job, samples=dict(zip(roles, samples, strict=True))), key)
    except TrainingError as error:
        return error
    except Exception as error:  # not all exceptions can be pickled
        return TrainingError(f"unexpected {type(error).__name__}: {error}")
    return None


def distribute(
    jobs: Mapping[int, Job], keys: Sequence[str | None], executor: Executor, done: Callable[[], None]
) -> dict[int, Exception]:
    """Run jobs by workers; those whose worker was lost once more, in case others remain. Returns the failures."""
    failures, lost = _round(jobs, keys, executor, done)
    if lost:
        logger.warning(
            "workers were lost in %d trainings, which are run again: %s", len(lost), next(iter(lost.values()))
        )
        again, lost = _round({i: jobs[i] for i in sorted(lost)}, keys, executor, done)
        failures |= again
    for i, error in sorted(lost.items()):
        failures[i] = TrainingError(
            f"its worker was lost ({type(error).__name__}: {error}); give workers more memory, or have fewer of them"
        )
    return dict(sorted(failures.items()))


def _round(
    jobs: Mapping[int, Job], keys: Sequence[str | None], executor: Executor, done: Callable[[], None]
) -> tuple[dict[int, Exception], dict[int, Exception]]:
    """Submit jobs and wait for all: those that failed, and those whose worker was lost."""
    failures: dict[int, Exception] = {}
    lost: dict[int, Exception] = {}
    futures: dict[concurrent.futures.Future[Any], int] = {}
    shared = _Shared(executor)
    try:
        for i, job in jobs.items():
            try:
                futures[shared.submit(job, keys[i])] = i
            except Exception as error:  # a broken pool takes nothing more
                _sort(i, error, failures, lost)
        for future in concurrent.futures.as_completed(futures):
            i = futures[future]
            try:
                failure = future.result() or _not_visible(jobs[i], keys[i])
            except Exception as error:
                _sort(i, error, failures, lost)
                continue
            if failure is not None:
                failures[i] = failure
            done()
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return failures, lost


def _sort(i: int, error: Exception, failures: dict[int, Exception], lost: dict[int, Exception]) -> None:
    """Tell a lost worker, which another may replace, from a job that no worker can take."""
    unreadable = "un-serialize" in str(error)  # loky's broken pool: the job could not be read there
    if not unreadable and any(kind.__name__ in LOST for kind in type(error).__mro__):
        lost[i] = error
        return
    failures[i] = TrainingError(
        f"no worker could take it ({type(error).__name__}: {error}): detector and samples travel to workers as "
        "pickles; define their classes and `batch` at the top of a module, in an environment that workers have, "
        "too, or train in this process"
    )


def _not_visible(job: Job, key: str | None) -> TrainingError | None:
    if is_finished(job, key):
        return None
    return TrainingError(
        f"the worker wrote {job.directory}, which is not there: workers must see the same files as this process"
    )


class _Shared:
    """Submits jobs with each sample shipped once, where the executor can."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._share: Callable[[Sample], Any] = getattr(executor, "share", lambda sample: sample)
        self._shipped: dict[int, Any] = {}

    def submit(self, job: Job, key: str | None) -> concurrent.futures.Future[Any]:
        assert job.directory is not None
        bare = replace(job, samples={}, directory=job.directory.resolve())
        return self._executor.submit(_work, bare, key, tuple(job.samples), *map(self._ship, job.samples.values()))

    def _ship(self, sample: Sample) -> Any:
        if id(sample) not in self._shipped:
            self._shipped[id(sample)] = self._share(sample)
        return self._shipped[id(sample)]
