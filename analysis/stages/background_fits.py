"""Does the background function describe the background that a selection keeps? Known from the truth, or simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.files import read_json, write_json
from analysis.stages.background import candidates_of, sqrt_s_of
from analysis.stages.hunt import hunted, hunted_family
from analysis.stages.selections import Selection
from analysis.store import code_key, content_key, library_versions
from stats import Family, Spectrum, StatisticsError
from stats.validation import saturated_test

TOYS = 1000  # an error of 0.016 on a p-value of 0.5
MOST_FAILED = 0.1  # of the toys: their p-value says little if more had no fit


@dataclass(frozen=True)
class BackgroundFit:
    """Fit of the search's background function to one spectrum of background.

    Attributes:
        p: of the fit against the saturated model, from toys that repeat it; None where there is no fit.
        facts: the entry in results.json: `family`, `p`, `deviance`, `ndof`, …, or `reason` where there is no fit.
    """

    p: float | None
    facts: dict[str, Any]


def background_fit(run: SearchRun, selection: Selection, spectrum: Spectrum) -> BackgroundFit:
    """Fit the function that the search takes for this sample to what the selection keeps of the background.

    The order is that of the sample, or the one that the hunt chose on this selection. The spectrum has no signal: no
    window is left out.
    """
    try:
        family = _family(run, selection)
    except (StageError, StatisticsError) as error:
        return BackgroundFit(None, {"reason": str(error)})
    key = content_key(
        [getattr(spectrum, name).tolist() for name in ("edges", "counts", "variances")], family.name,
        sqrt_s_of(run, selection.sample), run.search.seed, code_key("stats", "analysis.stages.background", __name__),
        library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/background_fits/{selection.identifier}",
        key,
        lambda target: write_json(target / "fit.json", _fit(run, selection, spectrum, family)),
    )
    facts = dict(read_json(folder / "fit.json"))
    return BackgroundFit(facts["p"]["value"] if "p" in facts else None, facts)


def _family(run: SearchRun, selection: Selection) -> Family:
    families = candidates_of(run, selection.sample)
    if len(families) == 1:
        return families[0]
    if run.search.bump_hunt is None:
        raise StageError("The order is chosen on each spectrum that is searched, and this search has no bump hunt.")
    return hunted_family(run, hunted(run, selection))


def _fit(run: SearchRun, selection: Selection, spectrum: Spectrum, family: Family) -> dict[str, Any]:
    workers, rng = run.options.executor.workers, run.rng(f"fit to the background of {selection.identifier}")
    try:
        found = saturated_test(spectrum, family, toys=TOYS, rng=rng, workers=workers)
    except StatisticsError as error:
        return {"family": family.name, "reason": str(error)}
    reason = ""
    if found.goodness.ndof < 1:
        # an event or two are described by any function, whatever their p-value
        reason = (
            f"{spectrum.total:g} events are too few: in groups of bins that expect five they leave nothing to test "
            f"beyond the {family.n_parameters} parameters of {family.name}."
        )
    elif found.failure_rate > MOST_FAILED:
        reason = f"{100 * found.failure_rate:.0f}% of the toys drawn from the fit could not be fitted."
    if reason:
        return {"family": family.name, "reason": reason}
    names = ("family", "deviance", "ndof", "p", "asymptotic_p", "failed")
    return {"events": spectrum.total, **{name: found.to_dict()[name] for name in names}}
