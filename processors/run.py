"""One call from files of any format to a processor's output, with bad files found, listed or left out whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from coffea.processor import accumulate
from coffea.processor.executor import DaskExecutor, ExecutorBase, WorkItem

from processors.columns import OutputError, remove_parts
from processors.errors import InputError
from processors.failures import describe_failure, is_bad_input
from processors.hdf5_runner import Processor, connected, divide, execute, postprocess, process_item
from processors.identifiers import file_id
from processors.readers import FileEntry, FileSummary, Reader, files_of, reader_for
from processors.schemas import format_for

_log = logging.getLogger(__name__)
FileKey = tuple[str, str]  # dataset, filename


@dataclass(frozen=True)
class Output:
    """The result of :func:`run_files`.

    ``results`` is what the processor returns (its ``postprocess``), ``events`` the number of events read per
    dataset, ``skipped`` {dataset: [{"file", "reason"}]} the files left out, empty lists included.
    """

    results: Any
    events: dict[str, int]
    skipped: dict[str, list[dict[str, str]]]


def run_files(
    fileset: Mapping[str, Any],
    processor: Processor,
    *,
    format: str | Mapping[str, str],
    executor: ExecutorBase,
    chunksize: int = 10_000,
    treename: str | None = None,
    skip_bad_files: bool = False,
) -> Output:
    """Run a processor over ROOT or HDF5 files.

    ``fileset`` is coffea's; ``format`` is one of :data:`processors.schemas.FORMATS`, or {dataset: format}. Every
    file is opened and counted first. Results do not depend on the executor: outputs are merged file by file, in the
    order of the fileset.

    Raises one InputError that lists every file that cannot be opened, or, when all can, every one that is damaged
    inside, after reading them. With ``skip_bad_files``
    these are left out instead, each as a whole: a file that fails in its last chunk contributes nothing, and its
    Parquet parts are removed. A dataset of which nothing is left is still an error. Raises OutputError if columns
    cannot be written.
    """
    entries = files_of(fileset, treename=treename)
    formats = {dataset: format if isinstance(format, str) else format[dataset] for dataset in fileset}
    readers = {dataset: reader_for(name) for dataset, name in formats.items()}
    entries = [_with_tree(entry, formats[entry.dataset]) for entry in entries]
    _check_identities(entries)
    with connected(_local_retries(executor, entries)) as ready:
        summaries, bad = _inspect(entries, readers, ready)
        _stop_if_bad(bad, entries, skip=skip_bad_files)
        items = [
            item
            for entry in entries
            if _key(entry) in summaries
            for item in divide(entry, summaries[_key(entry)], chunksize=chunksize)
        ]
        work = partial(_process_guarded, readers=readers, processor=processor)
        merged = execute(ready, items, work, unit="chunk", description="Processing")
    return _collect(entries, summaries, merged, bad, processor=processor, skip=skip_bad_files)


def _key(entry: FileEntry) -> FileKey:
    return entry.dataset, entry.filename


def _with_tree(entry: FileEntry, format_name: str) -> FileEntry:
    tree = entry.treename or format_for(format_name).treename
    return FileEntry(entry.dataset, entry.filename, tree, entry.metadata)


def _check_identities(entries: Iterable[FileEntry]) -> None:
    """Events are told apart by the last two components of their file's path: these must differ in a dataset."""
    seen: dict[tuple[str, int], str] = {}
    for entry in entries:
        other = seen.setdefault((entry.dataset, file_id(entry.filename)), entry.filename)
        if other != entry.filename:
            raise InputError(
                f"{other} and {entry.filename}, both of dataset {entry.dataset!r}, cannot be told apart: files are "
                "identified by the last two components of their path. Rename one of them or its folder."
            )
    counts: dict[FileKey, int] = {}
    for entry in entries:
        counts[_key(entry)] = counts.get(_key(entry), 0) + 1
        if counts[_key(entry)] > 1:
            raise InputError(f"{entry.filename} is listed twice in dataset {entry.dataset!r}: list it once.")


def _local_retries(executor: ExecutorBase, entries: Iterable[FileEntry]) -> ExecutorBase:
    """A local file that failed once fails again, so only remote ones are worth another attempt."""
    if isinstance(executor, DaskExecutor) and not any("://" in entry.filename for entry in entries):
        return executor.copy(retries=0)
    return executor


def _inspect(
    entries: list[FileEntry], readers: Mapping[str, Reader], executor: ExecutorBase
) -> tuple[dict[FileKey, FileSummary], dict[FileKey, str]]:
    if not entries:
        raise InputError("there are no files to process: the fileset is empty.")
    found = execute(executor, entries, partial(_inspect_one, readers=readers), unit="file", description="Inspecting")
    return dict(found["summaries"]), dict(found["bad"])


def _inspect_one(entry: FileEntry, *, readers: Mapping[str, Reader]) -> dict[str, list[Any]]:
    try:
        summary = readers[entry.dataset].inspect(entry.filename, entry.treename)
    except Exception as error:
        if not is_bad_input(error):
            raise
        return {"summaries": [], "bad": [(_key(entry), str(describe_failure(error, entry.filename)))]}
    return {"summaries": [(_key(entry), summary)], "bad": []}


def _process_guarded(item: WorkItem, *, readers: Mapping[str, Reader], processor: Processor) -> dict[str, Any]:
    """One chunk, with failures as data: every bad file is then known at the end, whichever executor ran."""
    key = (item.dataset, item.filename)
    outcome: dict[str, Any] = {"out": {}, "bad": [], "unwritten": []}
    try:
        outcome["out"] = {key: process_item(item, reader=readers[item.dataset], processor=processor)["out"]}
    except InputError as error:
        _log.debug("bad input", exc_info=True)
        outcome["bad"] = [(key, item.entrystart, str(error))]
    except OutputError as error:
        outcome["unwritten"] = [str(error)]
    return outcome


def _collect(
    entries: list[FileEntry],
    summaries: Mapping[FileKey, FileSummary],
    merged: Mapping[str, Any],
    bad: dict[FileKey, str],
    *,
    processor: Processor,
    skip: bool,
) -> Output:
    for key, _, reason in sorted(merged["bad"], key=lambda failure: failure[1], reverse=True):
        bad[key] = reason  # the first failing chunk of the file has the last word
    outputs = merged["out"]
    try:
        if merged["unwritten"]:
            raise OutputError(sorted(merged["unwritten"])[0])
        _stop_if_bad(bad, entries, skip=skip)
    except (InputError, OutputError):
        _discard(outputs.values())
        raise
    _discard(output for key, output in outputs.items() if key in bad)
    good = [entry for entry in entries if _key(entry) not in bad]
    results = postprocess(processor, accumulate(outputs[_key(entry)] for entry in good))
    events = dict.fromkeys((entry.dataset for entry in entries), 0)
    for entry in good:
        events[entry.dataset] += summaries[_key(entry)].n_events
    return Output(results, events, _skipped(entries, bad))


def _skipped(entries: list[FileEntry], bad: Mapping[FileKey, str]) -> dict[str, list[dict[str, str]]]:
    skipped: dict[str, list[dict[str, str]]] = {entry.dataset: [] for entry in entries}
    for entry in entries:
        if _key(entry) in bad:
            skipped[entry.dataset].append({"file": entry.filename, "reason": bad[_key(entry)]})
            _log.warning("skipped a bad file: %s", bad[_key(entry)])
    return skipped


def _stop_if_bad(bad: Mapping[FileKey, str], entries: list[FileEntry], *, skip: bool) -> None:
    """Raise InputError with all reasons, unless files may be skipped and every dataset keeps one."""
    if not bad:
        return
    lost = {entry.dataset for entry in entries} - {entry.dataset for entry in entries if _key(entry) not in bad}
    if skip and not lost:
        return
    reasons = list(dict.fromkeys(bad.values()))
    if len(reasons) == 1:
        raise InputError(reasons[0])
    what = f"{len(bad)} of {len(entries)} files cannot be used"
    if skip:
        what += f", and nothing is left of dataset {', '.join(sorted(lost))}"
    raise InputError("\n- ".join([f"{what}:", *reasons]))


def _discard(outputs: Iterable[Any]) -> None:
    """Remove the Parquet parts that outputs name."""
    for output in outputs:
        manifests = output.get("parts", {}) if isinstance(output, Mapping) else {}
        for variations in manifests.values():
            for parts in variations.values():
                remove_parts(part["path"] for part in parts)
