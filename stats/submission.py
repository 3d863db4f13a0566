"""HEPData tables to a submission: a folder of YAML files and its archive, validated and written whole or not at all."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import yaml

from stats.errors import StatisticsError

with warnings.catch_warnings():
    # its validator imports a name that jsonschema deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from hepdata_lib import Submission, Table
    from hepdata_validator.full_submission_validator import FullSubmissionValidator


def write_submission(directory: Path, archive: Path, *, tables: Sequence[Table], comment: str) -> list[Path]:
    """Write ``directory`` (YAML files only, as hepdata-validator wants it) and ``archive`` (.tar.gz of the same).

    The same tables give the same bytes. What was there before is replaced once the new submission is whole and valid.

    Args:
        comment: what the submission is about, in place of the paper's abstract.

    Returns:
        The paths of submission.yaml, of the tables in order, and of the archive.

    Raises:
        StatisticsError: for no tables, two of the same file name, and a submission that hepdata-validator refuses.
    """
    _check_names(tables)
    directory.parent.mkdir(parents=True, exist_ok=True)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as scratch:
        made = Path(scratch) / "submission"
        made.mkdir()
        files = _write_yaml(made, tables, comment)
        validate_submission(made)
        packed = Path(scratch) / "archive"
        packed.write_bytes(_packed([made / file for file in files]))
        _replace(directory, made, archive, packed, Path(scratch) / "old")
    return [*(directory / file for file in files), archive]


def validate_submission(directory: Path) -> None:
    """Raise StatisticsError, naming every fault, where hepdata-validator refuses the folder."""
    validator = FullSubmissionValidator(autoload_remote_schemas=False)
    with warnings.catch_warnings():
        # it leaves files to be closed by the garbage collector and uses what jsonschema deprecates
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        valid = validator.validate(directory=str(directory))
    if not valid:
        faults = [
            f"{Path(file).name}: {message.message}"
            for file, messages in validator.get_messages().items()
            for message in messages
        ]
        raise StatisticsError("hepdata-validator refuses the submission: " + "; ".join(faults))


def _check_names(tables: Sequence[Table]) -> None:
    if not tables:
        raise StatisticsError("A HEPData submission needs at least one table.")
    seen: dict[str, str] = {}
    for table in tables:
        file = _file_name(table)
        if file in seen:
            raise StatisticsError(
                f"The tables {seen[file]!r} and {table.name!r} would share the file {file}: rename a selection."
            )
        seen[file] = table.name


def _file_name(table: Table) -> str:
    """The file that hepdata_lib gives a table."""
    return f"{table.name.lower().replace(' ', '_')}.yaml"


def _write_yaml(folder: Path, tables: Sequence[Table], comment: str) -> list[str]:
    """Write submission.yaml and the tables.

    As ``Submission.create_files`` does, which however puts its archive into the working directory and the time of day
    into the archive.
    """
    submission = Submission()
    header = {
        "additional_resources": submission.additional_resources,
        "comment": comment,
        "data_license": submission.get_license(),
    }
    text = yaml.safe_dump(header, default_flow_style=False, explicit_start=True)
    (folder / "submission.yaml").write_text(text, encoding="utf-8")
    return ["submission.yaml", *(table.write_yaml(str(folder)) for table in tables)]


def _packed(files: Sequence[Path]) -> bytes:
    """The files as a .tar.gz without times and owners."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for file in files:
            content = file.read_bytes()
            member = tarfile.TarInfo(file.name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _replace(directory: Path, made: Path, archive: Path, packed: Path, old: Path) -> None:
    """Put the new folder and archive in place; never is an old archive beside a new folder."""
    archive.unlink(missing_ok=True)
    if directory.exists():
        directory.rename(old)
    try:
        made.rename(directory)
    except OSError:
        if old.exists():
            old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)
    os.replace(packed, archive)
