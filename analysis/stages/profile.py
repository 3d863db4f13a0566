"""What the nuisance parameters of a workspace do: pulls, impacts and the likelihood of the signal strength."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from stats import StatisticsError, impacts, nll_scan, pulls

logger = logging.getLogger(__name__)


def profile_of(workspace: Mapping[str, Any], *, mass: float) -> dict[str, Any]:
    """Return pulls, impacts and the likelihood scan of one workspace as plain data; `reason` where one fails."""
    made: dict[str, Callable[[], Any]] = {
        "pulls": lambda: pulls(workspace),
        "impacts": lambda: impacts(workspace),
        "nll_scan": lambda: nll_scan(workspace),
    }
    found: dict[str, Any] = {"mass": mass}
    for name, make in made.items():
        try:
            found[name] = make().to_dict()
        except StatisticsError as error:
            logger.warning("no %s at %g GeV: %s", name.replace("_", " "), mass, error)
            found[name] = {"reason": str(error)}
    return found
