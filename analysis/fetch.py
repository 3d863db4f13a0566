"""Downloads that resume, are verified, and appear under their own name only when whole.

While it runs, a download lives in `<name>.part` with notes in `<name>.part.json`; both stay when it is interrupted,
so that the next call asks only for the rest. A finished file gets a stamp, `.<name>.fetched.json`: its size, time of
change and checksum when it was verified. As long as size and time agree with the stamp the file is taken as it is,
without a request and without reading 18 GB again; where they do not, it is hashed once more.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pooch

from analysis.download import (
    FetchError,
    InterruptedFetchError,
    Progress,
    ResumableDownloader,
    disk_error,
    forget,
    note_path,
    resolve,
)
from analysis.validation import nearest

__all__ = ["FetchError", "InterruptedFetchError", "fetch_file", "fetch_files"]

logger = logging.getLogger(__name__)

PAUSE = 1.0  # seconds before the first new attempt; doubled before each further one


def fetch_file(
    url: str,
    destination: Path,
    *,
    checksum: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
) -> Path:
    """Download `url` to `destination` unless it is there already, and return `destination`.

    `url` is http(s):// or doi:<DOI>/<file name>; `checksum` is `md5:…`, `sha256:…` or a bare SHA-256, as in pooch.
    For a DOI the checksum published by the archive is used where none is given; without any, the length the server
    states must match. `progress(done, total)` gets bytes; `timeout` is the longest silence in seconds; a cut
    connection is resumed until `attempts` in a row bring nothing new.

    Raises FetchError: wrong checksum (the download is removed), refusal by the server, no connection, no space, no
    permission to write; or a file at `destination` that is not the one asked for, which is never overwritten.
    """
    destination = Path(destination)
    expected = _normalised(checksum)
    with _disk_errors(destination):
        if destination.exists():
            _accept(destination, url, expected)
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        part = destination.with_name(destination.name + ".part")
        with _locked(part):
            if destination.exists():  # another process finished it just now
                _accept(destination, url, expected)
                return destination
            address, published = resolve(url, timeout=timeout)
            expected = expected or _normalised(published)
            downloader = ResumableDownloader(progress=progress, timeout=timeout, checksummed=expected is not None)
            _persist(downloader, address, part, attempts=attempts)
            _verify(part, url, expected)
            os.replace(part, destination)
            note_path(part).unlink(missing_ok=True)
        _write_stamp(destination, url, expected)
    return destination


def fetch_files(
    targets: Mapping[str, str],
    directory: Path,
    *,
    checksums: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
) -> list[Path]:
    """Download every address in `targets` (address → file name) into `directory`; return the files in that order.

    `checksums` go by file name. `progress(done, total)` adds up the files begun so far. Raises FetchError as
    `fetch_file` does, and for two addresses with one file name or a checksum of a file that is not among them.
    """
    checksums = checksums or {}
    names = list(targets.values())
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise FetchError(
            f"Two addresses would be written to the same file {doubles[0]}. Split them into two data sets."
        )
    for name in checksums:
        if name not in names:
            raise FetchError(f"There is a checksum for {name!r}, which is not among the files{nearest(name, names)}")
    paths: list[Path] = []
    finished = 0
    for url, name in targets.items():
        path = fetch_file(
            url,
            Path(directory) / name,
            checksum=checksums.get(name),
            progress=_shifted(progress, finished),
            timeout=timeout,
            attempts=attempts,
        )
        finished += path.stat().st_size
        paths.append(path)
    return paths


def _shifted(progress: Progress | None, finished: int) -> Progress | None:
    """Return `progress` for one file of several, after `finished` bytes of others."""
    if progress is None:
        return None
    return lambda done, total: progress(finished + done, None if total is None else finished + total)


def _persist(downloader: ResumableDownloader, address: str, part: Path, *, attempts: int) -> None:
    """Resume until the download is whole, or `attempts` in a row bring nothing new."""
    failures, longest = 0, part.stat().st_size
    while True:
        try:
            return downloader(address, part)
        except InterruptedFetchError as error:
            size = part.stat().st_size
            failures = 1 if size > longest else failures + 1
            longest = max(longest, size)
            if failures >= attempts:
                raise
            logger.warning("%s (Going on by itself.)", error)
            time.sleep(PAUSE * 2 ** (failures - 1))


def _normalised(checksum: str | None) -> str | None:
    """Return `algorithm:digest` in lower case; raise FetchError before anything is downloaded in vain."""
    if checksum is None:
        return None
    algorithm, _, digest = checksum.strip().lower().rpartition(":")
    algorithm = algorithm or "sha256"
    length = 2 * hashlib.new(algorithm).digest_size if algorithm in hashlib.algorithms_available else 0
    if len(digest) != length or set(digest) - set("0123456789abcdef"):
        raise FetchError(f"{checksum!r} is not a checksum. Expected md5: and 32, or sha256: and 64 hexadecimal digits.")
    return f"{algorithm}:{digest}"


def _matches(path: Path, expected: str) -> tuple[bool, str]:
    """Return whether the file has the expected checksum, and the one it has."""
    logger.info("Verifying the checksum of %s", path)
    algorithm = expected.split(":")[0]
    found = f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"
    return found == expected, found


def _verify(part: Path, url: str, expected: str | None) -> None:
    """Remove the download and raise FetchError where its checksum is not the expected one."""
    if expected is None:
        return
    same, found = _matches(part, expected)
    if not same:
        forget(part)
        raise FetchError(
            f"{url} arrived with the checksum {found} instead of {expected} and was removed. Try again; if it stays, "
            "the file has changed: compare with its publisher before you correct `checksum` in the catalogue."
        )


def _accept(path: Path, url: str, expected: str | None) -> None:
    """Raise FetchError unless the file on disk is the one asked for; hash it only where no stamp vouches for it."""
    advice = "Move or delete it to download it again."
    if not path.is_file():
        raise FetchError(f"{path} is in the way: it is not a file. {advice}")
    stamp = _read_stamp(path)
    size, changed = path.stat().st_size, path.stat().st_mtime_ns
    if expected is None:
        if stamp and stamp.get("size") != size:
            raise FetchError(
                f"{path} has {size} bytes, but {stamp.get('size')} were downloaded: it is damaged. {advice}"
            )
        if stamp and stamp.get("url") != url:
            logger.warning("%s was downloaded from %s, not from %s", path, stamp.get("url"), url)
        return
    if stamp and (stamp.get("size"), stamp.get("changed"), stamp.get("checksum")) == (size, changed, expected):
        return
    same, found = _matches(path, expected)
    if not same:
        raise FetchError(f"{path} has the checksum {found} instead of {expected}: damaged, or another file. {advice}")
    with contextlib.suppress(OSError):  # a folder that others provide may be read-only
        _write_stamp(path, url, expected)


def _stamp_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.fetched.json")


def _read_stamp(path: Path) -> dict[str, Any] | None:
    try:
        stamp = json.loads(_stamp_path(path).read_text())
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def _write_stamp(path: Path, url: str, checksum: str | None) -> None:
    stat = path.stat()
    stamp = {"url": url, "size": stat.st_size, "changed": stat.st_mtime_ns, "checksum": checksum}
    _stamp_path(path).write_text(json.dumps(stamp))


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[None]:
    """Hold the partial download against other processes; remove it afterwards if nothing arrived."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FetchError(f"{part.stem} is being downloaded by another process ({part} is in use).") from error
        except OSError:
            logger.debug("The file system of %s has no locks", part)
        try:
            yield
        finally:
            if part.exists() and part.stat().st_size == 0:
                forget(part)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error
