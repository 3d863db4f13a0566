"""Search files and catalogues on disk: YAML, `--scale`, `--set`, and where a name leads to."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from analysis.config import Dataset, Search
from analysis.errors import CatalogueError, ConfigurationError
from analysis.validation import nearest, validated

logger = logging.getLogger(__name__)

SEARCHES = Path(__file__).parent / "searches"
_NAMED = ("mixtures", "detectors")  # sections whose entries have names of the user's choice
PROJECT = Path(__file__).resolve().parents[1]


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raise ConfigurationError naming line and column where it is not YAML."""
    try:
        text = path.read_text()
        _refuse_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader))
        content = yaml.safe_load(text)
    except FileNotFoundError:
        raise ConfigurationError(f"There is no file {path}. Check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(f"{path} is not readable YAML: {problem}. Correct the file.") from error
    if content is None:
        raise ConfigurationError(f"{path} is empty. A search or catalogue file is a YAML mapping.")
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} holds a {type(content).__name__}, not a mapping of keys to values.")
    return content


def _refuse_repeated_keys(node: yaml.Node | None) -> None:
    """Raise a YAML error where a mapping has the same key twice, which PyYAML would silently overwrite."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} appears twice", problem_mark=key.start_mark)
        seen.add(key.value)
        _refuse_repeated_keys(value)


def find_search(name: str) -> Path:
    """Return the file of a search given by path, or by name for the ready searches of `analysis/searches`."""
    path = Path(name)
    if path.is_file():
        return path
    ready = SEARCHES / f"{name}.yaml"
    if path.suffix == "" and path.parent == Path() and ready.is_file():
        return ready
    known = sorted(file.stem for file in SEARCHES.glob("*.yaml"))
    raise ConfigurationError(f"There is no search file {name}{nearest(name, known)}")


def load_search(
    name: str, *, overrides: Sequence[str] = (), scale: str | None = None, seed: int | None = None
) -> tuple[Search, Path]:
    """Read and validate a search file.

    `overrides` are `key.sub=value` strings, the value read as YAML; they come after the chosen `scale`.
    Raises ConfigurationError.
    """
    path = find_search(name)
    content = read_yaml(path)
    content.setdefault("name", path.stem)
    if scale is not None:
        content = _scaled(content, scale, path)
    for override in overrides:
        set_key(content, override)
    if seed is not None:
        content["seed"] = seed
    return validated(Search, content, source=path), path


def _scaled(content: dict[str, Any], scale: str, path: Path) -> dict[str, Any]:
    scales = content.get("scales") or {}
    if scale == "small" and "small" not in scales:
        return content  # a search file as written is the small scale
    if scale not in scales:
        raise ConfigurationError(f"{path} has no scale {scale!r}{nearest(scale, ['small', *scales])}")
    return merged(content, scales[scale])


def set_key(content: dict[str, Any], override: str) -> None:
    """Apply one `--set key.sub=value` to `content` in place; raise ConfigurationError where it cannot apply."""
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ConfigurationError(f"--set {override!r} is not of the form key.sub=value.")
    *parents, last = key.split(".")
    _require_known_name(content, override, parents)
    current: Any = content
    for depth, parent in enumerate(parents):
        current = current.setdefault(parent, {})
        if not isinstance(current, dict):
            raise ConfigurationError(f"--set {override!r}: {'.'.join(parents[: depth + 1])} is not a mapping.")
    try:
        current[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"--set {override!r}: the value is not YAML ({error.__class__.__name__}).") from error


def _require_known_name(content: Mapping[str, Any], override: str, parents: Sequence[str]) -> None:
    """Refuse a key inside an entry of the user's own naming that is not there; a whole new entry can be set."""
    if len(parents) < 2 or parents[0] not in _NAMED:
        return
    known = content.get(parents[0]) or {}
    if isinstance(known, Mapping) and parents[1] not in known:
        raise ConfigurationError(
            f"--set {override!r}: the search has no {'.'.join(parents[:2])}{nearest(parents[1], list(map(str, known)))}"
        )


def merged(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `update` laid over it, mapping by mapping."""
    result = copy.deepcopy(dict(base))
    for key, value in update.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def find_catalogue(search: Search | None = None, *, beside: Path | None = None) -> Path:
    """Return the catalogue: the search's own, `datasets.yaml` in the working folder, or the project's."""
    if search is not None and search.catalogue:
        named = Path(search.catalogue)
        options = [named, *([beside.parent / named] if beside else [])]
    else:
        options = [Path("datasets.yaml"), PROJECT / "datasets.yaml", Path(sys.prefix) / "share/darkhorse/datasets.yaml"]
    for option in options:
        if option.is_file():
            return option
    raise CatalogueError(f"No catalogue: none of {', '.join(map(str, options))} exists. Give one with `catalogue:`.")


def load_catalogue(
    path: Path, extra: Mapping[str, Any] | None = None, *, beside: Path | None = None
) -> dict[str, Dataset]:
    """Read a catalogue, lay a search's own `datasets` over it, and validate every entry.

    `beside` is the search file: relative paths of its own data sets start there.
    """
    own = dict(extra or {})
    if beside is not None:
        own = {name: _anchored(entry, beside.parent) for name, entry in own.items()}
    content = merged(read_yaml(path), own)
    sources = {name: (str(beside or "the command line"), f"datasets.{name}") for name in own}
    entries = {}
    for name, entry in content.items():
        source, prefix = sources.get(name, (str(path), str(name)))
        entries[name] = validated(Dataset, entry, source=source, prefix=prefix)
    return entries


def _anchored(entry: Any, folder: Path) -> Any:
    """Return a catalogue entry with its local files below `folder`, those with absolute paths and URLs as they are."""
    files = entry.get("files") if isinstance(entry, Mapping) else None
    if not isinstance(files, Sequence) or isinstance(files, str):
        return entry
    resolved = folder.resolve()
    return {**entry, "files": [file if _is_anchored(file) else str(resolved / file) for file in files]}


def _is_anchored(file: Any) -> bool:
    return not isinstance(file, str) or ":" in file.split("/")[0] or file.startswith(("/", "~"))
