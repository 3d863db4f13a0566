"""One HTTP download that goes on where an earlier one stopped, as a pooch downloader."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests
from pooch.downloaders import REQUESTS_HEADERS, doi_to_repository

from analysis.errors import DarkhorseError

Progress = Callable[[int, int | None], None]

BLOCK = 1 << 17  # bytes: a cut connection loses less than this, a slow one still moves the progress bar
REFUSALS = {
    401: "asks for a login",
    403: "does not permit the download",
    404: "has no such file; correct the address",
    410: "no longer has the file",
}


class FetchError(DarkhorseError):
    """A download that failed; nothing that looks whole is left behind."""


class InterruptedFetchError(FetchError):
    """A download that may succeed when it is tried again: what arrived is kept and the rest asked for."""


@dataclass(frozen=True)
class Partial:
    """What is known of a partial download: its address, the server's version mark and its full size in bytes."""

    url: str
    validator: str | None
    total: int | None

    @classmethod
    def load(cls, part: Path) -> Partial | None:
        """Return what was noted beside `part`, or None where nothing legible was."""
        try:
            return cls(**json.loads(note_path(part).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, part: Path) -> None:
        """Note it beside `part`."""
        note_path(part).write_text(json.dumps(asdict(self)))


def note_path(part: Path) -> Path:
    """Return where the notes on a partial download are kept."""
    return part.with_name(part.name + ".json")


def forget(part: Path) -> None:
    """Remove a partial download and the notes on it."""
    note_path(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


class ResumableDownloader:
    """A pooch downloader that resumes the output file it is given.

    A kept part is continued with `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14.2), so that the rest of a
    changed file is never glued to the beginning of an old one: a server that ignores ranges, or has another version by
    now, sends everything and the part is written anew. A part without a strong ETag or a date of change is continued
    only when `checksummed`, that is, when the caller compares a checksum afterwards.

    `progress(done, total)` is called with the bytes on disk, those of an earlier attempt included; `timeout` is the
    longest silence of the server in seconds.
    """

    def __init__(self, *, progress: Progress | None = None, timeout: float = 30.0, checksummed: bool = False) -> None:
        self.progress = progress
        self.timeout = timeout
        self.checksummed = checksummed

    def __call__(self, url: str, output_file: str | os.PathLike[str], pooch: Any = None) -> None:
        """Download `url` to `output_file`; raise FetchError, keeping what arrived for the next call."""
        part = Path(output_file)
        with _explained(url, part, self.timeout):
            known = self._known(url, part)
            offset = part.stat().st_size if known else 0
            if known and known.total == offset:
                self._report(offset, offset)
                return
            response = self._open(url, offset, known)
            if known and not _continues(response, offset, known):
                response.close()
                offset, response = 0, self._open(url, 0, None)
            with contextlib.closing(response):
                _check_status(response, url, resuming=offset > 0)
                self._save(response, url, part)

    def _known(self, url: str, part: Path) -> Partial | None:
        """Return the notes on `part` if it can be continued."""
        known = Partial.load(part)
        if known is None or known.url != url or not part.exists() or part.stat().st_size == 0:
            return None
        fits = known.total is None or part.stat().st_size <= known.total
        return known if fits and (known.validator or self.checksummed) else None

    def _open(self, url: str, offset: int, known: Partial | None) -> requests.Response:
        """Ask for `url` from byte `offset` on, provided that it is still the version in `known`."""
        headers = {**REQUESTS_HEADERS, "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if known and known.validator:
                headers["If-Range"] = known.validator
        return requests.get(url, headers=headers, stream=True, timeout=self.timeout)

    def _save(self, response: requests.Response, url: str, part: Path) -> None:
        """Write the body of `response` behind, or in place of, what `part` holds."""
        done = part.stat().st_size if response.status_code == 206 else 0
        total = _total(response)
        if total is None and not self.checksummed and "chunked" not in response.headers.get("Transfer-Encoding", ""):
            raise FetchError(
                f"{url} does not say how long it is and no checksum is known, so a cut download could not be told "
                "from a whole one. Add the file's `checksum` to the catalogue."
            )
        _require_space(part, (total or done) - done)
        with part.open("ab" if done else "wb") as file:
            if not done:  # after the file was emptied: a kill in between must not leave a new mark on old bytes
                Partial(url, _validator(response), total).save(part)
            self._report(done, total)
            for block in response.iter_content(BLOCK):
                file.write(block)
                done += len(block)
                self._report(done, total)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and done != total:
            raise InterruptedFetchError(f"{url} ended after {done} of {total} bytes. Run the same command again.")

    def _report(self, done: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress(done, total)


def resolve(url: str, *, timeout: float) -> tuple[str, str | None]:
    """Return the HTTP address of `url` and the checksum its archive publishes.

    `doi:<DOI>/<file name>` is looked up in the archive it belongs to (Zenodo, Figshare, Dataverse); HTTP addresses are
    returned as they are. Raises FetchError where the scheme is another one, or the archive does not know the file.
    """
    if url.startswith(("http://", "https://")):
        return url, None
    if not url.startswith("doi:") or url.count("/") < 2:
        raise FetchError(f"{url!r} cannot be downloaded: give an http(s):// address or doi:<DOI>/<file name>.")
    doi, name = url.removeprefix("doi:").rsplit("/", 1)
    registry: dict[str, str] = {}
    with _explained(url, None, timeout):
        try:
            repository = doi_to_repository(doi, headers=REQUESTS_HEADERS, timeout=timeout)
            address = repository.download_url(name)
            repository.populate_registry(SimpleNamespace(registry=registry))
        except requests.HTTPError as error:
            raise FetchError(f"The DOI {doi} of {url} was not found ({error}). Correct the address.") from error
        except requests.RequestException:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise FetchError(f"The archive of {url} does not list {name!r} ({error}). Correct the address.") from error
    return address, registry.get(name)


def _continues(response: requests.Response, offset: int, known: Partial) -> bool:
    """Return whether the answer to a range request can be used: the wanted range of the same file, or all of it."""
    if response.status_code == 416:
        return False
    if response.status_code != 206:
        return True
    span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if span is None or int(span[1]) != offset:
        return False
    same_length = known.total is None or span[3] in ("*", str(known.total))
    return same_length and (_validator(response) or known.validator) == known.validator


def _check_status(response: requests.Response, url: str, *, resuming: bool) -> None:
    """Raise FetchError unless the server sends the file, or the part of it that was asked for."""
    code = response.status_code
    if code == 200 or (code == 206 and resuming):
        return
    if code in (408, 425, 429) or code >= 500:
        raise InterruptedFetchError(
            f"{url} is not available now ({code} {response.reason}). What arrived is kept: run the same command later."
        )
    host = urlsplit(url).netloc
    raise FetchError(f"{url}: {host} {REFUSALS.get(code, 'did not send the file')} ({code} {response.reason}).")


def _total(response: requests.Response) -> int | None:
    """Return the full length of the file in bytes, where the server tells it."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    if response.status_code == 206:
        length = response.headers["Content-Range"].rsplit("/", 1)[-1]
    else:
        length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _validator(response: requests.Response) -> str | None:
    """Return what tells this version of the file from others: a strong ETag, else the time of its last change."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _require_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise FetchError(
            f"{part.parent} has {free / 1e9:.2f} GB left and the rest of {part.stem} needs {needed / 1e9:.2f} GB. Free "
            "some space or choose another folder; what was already downloaded is kept."
        )


@contextlib.contextmanager
def _explained(url: str, part: Path | None, timeout: float) -> Iterator[None]:
    """Turn what requests and the disk raise into a FetchError of one paragraph."""
    try:
        yield
    except requests.Timeout as error:
        raise InterruptedFetchError(f"{url} did not answer within {timeout:g} s. Try again later.") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise _connection_error(url, part, error) from error
    except requests.RequestException as error:
        raise FetchError(f"{url} cannot be downloaded: {error}.") from error
    except OSError as error:
        raise disk_error(part or Path(), error) from error


def _connection_error(url: str, part: Path | None, error: requests.RequestException) -> FetchError:
    """Return what a broken or impossible connection means to the user."""
    host = urlsplit(str(error.request.url) if error.request else url).netloc  # a DOI is asked for at doi.org
    causes = list(_chain(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return FetchError(f"{url}: the host {host} is not found. Check the address and the network connection.")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return FetchError(f"{url}: {host} refuses the connection. Check the address, or try again later.")
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return FetchError(f"{url}: no connection to {host} ({causes[-1]}). Check certificates and proxy settings.")
    kept = part.stat().st_size if part is not None and part.exists() else 0
    return InterruptedFetchError(
        f"{url}: the connection was cut ({causes[-1]}). {kept} bytes are kept: run the same command again to go on."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def disk_error(path: Path, error: OSError) -> FetchError:
    """Return what a failed write to `path` means to the user."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "Free some space and run the same command again: what arrived is kept" if full else "Choose another folder"
    return FetchError(f"Cannot write {path}: {error.strerror or error}. {advice}.")
