"""Downloads from a local server that cuts, changes, refuses and forgets as real ones do."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import download, fetch
from analysis.errors import DarkhorseError
from analysis.fetch import FetchError, InterruptedFetchError, fetch_file, fetch_files

CONTENT = bytes(range(251)) * 4000  # 1 MB, period prime to any block size
PROJECT = Path(__file__).resolve().parents[2]


def md5(content: bytes) -> str:
    return "md5:" + hashlib.md5(content).hexdigest()


@dataclass
class Remote:
    """What the server does, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=lambda: {"/events.h5": CONTENT})
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"first"'})
    cuts: list[int] = field(default_factory=list)  # close after so many bytes, one entry per request
    ranges: bool = True
    shift: int = 0  # answer ranges this many bytes off
    status: int = 200
    length: str = "stated"  # or chunked, or none
    wait: threading.Event | None = None  # hold the second half until set
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    def address(self, path: str = "/events.h5") -> str:
        return f"{self.url}{path}?download=1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        remote: Remote = self.server.remote  # type: ignore[attr-defined]
        remote.asked.append(dict(self.headers))
        self.close_connection = True
        content = remote.files.get(self.path.split("?")[0])
        if content is None or remote.status != 200:
            self.send_error(404 if content is None else remote.status)
            return
        start = self._start(remote)
        if start >= len(content) and start:
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if remote.length == "stated":
            self.send_header("Content-Length", str(len(body)))
        elif remote.length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        for key, value in remote.headers.items():
            self.send_header(key, value)
        self.end_headers()
        self._body(remote, body[: remote.cuts.pop(0)] if remote.cuts else body)

    def _start(self, remote: Remote) -> int:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        mark = self.headers.get("If-Range")
        if wanted is None or not remote.ranges or (mark and mark not in remote.headers.values()):
            return 0
        return int(wanted[1]) + remote.shift

    def _body(self, remote: Remote, body: bytes) -> None:
        half = len(body) // 2 if remote.wait else len(body)
        try:
            for block in (body[:half], body[half:]):
                self.wfile.write(block)
                self.wfile.flush()
                remote.sent += len(block)
                if remote.wait:
                    remote.wait.wait(10)
        except OSError:  # the client has gone
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def remote(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    remote = Remote(url=f"http://127.0.0.1:{server.server_port}")
    server.remote = remote  # type: ignore[attr-defined]
    yield remote
    if remote.wait:
        remote.wait.set()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "lhco" / "events.h5"


def left(target: Path) -> set[str]:
    """Names in the download folder."""
    return {path.name for path in target.parent.iterdir()} if target.parent.exists() else set()


def interrupt(remote: Remote, target: Path, after: int, **options: str) -> None:
    remote.cuts = [after]
    with pytest.raises(InterruptedFetchError, match="cut"):
        fetch_file(remote.address(), target, attempts=1, **options)  # type: ignore[arg-type]
    assert not target.exists()


def test_whole_download(remote: Remote, target: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    path = fetch_file(remote.address(), target, checksum=md5(CONTENT), progress=lambda *step: steps.append(step))
    assert path == target
    assert target.read_bytes() == CONTENT
    assert left(target) == {"events.h5", ".events.h5.fetched.json"}
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert steps == sorted(steps)
    assert "Range" not in remote.asked[0]


@pytest.mark.parametrize("checksum", [None, md5(CONTENT), hashlib.sha256(CONTENT).hexdigest().upper()])
def test_second_fetch_asks_and_reads_nothing(
    remote: Remote, target: Path, checksum: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_file(remote.address(), target, checksum=checksum)
    monkeypatch.setattr(pooch, "file_hash", lambda *_, **__: pytest.fail("the file was read again"))
    fetch_file(remote.address(), target, checksum=checksum)
    assert len(remote.asked) == 1


def test_touched_file_is_hashed_once(remote: Remote, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_file(remote.address(), target, checksum=md5(CONTENT))
    os.utime(target, (0, 0))
    hashed: list[str] = []
    original = pooch.file_hash
    monkeypatch.setattr(pooch, "file_hash", lambda path, alg: hashed.append(path) or original(path, alg=alg))
    for _ in range(2):
        fetch_file(remote.address(), target, checksum=md5(CONTENT))
    assert len(hashed) == len(remote.asked) == 1


@pytest.mark.parametrize("checksum", [None, md5(CONTENT)])
def test_cut_download_resumes(remote: Remote, target: Path, checksum: str | None) -> None:
    interrupt(remote, target, 700_000)
    kept = target.with_name("events.h5.part").stat().st_size
    assert 0 < kept <= 700_000
    steps: list[int] = []
    fetch_file(remote.address(), target, checksum=checksum, progress=lambda done, total: steps.append(done))
    assert remote.asked[1]["Range"] == f"bytes={kept}-"
    assert remote.asked[1]["If-Range"] == '"first"'
    assert target.read_bytes() == CONTENT
    assert steps[0] == kept
    assert remote.sent < 1.5 * len(CONTENT)
    assert left(target) == {"events.h5", ".events.h5.fetched.json"}


def test_goes_on_by_itself_while_something_arrives(remote: Remote, target: Path) -> None:
    remote.cuts = [200_000] * 4
    fetch_file(remote.address(), target, checksum=md5(CONTENT), attempts=2)
    assert len(remote.asked) == 5
    assert target.read_bytes() == CONTENT


def test_gives_up_when_nothing_arrives(remote: Remote, target: Path) -> None:
    remote.cuts = [0] * 5
    with pytest.raises(InterruptedFetchError):
        fetch_file(remote.address(), target, attempts=3)
    assert len(remote.asked) == 3
    assert left(target) == set()


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=4), ranges=st.booleans())
def test_same_bytes_wherever_it_is_cut(server: ThreadingHTTPServer, cuts: list[int], ranges: bool) -> None:
    remote = Remote(cuts=list(cuts), ranges=ranges, url=f"http://127.0.0.1:{server.server_port}")
    server.remote = remote  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "PAUSE", 0.0)
        patch.setenv("NO_PROXY", "127.0.0.1")
        path = fetch_file(remote.address(), Path(folder) / "events.h5", attempts=6)
        assert path.read_bytes() == CONTENT


def test_changed_file_is_not_glued(remote: Remote, target: Path) -> None:
    interrupt(remote, target, 500_000)
    other = CONTENT[::-1]
    remote.files["/events.h5"], remote.headers["ETag"] = other, '"second"'
    fetch_file(remote.address(), target)
    assert target.read_bytes() == other


def test_another_address_is_not_glued(remote: Remote, target: Path) -> None:
    interrupt(remote, target, 500_000)
    remote.files["/v2/events.h5"] = CONTENT[::-1]
    fetch_file(remote.address("/v2/events.h5"), target)
    assert target.read_bytes() == CONTENT[::-1]
    assert "Range" not in remote.asked[1]


def test_server_without_ranges(remote: Remote, target: Path) -> None:
    remote.ranges = False
    interrupt(remote, target, 500_000)
    fetch_file(remote.address(), target, checksum=md5(CONTENT))
    assert "Range" in remote.asked[1]
    assert target.read_bytes() == CONTENT


def test_wrong_range_is_not_believed(remote: Remote, target: Path) -> None:
    interrupt(remote, target, 500_000)
    remote.shift = 7
    fetch_file(remote.address(), target)
    assert target.read_bytes() == CONTENT
    assert ["Range" in asked for asked in remote.asked] == [False, True, False]


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({"ETag": 'W/"weak"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024 00:00:00 GMT"),
        ({}, ""),
    ],
)
def test_without_strong_tag(remote: Remote, target: Path, headers: dict[str, str], mark: str) -> None:
    """A date serves as well; with neither only a checksum makes resuming safe."""
    remote.headers = headers
    interrupt(remote, target, 500_000)
    fetch_file(remote.address(), target)
    assert remote.asked[1].get("If-Range", "") == mark
    assert ("Range" in remote.asked[1]) == bool(mark)
    assert target.read_bytes() == CONTENT
    target.unlink()
    interrupt(remote, target, 500_000)
    fetch_file(remote.address(), target, checksum=md5(CONTENT))
    assert "Range" in remote.asked[3]


def test_part_that_was_whole_needs_no_request(remote: Remote, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the last byte and the end of the checksum."""
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_verify", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch_file(remote.address(), target, checksum=md5(CONTENT))
    fetch_file(remote.address(), target, checksum=md5(CONTENT))
    assert len(remote.asked) == 1
    assert target.read_bytes() == CONTENT


def test_wrong_checksum_leaves_nothing(remote: Remote, target: Path) -> None:
    with pytest.raises(FetchError, match=f"{md5(CONTENT)} instead of {md5(b'other')} and was removed"):
        fetch_file(remote.address(), target, checksum=md5(b"other"))
    assert left(target) == set()


def test_file_already_there_is_hashed_and_never_overwritten(remote: Remote, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    fetch_file(remote.address(), target, checksum=md5(CONTENT))
    target.write_bytes(b"my own events")
    with pytest.raises(FetchError, match=r"damaged, or another file\. Move or delete it"):
        fetch_file(remote.address(), target, checksum=md5(CONTENT))
    assert target.read_bytes() == b"my own events"
    assert remote.asked == []


def test_truncated_after_download(remote: Remote, target: Path) -> None:
    fetch_file(remote.address(), target)
    target.write_bytes(CONTENT[:1000])
    with pytest.raises(FetchError, match=f"has 1000 bytes, but {len(CONTENT)} were downloaded"):
        fetch_file(remote.address(), target)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (404, FetchError, "has no such file"),
        (403, FetchError, "does not permit"),
        (503, InterruptedFetchError, "not available now"),
    ],
)
def test_refusals(remote: Remote, target: Path, status: int, kind: type[FetchError], message: str) -> None:
    remote.status = status
    with pytest.raises(kind, match=message) as caught:
        fetch_file(remote.address(), target, attempts=2)
    assert remote.address() in str(caught.value)
    assert str(status) in str(caught.value)
    assert type(caught.value) is kind
    assert isinstance(caught.value, DarkhorseError)
    assert left(target) == set()
    assert len(remote.asked) == (2 if kind is InterruptedFetchError else 1)


def test_refusal_keeps_what_arrived(remote: Remote, target: Path) -> None:
    interrupt(remote, target, 500_000)
    remote.status = 503
    with pytest.raises(InterruptedFetchError):
        fetch_file(remote.address(), target, attempts=1)
    remote.status = 200
    fetch_file(remote.address(), target)
    assert "Range" in remote.asked[2]
    assert target.read_bytes() == CONTENT


def test_refused_connection(remote: Remote, target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/events.h5"
        with pytest.raises(FetchError, match="refuses the connection"):
            fetch_file(address, target)
    assert left(target) == set()


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://data.invalid/events.h5", "data.invalid"), ("doi:10.5281/zenodo.42/events.h5", "doi.org")],
)
def test_unknown_host(target: Path, url: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(FetchError, match=f"the host {re.escape(host)} is not found"):
        fetch_file(url, target)
    assert left(target) == set()


def test_silent_server(remote: Remote, target: Path) -> None:
    remote.wait = threading.Event()
    with pytest.raises(InterruptedFetchError, match=r"bytes are kept"):
        fetch_file(remote.address(), target, timeout=0.2, attempts=1)
    assert target.with_name("events.h5.part").stat().st_size > 0
    assert not target.exists()


@pytest.mark.parametrize("url", ["root://eospublic.cern.ch//events.root", "ftp://host/events.h5", "doi:10.1/x", "x.h5"])
def test_addresses_that_cannot_be_downloaded(url: str, target: Path) -> None:
    with pytest.raises(FetchError, match="cannot be downloaded: give"):
        fetch_file(url, target)
    assert left(target) == set()


@pytest.mark.parametrize("checksum", ["md5:abc", "md5:" + "g" * 32, "crc:12345678", "", "a" * 32])
def test_checksums_that_are_none(remote: Remote, target: Path, checksum: str) -> None:
    with pytest.raises(FetchError, match="is not a checksum"):
        fetch_file(remote.address(), target, checksum=checksum)
    assert remote.asked == []


def test_length_unknown(remote: Remote, target: Path) -> None:
    """The end of a body is certain when it is chunked, and otherwise only with a checksum."""
    remote.length = "none"
    with pytest.raises(FetchError, match="does not say how long"):
        fetch_file(remote.address(), target)
    fetch_file(remote.address(), target, checksum=md5(CONTENT))
    target.unlink()
    remote.length = "chunked"
    fetch_file(remote.address(), target)
    assert target.read_bytes() == CONTENT


def run(code: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_full_disk(remote: Remote, target: Path) -> None:
    """A limit on the size of files makes the writes of a child process fail as a full disk does."""
    code = f"""
        import resource
        from pathlib import Path
        from analysis.fetch import FetchError, fetch_file
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        try:
            fetch_file({remote.address()!r}, Path({str(target)!r}))
        except FetchError as error:
            print(error)
    """
    with run(code) as child:
        output, errors = child.communicate(timeout=60)
    assert "Cannot write" in output, errors
    assert "File too large" in output
    assert left(target) == {"events.h5.part", "events.h5.part.json"}
    fetch_file(remote.address(), target)
    assert remote.asked[1]["Range"] == "bytes=300000-"
    assert target.read_bytes() == CONTENT


def test_killed(remote: Remote, target: Path) -> None:
    remote.wait = threading.Event()
    code = f"""
        from pathlib import Path
        from analysis.fetch import fetch_file
        def progress(done, total):
            print(done, flush=True)
        fetch_file({remote.address()!r}, Path({str(target)!r}), progress=progress)
    """
    with run(code) as child:
        assert child.stdout is not None
        while int(child.stdout.readline()) < 300_000:
            pass
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        child.stdout.read()
    remote.wait.set()
    assert left(target) == {"events.h5.part", "events.h5.part.json"}
    fetch_file(remote.address(), target)
    assert int(remote.asked[1]["Range"][6:-1]) >= 300_000
    assert target.read_bytes() == CONTENT


def test_too_little_space_is_said_first(remote: Remote, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(target.parent.parent)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FetchError, match=r"has 0\.00 GB left and the rest of events\.h5 needs 0\.00 GB"):
        fetch_file(remote.address(), target)
    assert left(target) == set()


def test_read_only_folder(remote: Remote, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FetchError, match=r"Cannot write .*events\.h5: Read-only file system"):
        fetch_file(remote.address(), target)


def test_folder_without_permission(remote: Remote, target: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    target.parent.mkdir(mode=0o500)
    with pytest.raises(FetchError, match="Permission denied"):
        fetch_file(remote.address(), target)


def test_folder_that_is_a_file(remote: Remote, target: Path) -> None:
    target.parent.write_text("")
    with pytest.raises(FetchError, match="Cannot write"):
        fetch_file(remote.address(), target)


def test_two_processes_do_not_write_one_file(remote: Remote, target: Path) -> None:
    target.parent.mkdir()
    with target.with_name("events.h5.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="by another process"):
            fetch_file(remote.address(), target)
    fetch_file(remote.address(), target)


@pytest.fixture
def zenodo(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let pooch find the archive of a DOI on the local server, listing events.h5 with a checksum."""

    def publish(checksum: str) -> None:
        listing = [{"key": "events.h5", "checksum": checksum, "links": {"self": f"{remote.url}/events.h5"}}]
        remote.files["/api/42"] = json.dumps({"id": 42, "files": listing}).encode()

    monkeypatch.setattr(pooch.downloaders, "doi_to_url", lambda *_, **__: "https://zenodo.org/records/42")
    monkeypatch.setattr(pooch.downloaders.ZenodoRepository, "base_api_url", f"{remote.url}/api")
    return publish


def test_doi_resumes_and_is_verified(remote: Remote, target: Path, zenodo: Callable[[str], None]) -> None:
    zenodo(md5(CONTENT))
    remote.cuts = [10**6, 500_000]
    with pytest.raises(InterruptedFetchError):
        fetch_file("doi:10.5281/zenodo.42/events.h5", target, attempts=1)
    fetch_file("doi:10.5281/zenodo.42/events.h5", target)
    assert "Range" in remote.asked[-1]
    assert target.read_bytes() == CONTENT
    assert json.loads((target.parent / ".events.h5.fetched.json").read_text())["checksum"] == md5(CONTENT)


def test_doi_with_published_checksum_that_differs(remote: Remote, target: Path, zenodo: Callable[[str], None]) -> None:
    zenodo(md5(b"other"))
    with pytest.raises(FetchError, match="was removed"):
        fetch_file("doi:10.5281/zenodo.42/events.h5", target)


def test_doi_without_that_file(remote: Remote, target: Path, zenodo: Callable[[str], None]) -> None:
    zenodo(md5(CONTENT))
    with pytest.raises(FetchError, match=r"does not list 'event\.h5'"):
        fetch_file("doi:10.5281/zenodo.42/event.h5", target)
    assert left(target) == set()


def test_several_files(remote: Remote, tmp_path: Path) -> None:
    remote.files = {"/a/one.h5": CONTENT, "/b/two.h5": CONTENT[:1000]}
    targets = {remote.address(path): Path(path).name for path in remote.files}
    steps: list[tuple[int, int | None]] = []
    paths = fetch_files(
        targets, tmp_path, checksums={"two.h5": md5(CONTENT[:1000])}, progress=lambda *step: steps.append(step)
    )
    assert paths == [tmp_path / "one.h5", tmp_path / "two.h5"]
    assert [path.read_bytes() for path in paths] == list(remote.files.values())
    assert steps[-1] == (len(CONTENT) + 1000, len(CONTENT) + 1000)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    fetch_files(targets, tmp_path)
    assert len(remote.asked) == 2


def test_several_files_that_contradict(remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="same file events"):
        fetch_files({"http://a/events.h5": "events.h5", "http://b/events.h5": "events.h5"}, tmp_path)
    with pytest.raises(FetchError, match=r"'event\.h5', which is not among the files; did you mean 'events\.h5'"):
        fetch_files({"http://a/events.h5": "events.h5"}, tmp_path, checksums={"event.h5": md5(b"")})
    assert remote.asked == []


def test_downloader_serves_pooch(remote: Remote, tmp_path: Path) -> None:
    path = pooch.retrieve(
        remote.address(), md5(CONTENT), fname="events.h5", path=tmp_path, downloader=download.ResumableDownloader()
    )
    assert Path(path).read_bytes() == CONTENT
