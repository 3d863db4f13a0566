"""Settings of detectors: plain mappings (YAML, JSON) into frozen dataclasses, with errors that name the key."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ml.errors import TrainingError, nearest_names

T = TypeVar("T")
FILE = "settings.json"


def settings_from_mapping(cls: type[T], content: Mapping[str, Any], *, where: str = "settings") -> T:
    """Build the dataclass `cls`; lists become tuples, nested mappings nested dataclasses.

    Raises:
        TrainingError: an unknown key (with the nearest name), a missing one, or a value of another kind than expected.
    """
    if not isinstance(content, Mapping):
        raise TrainingError(f"{where} must be a mapping of names to values: got {content!r}")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in content:
        if key not in fields:
            raise TrainingError(f"{where} has no key {key!r}: {nearest_names(str(key), fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in content:
            raise TrainingError(f"{where} lacks the key {name!r}")
    return cls(**{key: _value(hints[key], value, f"{where}.{key}") for key, value in content.items()})


def save_settings(settings: Any, directory: Path) -> None:
    """Write a settings dataclass as `settings.json`."""
    (Path(directory) / FILE).write_text(json.dumps(dataclasses.asdict(settings), indent=1))


def load_settings(cls: type[T], directory: Path) -> T:
    """Read what `save_settings` wrote; TrainingError as `settings_from_mapping`, naming the file."""
    file = Path(directory) / FILE
    return settings_from_mapping(cls, json.loads(file.read_text()), where=str(file))


def _value(expected: Any, value: Any, where: str) -> Any:
    origin = get_origin(expected)
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return value if isinstance(value, expected) else settings_from_mapping(expected, value, where=where)
    if origin in (Union, types.UnionType):
        options = get_args(expected)
        if value is None and type(None) in options:
            return None
        return _value(next(o for o in options if o is not type(None)), value, where)
    if origin is Literal:
        if value not in get_args(expected):
            raise TrainingError(f"{where} is {value!r}: {nearest_names(str(value), map(str, get_args(expected)))}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TrainingError(f"{where} must be a list: got {value!r}")
        return tuple(_value(get_args(expected)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    return _scalar(expected, value, where)


def _scalar(expected: Any, value: Any, where: str) -> Any:
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) is not (expected is bool) or not isinstance(value, expected):
        raise TrainingError(f"{where} must be {expected.__name__}: got {value!r}")
    return value
