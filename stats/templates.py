"""pyhf workspaces of a signal above a simulated background, both as templates in bins.

For searches whose background comes from simulation, with the detector's response as a nuisance: each shape uncertainty
is one nuisance parameter (``histosys``) with templates one standard deviation up and down, normalisation included.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stats.channels import POI
from stats.errors import StatisticsError
from stats.models import Workspace
from stats.strength import largest_yield

LEAST = 1e-9  # events of a bin, below which a likelihood has no logarithm


def template_workspace(
    signal: np.ndarray,
    background: np.ndarray,
    *,
    shapes: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    background_error: np.ndarray | None = None,
    signal_error: np.ndarray | None = None,
    observed: np.ndarray | None = None,
    name: str = "selection",
) -> Workspace:
    """A pyhf workspace (JSON-ready) of one channel of n bins.

    Args:
        signal: events for ``mu`` = 1, shape (n,).
        background: expected events, shape (n,), every bin above 0.
        shapes: nuisance parameter → background one standard deviation up and down, shape (n,) each.
        background_error, signal_error: standard deviations from the number of simulated events, shape (n,); together
            one parameter per bin (``staterror``, Barlow and Beeston's light way).
        observed: events, shape (n,); None for as many as expected without signal (what pyhf calls Asimov data).

    Raises:
        StatisticsError: for shapes that differ, bins without background, numbers that are negative or not finite, and a
            signal of nothing.
    """
    given = {
        "signal": signal,
        "background": background,
        "background_error": background_error,
        "signal_error": signal_error,
        "observed": observed,
        **{f"{key} up": up for key, (up, _) in (shapes or {}).items()},
        **{f"{key} down": down for key, (_, down) in (shapes or {}).items()},
    }
    found = {key: np.asarray(one, dtype=float) for key, one in given.items() if one is not None}
    _check(found)
    own = found["background"]
    seen = found.get("observed", own)
    modifiers = [
        {
            "name": key,
            "type": "histosys",
            "data": {"hi_data": found[f"{key} up"].tolist(), "lo_data": found[f"{key} down"].tolist()},
        }
        for key in shapes or {}
    ]
    samples = [
        {
            "name": "signal",
            "data": found["signal"].tolist(),
            "modifiers": [{"name": POI, "type": "normfactor", "data": None}, *_simulated(name, found, "signal_error")],
        },
        {
            "name": "background",
            "data": own.tolist(),
            "modifiers": [*modifiers, *_simulated(name, found, "background_error")],
        },
    ]
    largest = largest_yield(seen) / float(found["signal"].sum())
    poi = {"name": POI, "bounds": [[0.0, largest]], "inits": [0.01 * largest]}
    return Workspace(
        version="1.0.0",
        channels=[{"name": name, "samples": samples}],
        observations=[{"name": name, "data": seen.tolist()}],
        measurements=[{"name": "templates", "config": {"poi": POI, "parameters": [poi]}}],
    )


def _simulated(name: str, found: Mapping[str, np.ndarray], key: str) -> list[dict[str, object]]:
    """The statistical errors of the templates: samples of one channel share their parameters by the name."""
    if key not in found:
        return []
    return [{"name": f"staterror_{name}", "type": "staterror", "data": found[key].tolist()}]


def _check(found: Mapping[str, np.ndarray]) -> None:
    shape = found["background"].shape
    for key, values in found.items():
        if values.ndim != 1 or values.shape != shape:
            raise StatisticsError(f"Every template needs one number per bin, {shape}: {key} has shape {values.shape}.")
        if not np.isfinite(values).all() or (values < 0).any():
            raise StatisticsError(f"{key} must hold finite numbers that are not negative, got {values.tolist()}.")
    empty = np.flatnonzero(found["background"] <= LEAST)
    if empty.size:
        raise StatisticsError(
            f"Bin {int(empty[0])} has no background: a count there cannot be told from signal. Widen the bins, or "
            "simulate more events."
        )
    if not found["signal"].sum() > 0:
        raise StatisticsError("No signal is left in any bin: there is nothing to set a limit on.")
