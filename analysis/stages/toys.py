"""Toys of a pyhf workspace: limits and the discovery p-value where asymptotic formulae are not to be trusted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from analysis.context import SearchRun
from analysis.stages.channels import SELECTED, settings_of
from stats import StatisticsError, toy_discovery, toy_limit

logger = logging.getLogger(__name__)


def toys_of(run: SearchRun, workspace: Mapping[str, Any], purpose: str, *, unit: str = SELECTED) -> dict[str, Any]:
    """Return limits and p0 from toys as they stand under `toys` of a limit; `reason` where there is no limit."""
    settings, workers = settings_of(run), run.options.executor.workers
    logger.info("toys for the limit of %s", purpose)
    try:
        limit = toy_limit(
            workspace,
            level=settings.level,
            toys=settings.toys,
            rng=run.rng(f"limit {purpose}"),
            workers=workers,
            unit=unit,
        )
        p0 = toy_discovery(workspace, toys=settings.toys, rng=run.rng(f"discovery {purpose}"), workers=workers)
    except StatisticsError as error:
        logger.warning("%s: no limit from toys: %s", purpose, error)
        return {"reason": str(error)}
    return {**limit.to_dict(), "discovery": p0.to_dict()}
