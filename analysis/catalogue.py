"""datasets.yaml to local files: as given, downloaded or generated."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.config import Dataset
from analysis.errors import CatalogueError
from analysis.fetch import fetch_files
from analysis.samples import generate, is_complete, missing_files, sample_files
from analysis.validation import nearest

Progress = Callable[[int, int | None], None]
REMOTE = ("http://", "https://", "doi:")


@dataclass(frozen=True)
class Status:
    """What of a data set is on disk: files present of files expected, and their size in bytes."""

    present: int
    expected: int | None
    size: int

    @property
    def complete(self) -> bool:
        """Whether every expected file is there."""
        return self.expected is not None and self.present == self.expected > 0


@dataclass(frozen=True)
class Catalogue:
    """All data sets by name; downloads and generated files go below `directory`, local paths are taken from `base`."""

    entries: Mapping[str, Dataset]
    directory: Path
    base: Path = Path()

    def entry(self, name: str) -> Dataset:
        """Return a data set; raise CatalogueError naming the nearest one where it is unknown."""
        if name not in self.entries:
            raise CatalogueError(f"There is no data set {name!r} in the catalogue{nearest(name, list(self.entries))}")
        return self.entries[name]

    def folder(self, name: str) -> Path:
        """Return the folder that holds the downloaded or generated files of a data set."""
        return self.directory / name

    def local_files(self, name: str) -> list[str]:
        """Return the files of a data set; raise CatalogueError saying which command makes what is missing."""
        entry = self.entry(name)
        if entry.recipe is not None:
            files = sample_files(entry.recipe, self.folder(name), name)
            if not is_complete(entry.recipe, self.folder(name), name):
                raise CatalogueError(
                    f"The data set {name!r} is not generated yet (looked in {self.folder(name)}). "
                    f"Run `darkhorse generate {name}`."
                )
            return [str(file) for file in files]
        found = [path for pattern in entry.files for path in self._resolve(name, pattern)]
        return list(dict.fromkeys(found))

    def _resolve(self, name: str, pattern: str) -> list[str]:
        if pattern.startswith("root://"):
            return [pattern]
        if pattern.startswith(REMOTE):
            path = self.folder(name) / remote_name(pattern)
            if not path.is_file():
                raise CatalogueError(f"{path.name} of {name!r} is not downloaded. Run `darkhorse fetch {name}`.")
            return [str(path)]
        absolute = Path(pattern).expanduser()
        matches = sorted(glob.glob(str(absolute if absolute.is_absolute() else self.base / absolute), recursive=True))
        if not matches:
            start = "" if absolute.is_absolute() else f" (relative paths start at {self.base.resolve()})"
            raise CatalogueError(
                f"No file matches {pattern!r}, given for the data set {name!r}{start}. Correct the path or put the "
                "file there."
            )
        return matches

    def generate(self, name: str, *, workers: int, progress: Progress | None = None) -> list[Path]:
        """Make what is missing of a built-in sample; raise CatalogueError where the data set has no recipe."""
        entry = self.entry(name)
        if entry.recipe is None:
            raise CatalogueError(f"The data set {name!r} has no recipe: it is made of files, not generated.")
        return generate(entry.recipe, self.folder(name), name=name, workers=workers, progress=progress)

    def fetch(self, name: str, *, progress: Progress | None = None) -> list[Path]:
        """Download what is missing of a data set; raise CatalogueError where it has no remote file."""
        entry = self.entry(name)
        urls = [pattern for pattern in entry.files if pattern.startswith(REMOTE)]
        if not urls:
            raise CatalogueError(f"The data set {name!r} has nothing to download: none of its files is a URL.")
        targets = {url: remote_name(url) for url in urls}
        return fetch_files(targets, self.folder(name), checksums=entry.checksum, progress=progress)

    def status(self, name: str) -> Status:
        """Return what of a data set is on disk, without opening files."""
        entry = self.entry(name)
        expected: int | None
        if entry.recipe is not None:
            missing = {*missing_files(entry.recipe, self.folder(name), name)}
            wanted = sample_files(entry.recipe, self.folder(name), name)
            files, expected = [file for file in wanted if file not in missing], len(wanted)
        elif any(pattern.startswith("root://") for pattern in entry.files):
            files, expected = [], None
        else:
            files = []
            for pattern in entry.files:
                try:
                    files += [Path(path) for path in self._resolve(name, pattern)]
                except CatalogueError:
                    continue
            expected = max(len(entry.files), len(files))
        present = [file for file in files if Path(file).is_file()]
        return Status(len(present), expected, sum(Path(file).stat().st_size for file in present))


def remote_name(url: str) -> str:
    """Return the local name of a remote file: the last part of its path, without a query."""
    return url.split("?")[0].rstrip("/").removesuffix("/content").rsplit("/", 1)[-1]
