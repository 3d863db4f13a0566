"""coffea's Runner for HDF5 files: the same call, any coffea executor."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import coffea.util
from coffea.processor import ProcessorABC
from coffea.processor.executor import DaskExecutor, ExecutorBase, FileMeta, WorkItem

from processors.errors import InputError
from processors.failures import describe_failure, is_bad_input
from processors.readers import FileEntry, FileSummary, HDF5Reader, Reader, files_of

Processor: TypeAlias = ProcessorABC | Callable[[Any], Any]


@dataclass
class HDF5Runner:
    """Run a processor over HDF5 files of the LHC Olympics layouts.

    Parameters
    ----------
    executor
        Any coffea executor; a ``DaskExecutor`` without client gets a local cluster for the call.
    chunksize
        Events per work item, which bounds the memory of a worker: 10,000 raw events are 170 MB.
    maxchunks
        At most this many work items per dataset; None for all.
    savemetrics
        Return ``(output, metrics)`` with metrics ``entries``, ``processtime`` (s) and ``chunks``.
    skipbadfiles
        Leave out files that cannot be opened or have no known layout, with a warning. A file that fails later
        stops the run; :func:`processors.run_files` leaves such files out as a whole.
    """

    executor: ExecutorBase
    chunksize: int = 10_000
    maxchunks: int | None = None
    savemetrics: bool = False
    skipbadfiles: bool = False

    def __call__(
        self, fileset: Mapping[str, Any], processor_instance: Processor, *, treename: str | None = None
    ) -> Any:
        """The merged and postprocessed output of ``processor_instance`` over a coffea fileset.

        ``treename`` is the key of the pandas frame where files hold several. Raises InputError, naming the file, for
        input that cannot be read.
        """
        reader = HDF5Reader()
        with connected(self.executor) as executor:
            items = self._items(files_of(fileset, treename=treename), reader)
            if not items:
                raise InputError("no file is left to process: the fileset is empty, or all its files are bad.")
            work = partial(process_item, reader=reader, processor=processor_instance)
            merged = execute(executor, items, work, unit="chunk", description="Processing")
        output = postprocess(processor_instance, merged["out"])
        return (output, {**merged["metrics"], "chunks": len(items)}) if self.savemetrics else output

    def _items(self, entries: Iterable[FileEntry], reader: Reader) -> list[WorkItem]:
        items: list[WorkItem] = []
        chunks: dict[str, int] = {}
        for entry in entries:
            try:
                summary = reader.inspect(entry.filename, entry.treename)
            except Exception as error:
                failure = describe_failure(error, entry.filename)
                if not self.skipbadfiles or not is_bad_input(error):
                    raise failure from error
                warnings.warn(f"skipping a bad file: {failure}", stacklevel=3)
                continue
            for item in divide(entry, summary, chunksize=self.chunksize):
                if self.maxchunks is None or chunks.get(entry.dataset, 0) < self.maxchunks:
                    items.append(item)
                    chunks[entry.dataset] = chunks.get(entry.dataset, 0) + 1
        return items


def divide(entry: FileEntry, summary: FileSummary, *, chunksize: int) -> list[WorkItem]:
    """Work items of about ``chunksize`` events, as coffea's Runner divides a file; an empty file makes one."""
    if chunksize < 1:
        raise InputError(f"the chunk size is {chunksize}, expected a positive number of events.")
    metadata = {**entry.metadata, "numentries": summary.n_events, "uuid": summary.uuid}
    meta = FileMeta(entry.dataset, entry.filename, entry.treename or "", metadata)
    return list(meta.chunks(chunksize, False))


def process_item(item: WorkItem, *, reader: Reader, processor: Processor) -> dict[str, Any]:
    """Read one work item and process it; bad input is raised as one InputError that names the file."""
    begin = time.perf_counter()
    try:
        with reader.read(item) as events:
            out = processor.process(events) if isinstance(processor, ProcessorABC) else processor(events)
    except Exception as error:
        if is_bad_input(error):
            raise describe_failure(error, item.filename) from error
        raise
    if out is None:
        raise TypeError(f"{type(processor).__name__} returned None for a chunk, expected an accumulator")
    metrics = {"entries": len(item), "processtime": time.perf_counter() - begin}
    return {"out": out, "metrics": metrics}


def execute(
    executor: ExecutorBase, items: list[Any], function: Callable[[Any], Any], *, unit: str, description: str
) -> Any:
    """The accumulated results of ``function`` over at least one item, by any coffea executor."""
    settings: dict[str, Any] = {"unit": unit, "desc": description, "function_name": description}
    if isinstance(executor, DaskExecutor):
        # a coffea Runner leaves its processor here, and items would then come in pairs with it
        settings["heavy_input"] = None
    with _bars(shown=executor.status):
        accumulated, exception = executor.copy(**settings)(items, function, None)
    if exception:  # a recoverable executor hands back what it has: part of the events is not a result
        raise exception
    return accumulated


@contextlib.contextmanager
def _bars(*, shown: bool) -> Iterator[None]:
    """Hide coffea's progress bars unless wanted: its executors draw them whatever their ``status``."""
    console = getattr(coffea.util, "coffea_console", None)
    if shown or console is None or console.quiet:
        yield
        return
    console.quiet = True
    try:
        yield
    finally:
        console.quiet = False


def postprocess(processor: Processor, accumulated: Any) -> Any:
    """What the processor makes of its merged output, which is the output itself where it makes nothing."""
    finish = getattr(processor, "postprocess", None)
    finished = finish(accumulated) if callable(finish) else None
    return accumulated if finished is None else finished


@contextlib.contextmanager
def connected(executor: ExecutorBase) -> Iterator[ExecutorBase]:
    """The executor itself, or a Dask executor without client joined to a local cluster for as long as needed."""
    if isinstance(executor, DaskExecutor) and executor.client is None:
        from distributed import Client

        with Client(threads_per_worker=1) as client:
            yield executor.copy(client=client)
    else:
        yield executor
