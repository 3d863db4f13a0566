"""Trainings as one plan: all folds, repeats, windows and samples, run here or by workers, and resumed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from ml.detector import Progress
from ml.errors import TrainingError
from ml.jobs import Job, Outcome, finished, is_finished, train
from ml.workers import Executor, distribute

__all__ = ["Executor", "Job", "Outcome", "run_jobs"]

logger = logging.getLogger(__name__)

SHOWN = 5  # failed trainings, or reasons, that an error spells out
PATIENCE = 5.0  # seconds of training before the time left is estimated


def run_jobs(
    jobs: Sequence[Job], *, executor: Executor | None = None, progress: Progress | None = None
) -> list[Outcome]:
    """Run every job that is not finished in its directory; outcomes in the order of `jobs`.

    A job that fails does not stop the others. Results do not depend on the executor, up to rounding: how many threads
    share an ensemble decides in which order sums are taken. With the same number of threads they are equal bit by bit.

    Args:
        jobs: what to train; two jobs never share a directory.
        executor: None for this process, one after another with all its cores; else workers, one core each, which see
            the directories of all jobs.
        progress: called with the finished fraction of all jobs.

    Raises:
        TrainingError: some jobs failed; names them, why, and what is kept.
    """
    _check(jobs, executor)
    keys = [None if job.directory is None else job.key() for job in jobs]
    missing = [i for i, job in enumerate(jobs) if not is_finished(job, keys[i])]
    if len(missing) < len(jobs):
        logger.info("%d of %d trainings are finished already", len(jobs) - len(missing), len(jobs))
    watch = _Watch(progress, len(jobs), len(missing))
    found: dict[int, Outcome] = {}
    failures: dict[int, Exception] = {}
    if executor is None:
        for i in missing:
            try:
                found[i] = train(jobs[i], keys[i], watch.within())
            except OSError:  # a full disk fails all
                raise
            except Exception as error:  # whatever else it was, the others are worth finishing
                failures[i] = error
            watch.finish()
    else:
        failures = distribute({i: jobs[i] for i in missing}, keys, executor, watch.finish)
    if failures:
        raise _failed(jobs, failures) from next(iter(failures.values()))
    watch.end()
    return [found.get(i) or finished(job) for i, job in enumerate(jobs)]


def _check(jobs: Sequence[Job], executor: Executor | None) -> None:
    if executor is not None and any(job.directory is None for job in jobs):
        raise TrainingError("trainings that run in other processes come back as folders: give a directory")
    places = [job.directory for job in jobs if job.directory is not None]
    if len(set(places)) < len(places):
        raise TrainingError("two trainings of one plan share a directory: the second would replace the first")


class _Watch:
    """Turns finished jobs into a fraction of all of them, and into the time that the others may take."""

    def __init__(self, progress: Progress | None, jobs: int, missing: int) -> None:
        self._progress, self._jobs, self._missing, self._done = progress, jobs, missing, 0
        self._started = time.perf_counter()

    def within(self) -> Progress | None:
        """Progress within the next job."""
        return None if self._progress is None else lambda fraction, text: self._say(fraction, text)

    def finish(self) -> None:
        """Count a job, finished or failed."""
        self._done += 1
        self._say(0.0, "done", finished=True)

    def end(self) -> None:
        """Report the end where there was nothing to do."""
        if self._progress is not None and not self._missing:
            self._progress(1.0, f"{self._jobs} of {self._jobs} done")

    def _say(self, fraction: float, text: str, *, finished: bool = False) -> None:
        if self._progress is None:
            return
        share = (self._done + fraction) / max(self._missing, 1)
        kept = self._jobs - self._missing
        count = kept + self._done + (0 if finished else 1)
        label = f"{count} of {self._jobs}{' ' if finished else ': '}{text}{self._left(share)}"
        self._progress((kept + self._done + fraction) / self._jobs, label)

    def _left(self, share: float) -> str:
        elapsed = time.perf_counter() - self._started
        if elapsed < PATIENCE or not 0 < share < 1:
            return ""
        left = elapsed * (1 - share) / share
        return f", {left / 60:.0f} min left" if left >= 90 else f", {left:.0f} s left"


def _failed(jobs: Sequence[Job], failures: Mapping[int, Exception]) -> TrainingError:
    """One paragraph: which trainings failed and why, equal reasons told once, and what is kept."""
    reasons: dict[str, list[str]] = {}
    for i, error in failures.items():
        text = str(error) if isinstance(error, TrainingError) else f"unexpected {type(error).__name__}: {error}"
        reasons.setdefault(text, []).append(jobs[i].name)
    told = [f"training {names[0]}: {text}{_alike(names[1:])}" for text, names in list(reasons.items())[:SHOWN]]
    if len(reasons) > SHOWN:
        told.append(f"and {len(reasons) - SHOWN} more reasons")
    kept = [job for i, job in enumerate(jobs) if i not in failures and job.directory is not None]
    if kept:
        told.append(
            f"{len(failures)} of {len(jobs)} trainings failed; {len(kept)} finished and kept, among them "
            f"{kept[0].name} in {kept[0].directory}: the next run trains only the others"
        )
    return TrainingError("; ".join(told))


def _alike(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f" (the same in {', '.join(names[:SHOWN])}{more})"
