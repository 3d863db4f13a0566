"""coffea executors by name."""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections.abc import Iterator

import loky
from coffea.processor import DaskExecutor, FuturesExecutor, IterativeExecutor
from coffea.processor.executor import ExecutorBase

from processors.errors import InputError

EXECUTORS = ("iterative", "futures", "dask")


@contextlib.contextmanager
def open_executor(
    name: str, *, workers: int = 1, scheduler: str | None = None, status: bool = False
) -> Iterator[ExecutorBase]:
    """A coffea executor and its workers, for as long as the ``with`` block lasts.

    ``name`` is iterative, futures (``workers`` processes) or dask (the cluster at the address ``scheduler``, or a
    local one of ``workers`` single-threaded processes). ``status`` shows coffea's progress bars. Raises InputError
    for an unknown name, and OSError where the scheduler does not answer.
    """
    if name not in EXECUTORS:
        nearest = difflib.get_close_matches(name, EXECUTORS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise InputError(f"{name!r} is not an executor.{hint} Executors: {', '.join(EXECUTORS)}.")
    if workers < 1:
        raise InputError(f"workers is {workers}, expected at least 1.")
    if name == "iterative":
        yield IterativeExecutor(status=status)
    elif name == "futures":
        with loky.ProcessPoolExecutor(max_workers=workers) as pool:
            yield FuturesExecutor(pool=pool, workers=workers, status=status)
    else:
        with _dask_client(workers, scheduler) as client:
            yield DaskExecutor(client=client, status=status)


@contextlib.contextmanager
def _dask_client(workers: int, scheduler: str | None) -> Iterator[object]:
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
    else:
        # a busy machine makes Dask warn that workers are slow to stop, which is no concern of the user's
        settings = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.ERROR}
        with LocalCluster(n_workers=workers, **settings) as cluster, Client(cluster) as client:
            yield client
