"""The code of the README and of the guides to detectors and statistics does what it says, as printed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.analysis.conftest import CommandLine
from tests.conftest import PROJECT


def blocks(language: str, document: str = "README.md") -> list[str]:
    """Return a document's blocks of code in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (PROJECT / document).read_text(), re.MULTILINE | re.DOTALL)


def test_the_notebook(
    program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, events_folder: Path
) -> None:
    """All cells one after the other, over a file where `make demo` puts it; coffea warns of indices we do not write."""
    (tmp_path / "data" / "qcd").mkdir(parents=True)
    shutil.copy(events_folder / "dijet-000.root", tmp_path / "data" / "qcd" / "qcd-000.root")
    cells = blocks("python")
    assert len(cells) == 3
    shown = "print(output['cutflow']['qcd']['nominal']['all']['events'], output['histograms']['mjj'].sum().value)"
    said = program("\n".join([*cells, shown]))
    assert said.returncode == 0, said.stderr
    others = [line for line in said.stderr.splitlines() if "Warning" in line and "cross-reference" not in line]
    assert not others
    *_, found, counted = said.stdout.splitlines()
    assert re.fullmatch(r"-?\d+\.\d+ [01]\.?\d*(e-\d+)?", found), found
    events, filled = map(float, counted.split())
    assert events == 1000
    assert 500 < filled <= 1000


def test_the_guide_to_the_statistics(program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    cells = blocks("python", "docs/statistics.md")
    assert len(cells) == 3
    shown = "print(hunt.to_dict()['mass'], limit.observed, pyhf.get_backend()[1].fits)"
    said = program("\n".join([*cells, shown]))
    assert said.returncode == 0, said.stderr
    assert "Warning" not in said.stderr
    mass, observed, fits = map(float, said.stdout.splitlines()[-1].split())
    assert abs(mass - 3500) <= 100
    assert observed > 50
    assert fits == 0


def test_the_guide_to_detectors(program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """All cells one after the other, with fewer events and trees, which train faster than networks."""
    smaller = {
        "n = 20_000": "n = 2_000",
        '"members": 8': '"members": 1, "classifier": "bdt", "bdt": {"iterations": 3}',
        "open_processes(4)": "open_processes(2)",
    }
    code = "\n".join([*blocks("python", "docs/detectors.md"), "print(selected.sum(), len(scores.event))"])
    for written, tried in smaller.items():
        assert code.count(written) == 1
        code = code.replace(written, tried)
    said = program(code)
    assert said.returncode == 0, said.stderr
    selected, events = map(int, said.stdout.splitlines()[-1].split())
    assert events == 2000
    assert 0 < selected < 100


def test_the_search(darkhorse: CommandLine, events_folder: Path) -> None:
    (content,) = blocks("yaml")
    name = content.splitlines()[0].removeprefix("# ")
    (darkhorse.folder / name).write_text(content)
    (darkhorse.folder / "events").symlink_to(events_folder)
    said = darkhorse("check", name)
    assert (said.status, said.err) == (0, "")
    assert f"{name.removesuffix('.yaml')}: valid" in said.out
    assert "on disk" in said.out


def test_the_commands(darkhorse: CommandLine) -> None:
    """Every command that the README names is one, with the options that it gives."""
    lines = [line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    given = [line[1:] for line in lines if line and line[0] == "darkhorse"]
    assert given
    for command in given:
        known = darkhorse(command[0], "--help")
        assert known.status == 0, command
        for option in command[1:]:
            assert not option.startswith("--") or option in known.out, command
