"""Processes of this machine that trainings run in."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import loky

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@contextlib.contextmanager
def open_processes(workers: int) -> Iterator[loky.ProcessPoolExecutor]:
    """An executor for `ml.plan.run_jobs`: processes with one thread each, which end with the `with` block.

    They start fresh (no fork), so that each loads TensorFlow when its first network trains, which takes seconds. They
    also end when this process is killed, and at once when the block is left by an exception.
    """
    environment = dict.fromkeys(_ONE_THREAD, "1")
    pool = loky.ProcessPoolExecutor(max_workers=workers, initializer=_start, env=environment, timeout=None)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=True, kill_workers=True)
        raise
    pool.shutdown(wait=True)


def _start() -> None:
    """Leave interrupts to the parent, end when it ends, and stay when a training needs more memory than the first.

    loky takes 300 MB of growth for a leak and restarts the worker; what the libraries keep is bounded.
    """
    from loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = 2**40
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
