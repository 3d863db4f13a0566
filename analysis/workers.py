"""The workers of a run: what processes its events, what trains its detectors, and one Dask client for both."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from analysis.errors import StageError

if TYPE_CHECKING:
    from coffea.processor.executor import ExecutorBase

    from ml.sample import Sample

TrainingChoice = Literal["in-process", "processes", "dask"]


@dataclass(frozen=True)
class ExecutorChoice:
    """Which of coffea's executors runs the chunks, on how many workers; `scheduler` is the address of a Dask one.

    `training` is where detectors train: in this process, in `workers` processes, or on the workers of Dask; None
    follows `kind`, but trains in this process for `futures`, because TensorFlow costs seconds in every other one.
    """

    kind: str = "futures"
    workers: int = 2
    scheduler: str | None = None
    progress: bool = False
    training: TrainingChoice | None = None

    @property
    def trains(self) -> TrainingChoice:
        """Return where detectors train."""
        return self.training or ("dask" if self.kind == "dask" else "in-process")


class Workers:
    """Opens workers when they are first needed.

    Those of Dask last until the outermost `kept` block ends, so that all stages use one client; processes of this
    machine end with the stage that needed them, because they hold memory.
    """

    def __init__(self, choice: ExecutorChoice) -> None:
        self._choice = choice
        self._depth = 0
        self._stack = ExitStack()
        self._dask: Any = None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the Dask client that is opened inside until the outermost of these blocks ends."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._dask = None
                self._stack.close()

    @contextlib.contextmanager
    def processing(self) -> Iterator[Callable[[], ExecutorBase]]:
        """Yield what returns coffea's executor, opened by the first call; raises StageError where Dask is not there."""
        with self.kept(), ExitStack() as stack:
            yield self._cluster if self._choice.kind == "dask" else cache(lambda: self._open(stack))

    @contextlib.contextmanager
    def training(self) -> Iterator[Any]:
        """Yield what `ml.plan.run_jobs` takes as executor: None, a pool of processes, or Dask, opened when used."""
        from ml.processes import open_processes

        with self.kept(), ExitStack() as stack:
            if self._choice.trains == "dask":
                yield _Cluster(lambda: self._cluster().client)
            elif self._choice.trains == "processes":
                yield stack.enter_context(open_processes(self._choice.workers))
            else:
                yield None

    def _cluster(self) -> Any:
        if self._dask is None:
            self._dask = self._open(self._stack)
        return self._dask

    def _open(self, stack: ExitStack) -> ExecutorBase:
        from processors import open_executor

        choice = self._choice
        opened = open_executor(choice.kind, workers=choice.workers, scheduler=choice.scheduler, status=choice.progress)
        try:
            return stack.enter_context(opened)
        except (OSError, ValueError) as error:
            if choice.scheduler is None:
                raise
            raise StageError(
                f"The Dask scheduler {choice.scheduler!r} cannot be reached: {error}. Start it with `dask scheduler`, "
                "correct --scheduler (tcp://HOST:PORT), or leave it out for a cluster on this machine."
            ) from error


class _Cluster:
    """Trainings on the workers of a Dask client; every sample is sent there once."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Return a `concurrent.futures.Future` of `fn(*args)`."""
        return self._client().get_executor(pure=False).submit(fn, *args)

    def share(self, sample: Sample) -> Any:
        """Return what stands for the sample among the arguments of `submit`.

        It goes to every worker: Dask runs a task where its data are, and would leave the other workers idle.
        """
        return self._client().scatter(sample, hash=False, broadcast=True)
