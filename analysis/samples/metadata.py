"""What a generated file says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

METADATA_NAME = "darkhorse"


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a file written here; raise ValueError or OSError where it is not one."""
    # imported when needed: together they take a second, which `darkhorse --help` would wait for
    import h5py
    import uproot

    try:
        if path.suffix == ".root":
            with uproot.open(path) as file:
                return json.loads(str(file[METADATA_NAME]))
        with h5py.File(path) as file:
            return json.loads(bytes(file.attrs[METADATA_NAME]).decode())
    except KeyError as error:
        raise ValueError(f"{path} holds no description of a generated sample") from error
