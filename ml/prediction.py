"""Outputs of ensembles for many events: compiled once for chunks of one size, which run side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ml.threads import available


def in_chunks(
    outputs: Callable[[list[Any], Any], Any],
    parameters: Sequence[np.ndarray],
    x: np.ndarray,
    *,
    chunk: int,
    shape: tuple[int, ...],
) -> np.ndarray:
    """Outputs (members, n_events, *shape) float32 of x (n_events, …).

    Every chunk is padded to the same size, so that the result does not depend on the number of threads.

    Args:
        outputs: compiled function of parameters and one chunk (chunk, …) to (members, chunk, *shape).
        parameters: arrays with a leading member axis.
        x: inputs.
        chunk: events per call.
        shape: that of one event's output.
    """
    import tensorflow as tf

    tensors = [tf.constant(array) for array in parameters]
    result = np.empty((len(parameters[0]), len(x), *shape), np.float32)

    def fill(start: int) -> None:
        part = np.asarray(x[start : start + chunk], np.float32)
        padded = np.zeros((chunk, *part.shape[1:]), np.float32)
        padded[: len(part)] = part
        result[:, start : start + len(part)] = outputs(tensors, tf.constant(padded)).numpy()[:, : len(part)]

    starts = range(0, len(x), chunk)
    threads = min(available(), len(starts))
    if threads < 2:
        for start in starts:
            fill(start)
        return result
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, starts))  # asking for the results raises what went wrong
    return result
