"""How many threads a training may use: all cores, unless whoever runs several trainings side by side says less."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

from threadpoolctl import threadpool_limits

_allowed: ContextVar[int | None] = ContextVar("allowed", default=None)


def available() -> int:
    """Threads that a training started here may use; results never depend on it."""
    return _allowed.get() or os.cpu_count() or 1


def shards_of(members: int, threads: int | None = None) -> int:
    """Into how many parts, trained side by side, an ensemble is split: `threads`, at most one for each member.

    By default as many as may be used, as XLA runs small steps on one core, and 1 where TensorFlow sees a GPU.
    """
    import tensorflow as tf

    if threads is not None:
        return max(1, min(threads, members))
    return 1 if tf.config.list_physical_devices("GPU") else min(available(), members)


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Leave one core to what runs inside: our own threads, those of BLAS and OpenMP, and, where it is not loaded yet,
    TensorFlow's, whose number is fixed for the life of the process."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    token = _allowed.set(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        _allowed.reset(token)
