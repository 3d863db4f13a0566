"""coffea executors by name."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import threading
import time
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
        with loky.ProcessPoolExecutor(max_workers=workers, initializer=_start_worker) as pool:
            yield FuturesExecutor(pool=pool, workers=workers, status=status)
    else:
        with _dask_client(workers, scheduler) as client:
            yield DaskExecutor(client=client, status=status)


def _start_worker() -> None:
    """Make a worker leave when its run was killed, and keep it when a chunk needs more memory than the first.

    loky takes 300 MB of growth for a leak and restarts the worker; what the libraries keep after a chunk is bounded.
    """
    from loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = 2**40
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _dask_client(workers: int, scheduler: str | None) -> Iterator[object]:
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
    else:
        # a busy machine makes Dask warn that workers are slow to stop, which is no concern of the user's
        settings = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": logging.ERROR}
        with LocalCluster(n_workers=workers, **settings) as cluster, Client(cluster) as client:
            yield client
