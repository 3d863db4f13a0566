"""ABCD as a likelihood: a pyhf workspace with one channel per region and signal in all of them.

HistFactory multiplies the normalisation factors of a sample, so that sharing them between regions writes the estimate
down exactly: with b_D = N, b_B = N·t₁, b_C = N·t₂ and b_A = N·t₁·t₂ follows b_A = b_B·b_C/b_D at every point of the
fit, with nothing known but the counts. The six regions of the extended estimate need five factors (`_FACTORS`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from stats.abcd.regions import Regions, estimate
from stats.errors import StatisticsError
from stats.strength import largest_yield

POI = "mu"
CLOSURE = "abcd_closure"
CLOSURE_UNCERTAINTY = 0.1  # relative

# which normalisation factors multiply the background of each region. Extended: A · D² · B_far = C · B² · D_far holds
# for all values of the five, and every set of positive backgrounds that obeys it is reached.
_FACTORS: dict[bool, dict[str, tuple[str, ...]]] = {
    False: {"A": ("total", "first", "second"), "B": ("total", "first"), "C": ("total", "second"), "D": ("total",)},
    True: {
        "A": ("one", "two", "five"),
        "B": ("four", "five"),
        "C": ("one", "three"),
        "D": ("four",),
        "B_far": ("three", "five"),
        "D_far": ("two",),
    },
}
LARGEST_FACTOR = 1000.0  # of a background over its first guess


def abcd_workspace(
    regions: Regions,
    *,
    signal: Mapping[str, float] | None = None,
    closure: float = CLOSURE_UNCERTAINTY,
    blinded: bool = False,
    signal_systematics: Mapping[str, float | Mapping[str, float]] | None = None,
    largest: float | None = None,
) -> dict[str, Any]:
    """A pyhf workspace (JSON-ready) whose ``mu`` is the number of signal events in region A.

    Args:
        regions: observed counts, from `plain_regions` (four) or `extended_regions` (six).
        signal: share of the signal in every region, any normalisation; only in A by default, which makes limits too
            strong where the control regions hold signal: it raises the background that they predict.
        closure: relative uncertainty of b_A = b_B·b_C/b_D (log-normal); 0 for none.
        blinded: leave region A out. What remains predicts its background and cannot tell ``mu``.
        signal_systematics: name → relative uncertainty of the signal (log-normal), in all regions together or by
            region, as ``SignalShares.systematics`` gives the statistical errors of simulated shares.
        largest: upper bound of ``mu``; by default beyond what region A could hold.

    Raises:
        StatisticsError: for weighted events, no events at all, an empty divisor, shares that are negative or lack
            region A, uncertainties that are negative, and systematics named like a parameter of the workspace.
    """
    factors = _FACTORS["B_far" in regions.counts]
    shares = _shares(signal, factors)
    sizes = _by_region(signal_systematics or {}, factors)
    _check(
        regions, {"closure": closure, **{f"{n} in {r}": size for n, one in sizes.items() for r, size in one.items()}}
    )
    guesses = _first_guess(regions)
    channels = [name for name in factors if not (blinded and name == "A")]
    samples = {}
    for name in channels:
        modifiers = [{"name": f"abcd_{f}", "type": "normfactor", "data": None} for f in factors[name]]
        if name == "A" and closure > 0:
            modifiers.append(_normsys(CLOSURE, closure))
        poi: list[dict[str, Any]] = [{"name": POI, "type": "normfactor", "data": None}]
        poi += [_normsys(label, one[name]) for label, one in sizes.items() if one.get(name, 0.0) > 0]
        samples[name] = [
            {"name": "signal", "data": [shares[name]], "modifiers": poi},
            {"name": "background", "data": [guesses[name]], "modifiers": modifiers},
        ]
    largest = largest_yield(regions.counts["A"]) if largest is None else largest
    used = dict.fromkeys(f for name in channels for f in factors[name])
    parameters = [{"name": f"abcd_{f}", "bounds": [[1e-9, LARGEST_FACTOR]], "inits": [1.0]} for f in used]
    parameters.insert(0, {"name": POI, "bounds": [[0.0, float(largest)]], "inits": [1.0]})
    return {
        "version": "1.0.0",
        "channels": [{"name": name, "samples": samples[name]} for name in channels],
        "observations": [{"name": name, "data": [round(regions.counts[name])]} for name in channels],
        "measurements": [{"name": "abcd", "config": {"poi": POI, "parameters": parameters}}],
    }


def fitted_background(workspace: Mapping[str, Any], *, mu: float | None = None) -> dict[str, float]:
    """Background of every region from the fit of a workspace; of a blinded one also that of A, predicted.

    Args:
        mu: signal events in A held fixed, to take the contamination of the control regions off; fitted by default,
            and 0 for a blinded workspace.

    Raises:
        StatisticsError: where the fit fails, or a blinded workspace leaves no divisor.
    """
    import pyhf

    from stats.asymptotics import open_workspace
    from stats.minimiser import pyhf_session

    model, data = open_workspace(workspace)
    blinded = "A" not in model.config.channels
    with pyhf_session():
        try:
            if mu is None and not blinded:
                point = pyhf.infer.mle.fit(data, model)
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    point = pyhf.infer.mle.fixed_poi_fit(mu or 0.0, data, model)
        except (pyhf.exceptions.FailedMinimization, FloatingPointError, np.linalg.LinAlgError) as error:
            raise StatisticsError(
                f"The ABCD likelihood could not be fitted ({type(error).__name__}): its regions hold too little, or "
                "less than the signal that was asked for."
            ) from error
    found = _backgrounds(model, np.asarray(point, dtype=float))
    if blinded:
        regions = Regions({"A": 0.0, **found}, {"A": 0.0, **found}, is_counts=False)
        return {"A": estimate(regions).predicted, **found}
    return {channel["name"]: found[channel["name"]] for channel in workspace["channels"]}


def with_region_a(workspace: Mapping[str, Any], count: float) -> dict[str, Any]:
    """The same workspace with another observation in region A: the blinded prediction there gives limits without it."""
    observations = [
        {**entry, "data": [float(count)]} if entry["name"] == "A" else entry for entry in workspace["observations"]
    ]
    return {**workspace, "observations": observations}


def _backgrounds(model: Any, point: np.ndarray) -> dict[str, float]:
    """Events of the sample "background" in every region: what is expected without a signal, by pyhf itself."""
    point = point.copy()
    point[model.config.poi_index] = 0.0
    expected = np.asarray(model.expected_actualdata(point), dtype=float)
    return {name: float(expected[model.config.channel_slices[name]].sum()) for name in model.config.channels}


def _normsys(name: str, size: float) -> dict[str, Any]:
    # log-symmetric, so that no size makes a yield negative
    return {"name": name, "type": "normsys", "data": {"hi": 1.0 + size, "lo": 1.0 / (1.0 + size)}}


def _shares(signal: Mapping[str, float] | None, factors: Mapping[str, Any]) -> dict[str, float]:
    """Signal events per region for one in A."""
    given = {"A": 1.0} if signal is None else dict(signal)
    unknown = sorted(set(given) - set(factors))
    if unknown or given.get("A", 0.0) <= 0 or not all(np.isfinite(v) and v >= 0 for v in given.values()):
        raise StatisticsError(
            f"The signal's shares name regions among {', '.join(factors)}, are not negative, and put some signal into "
            f"A: got {given}."
        )
    return {name: float(given.get(name, 0.0) / given["A"]) for name in factors}


def _check(regions: Regions, sizes: Mapping[str, float]) -> None:
    if not regions.is_counts:
        raise StatisticsError(
            "The ABCD likelihood needs observed numbers of events, and these regions are weighted: use the plain or "
            "extended estimate, which propagate the weights."
        )
    wrong = [f"{name} {size:g}" for name, size in sizes.items() if not np.isfinite(size) or size < 0]
    if wrong:
        raise StatisticsError(f"Relative uncertainties are finite and not negative: got {', '.join(wrong)}.")


def _by_region(
    systematics: Mapping[str, float | Mapping[str, float]], factors: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, float]]:
    """Relative uncertainties of the signal: name → region → size."""
    own = {POI, CLOSURE, *(f"abcd_{f}" for regions in _FACTORS.values() for used in regions.values() for f in used)}
    taken = sorted(own & set(systematics))
    if taken:
        raise StatisticsError(
            f"{', '.join(taken)} {'is a parameter' if len(taken) == 1 else 'are parameters'} of every ABCD workspace: "
            "give the signal's systematic uncertainty another name, or it would be the same nuisance parameter."
        )
    found = {}
    for name, size in systematics.items():
        found[name] = dict(size) if isinstance(size, Mapping) else dict.fromkeys(factors, float(size))
        if unknown := sorted(set(found[name]) - set(factors)):
            raise StatisticsError(
                f"The systematic uncertainty {name!r} names {', '.join(unknown)}: regions are {', '.join(factors)}."
            )
    return found


def _first_guess(regions: Regions) -> dict[str, float]:
    """Positive backgrounds that obey the constraint, near the counts of the control regions."""
    estimate(regions)  # refuses an empty divisor
    powers = regions.powers
    guess = {name: max(regions.counts[name], 0.5) for name in powers}
    guess["A"] = float(np.prod([guess[name] ** power for name, power in powers.items()]))
    return guess
