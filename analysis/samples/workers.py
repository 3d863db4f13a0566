"""Run the jobs of a sample in worker processes that stop when their parent does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from analysis.samples.errors import GenerationError
from analysis.samples.recipe import Recipe

Job = tuple[int, Path]
Progress = Callable[[int], None]


def run_jobs(recipe: Recipe, jobs: Sequence[Job], *, workers: int, progress: Progress | None) -> None:
    """Make every (index, path) of `jobs`; `progress` gets the number of events made so far.

    Raises what the first failing job raised, once all workers have stopped.
    """
    if min(workers, len(jobs)) == 1:
        _in_this_process(recipe, jobs, progress=progress)
    else:
        _in_parallel(recipe, jobs, workers=min(workers, len(jobs)), progress=progress)


def _in_this_process(recipe: Recipe, jobs: Sequence[Job], *, progress: Progress | None) -> None:
    from analysis.samples.job import make_file

    done = 0

    def count(events: int) -> None:
        nonlocal done
        done += events
        if progress is not None:
            progress(done)

    for index, path in jobs:
        make_file(recipe, index, path, progress=count)


def _in_parallel(recipe: Recipe, jobs: Sequence[Job], *, workers: int, progress: Progress | None) -> None:
    """Spawned workers take the next job each as they become free and report through a pipe of their own."""
    context = multiprocessing.get_context("spawn")
    next_job = context.Value("i", 0)
    processes: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(recipe, list(jobs), next_job, theirs), daemon=True)
            process.start()
            theirs.close()
            processes[ours] = process
        _follow(processes, progress=progress)
    except BaseException:
        for process in processes.values():
            process.kill()
        raise
    finally:
        for connection, process in processes.items():
            process.join()
            process.close()
            connection.close()


def _follow(processes: dict[Connection, SpawnProcess], *, progress: Progress | None) -> None:
    """Count the events reported until all workers are done; raise what a worker reports or its death."""
    done = 0
    running = set(processes)
    while running:
        for connection in wait(list(running)):
            assert isinstance(connection, Connection)
            try:
                message = connection.recv()
            except EOFError:
                processes[connection].join()
                code = processes[connection].exitcode
                raise GenerationError(
                    f"A generating process ended unexpectedly ({_cause(code)}). Finished files are kept: "
                    "run again, with fewer workers if memory is short."
                ) from None
            if message is None:
                running.discard(connection)
            elif isinstance(message, BaseException):
                raise message
            else:
                done += message
                if progress is not None:
                    progress(done)


def _die_with_parent() -> None:
    """End this process when its parent ends, however that happens; what is half written has a temporary name."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(recipe: Recipe, jobs: Sequence[Job], next_job: Any, connection: Connection) -> None:
    """Take jobs until none is left; report events made, then None, or the error that ended it."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    try:
        from analysis.samples.job import make_file

        while True:
            with next_job.get_lock():
                position, next_job.value = next_job.value, next_job.value + 1
            if position >= len(jobs):
                break
            index, path = jobs[position]
            make_file(recipe, index, path, progress=connection.send)
        connection.send(None)
    except (GenerationError, OSError) as error:
        connection.send(error)
    except Exception as error:
        connection.send(GenerationError(f"A generating process failed: {type(error).__name__}: {error}"))


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"
