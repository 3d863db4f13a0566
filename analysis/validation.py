"""Turn pydantic's report into one paragraph that names the file, the key and the nearest valid name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from analysis.errors import ConfigurationError


def validated(model: type[BaseModel], content: Any, *, source: str | Path, prefix: str = "") -> Any:
    """Build `model` from `content`; raise ConfigurationError naming `source`, key and nearest valid name."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(describe(error, model, source=source, prefix=prefix)) from error


def describe(error: ValidationError, model: type[BaseModel], *, source: str | Path, prefix: str = "") -> str:
    """Return one paragraph for all problems that pydantic found."""
    problems = []
    for item in error.errors():
        path = ".".join(str(part) for part in (*([prefix] if prefix else []), *item["loc"])) or "(top level)"
        if item["type"] == "extra_forbidden":
            known = known_keys(model, item["loc"][:-1])
            problems.append(f"{path}: unknown key{nearest(str(item['loc'][-1]), known)}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = "" if item["type"] in {"missing", "value_error"} else f", got {item['input']!r}"
            problems.append(f"{path}: {message}{got}")
    return f"{source} is not valid. {corrected('; '.join(problems))}"


def corrected(said: str) -> str:
    """Return what is wrong with settings as a sentence, with where to mend it."""
    return f"{said}{'' if said.endswith('?') else '.'} Correct the file or the --set option."


def known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model at `path` below `model` accepts."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = _inner_model(current.model_fields[str(part)].annotation)
    return sorted(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _inner_model(annotation: Any) -> Any:
    """Return the pydantic model inside an annotation such as `Mapping[str, Mixture]` or `Recipe | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if found is not None:
            return found
    return None


def nearest(name: str, known: list[str]) -> str:
    """Return `; did you mean …` for the nearest known name, or the list of known names."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are: {', '.join(known)}" if known else ""
