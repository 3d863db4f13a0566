"""coffea's executors by name: iterative, futures, or Dask on a local cluster or a running scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from analysis.errors import StageError


@dataclass(frozen=True)
class ExecutorChoice:
    """Which executor runs the chunks, on how many workers; `scheduler` is the address of a running Dask scheduler."""

    kind: str = "futures"
    workers: int = 2
    scheduler: str | None = None
    progress: bool = False


@contextlib.contextmanager
def executor(choice: ExecutorChoice) -> Iterator[Any]:
    """Yield a coffea executor and close what was started for it; raise StageError where Dask cannot be reached."""
    from coffea import processor

    if choice.kind == "iterative":
        yield processor.IterativeExecutor(status=choice.progress)
    elif choice.kind == "futures":
        yield processor.FuturesExecutor(workers=choice.workers, status=choice.progress)
    else:
        with _dask_client(choice) as client:
            yield processor.DaskExecutor(client=client, status=choice.progress)


@contextlib.contextmanager
def _dask_client(choice: ExecutorChoice) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if choice.scheduler is None:
        with (
            LocalCluster(n_workers=choice.workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(choice.scheduler, timeout="20s")
    except (OSError, TimeoutError, ValueError) as error:
        raise StageError(
            f"No Dask scheduler answers at {choice.scheduler} ({error}). Check the address given with --scheduler."
        ) from error
    with client:
        yield client
