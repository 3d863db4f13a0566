"""Figures to files: PNG and PDF, whole or not at all, the same bytes for the same figure."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis.files import whole
from analysis.plots.style import styled

# without these the files would carry the time and matplotlib's version
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

# every PDF would warn that the font was made long ago
logging.getLogger("fontTools.ttLib.tables._h_e_a_d").setLevel(logging.ERROR)


@styled
def save(figure: Figure, directory: str | Path, name: str) -> dict[str, Path]:
    """Write `figure` as `<directory>/<name>.png` and `.pdf`.

    Returns the paths by format. Each file is written under a temporary name and then renamed, so that a file with the
    final name is always whole.

    Raises:
        OSError: the directory cannot be made or written.
        ValueError: `name` is empty or has a path separator.
    """
    if not name or Path(name).name != name:
        raise ValueError(f"a figure's name is a plain file name without a folder, got {name!r}")
    folder = Path(directory)
    return {kind: _write(figure, folder / f"{name}.{kind}", kind) for kind in _METADATA}


def _write(figure: Figure, path: Path, kind: str) -> Path:
    with whole(path) as temporary:
        figure.savefig(temporary, format=kind, metadata=_METADATA[kind])
    return path
