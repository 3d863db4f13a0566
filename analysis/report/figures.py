"""Figures as the report holds them: a file, its place, its caption, and its bytes inside the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportFigure:
    """One figure of the report.

    Attributes:
        section: where it stands: "data", "detectors", "selections", "limits" or "figures_of_merit"; anything else goes
            into a section of its own at the end.
        name: short name, part of the alternative text.
        path: the PNG; another suffix stands for the PNG beside it.
        caption: what it shows, in words.
    """

    section: str
    name: str
    path: Path | str
    caption: str = ""

    @property
    def png(self) -> Path:
        """The PNG that goes into the page."""
        return Path(self.path).with_suffix(".png")

    @property
    def alt(self) -> str:
        """Text for those who cannot see the figure."""
        return f"{self.name}: {self.caption}" if self.caption else self.name

    @property
    def pdf(self) -> str | None:
        """Name of the PDF beside it, None where there is none."""
        path = self.png.with_suffix(".pdf")
        return f"{path.parent.name}/{path.name}" if path.is_file() else None

    def data_uri(self) -> str | None:
        """The PNG as a data URI, so that the page needs no other file; None where the file cannot be read."""
        try:
            content = self.png.read_bytes()
        except OSError:
            return None
        return "data:image/png;base64," + base64.b64encode(content).decode("ascii")
