"""The background model of a search doubted: does it fit, does it invent a signal, does it give one back?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.files import read_json, write_json
from analysis.numbers import format_toy_p
from analysis.stages.background import control_of, order_of, other_family
from analysis.stages.hunt import Hunted, hunt, hunted_family
from analysis.stages.process import processed
from analysis.stages.searched import window_of
from analysis.stages.selections import Selection, spectrum_of
from analysis.stages.shapes import hunted_shapes
from analysis.stages.signals import passing_rows, simulated_events
from analysis.statistics_settings import ValidationSettings
from analysis.store import code_key, content_key, library_versions
from stats import Family, Spectrum, StatisticsError
from stats.signals import SignalShape
from stats.validation import bias_matrix, injection_test, saturated_test, spurious_signal

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doubted:
    """What every test of one selection's background model starts from.

    Attributes:
        mask: bins outside the signal window, or None without a window: true functions are fitted there.
    """

    run: SearchRun
    hunted: Hunted
    family: Family
    shape: SignalShape
    mask: np.ndarray | None

    @property
    def spectrum(self) -> Spectrum:
        """Return the spectrum under test."""
        return self.hunted.spectrum

    @property
    def workers(self) -> int:
        """Return the number of threads."""
        return self.run.options.executor.workers

    def rng(self, test: str) -> np.random.Generator:
        """Return the random numbers of one test: they do not depend on which other tests are asked for."""
        return self.run.rng(f"{test} of {self.hunted.identifier}")


def validate(run: SearchRun) -> dict[str, dict[str, Any]]:
    """Return the tests of every selection that the search asks for, by identifier."""
    settings = run.search.validation
    if settings is None:
        return {}
    asked = [one for one in hunt(run).values() if one.selection.efficiency in settings.selections]
    found = {}
    with run.bar("validate") as progress:
        for index, hunted in enumerate(asked):
            make = partial(_validated, run, hunted, settings)
            found[hunted.identifier] = run.once(f"validated {hunted.identifier}", make)
            if progress is not None:
                progress(index + 1, len(asked))
    return found


def describe_tests(tests: dict[str, Any]) -> Iterator[str]:
    """Yield what every test of a selection said, in a few words."""
    for name, entry in tests.items():
        title = name.replace("_", " ")
        if "reason" in entry:
            yield f"{title} not tested ({entry['reason']})"
        elif "p" in entry and name.startswith("goodness"):
            yield f"{title} p {format_toy_p(entry['p'])}"
        elif "pairs" in entry:
            verdicts = [pair["verdict"] for pair in entry["pairs"]]
            yield f"{title}: {verdicts.count('unbiased')} of {len(verdicts)} pairs of functions unbiased"
        else:
            yield f"{title} {entry['verdict']}"


def background_orders(run: SearchRun) -> dict[str, dict[str, Any]]:
    """Return the F-test of every sample, where it chose the function or the validation asks to see it."""
    spectrum, checks = run.search.spectrum, run.search.validation
    if spectrum is None or run.search.bump_hunt is None:
        return {}
    chooses = spectrum.parameters == "f-test"
    if spectrum.order.control == "searched":
        return {name: entry for name, found in hunt(run).items() if (entry := _own_order(run, found)) is not None}
    if not (chooses or (checks is not None and checks.f_test)):
        return {}
    found = {}
    for sample in run.search.data:
        facts = {"control": control_of(run, sample).name, "threshold": spectrum.order.threshold, "chooses": chooses}
        try:
            found[sample] = {**order_of(run, sample).to_dict(), **facts}
        except StageError as error:
            if chooses:
                raise
            logger.warning("no F-test for %s: %s", sample, error)
            found[sample] = {**facts, "reason": str(error)}
    return found


def _own_order(run: SearchRun, found: Hunted) -> dict[str, Any] | None:
    """Return the F-test that a selection made on its own spectrum, None where its order was given."""
    assert run.search.spectrum is not None
    order = found.summary["bump_hunt"].get("order")
    if order is None:
        return None
    control = f"the searched spectrum of {found.identifier} itself, as every toy does"
    return {**order, "control": control, "threshold": run.search.spectrum.order.threshold, "chooses": True}


def _validated(run: SearchRun, hunted: Hunted, settings: ValidationSettings) -> dict[str, Any]:
    spurious = settings.spurious_signal
    simulation = processed(run, run.search.simulation).key if spurious and run.search.simulation else None
    key = content_key(
        hunted.key, settings, simulation, code_key("stats", __name__, "analysis.stages.background"), library_versions()
    )
    folder = run.results_store.make(
        f"stages/validation/{hunted.identifier}",
        key,
        lambda target: write_json(target / "validation.json", _tests(_doubted(run, hunted), settings)),
    )
    return dict(read_json(folder / "validation.json"))


def _doubted(run: SearchRun, hunted: Hunted) -> Doubted:
    window = window_of(run, hunted.selection.detector)
    mask = None if window is None else hunted.spectrum.outside(*window.signal)
    shape = hunted_shapes(run)[0]
    return Doubted(run, hunted, hunted_family(run, hunted), shape, mask)


def _tests(doubted: Doubted, settings: ValidationSettings) -> dict[str, Any]:
    """Return the results by test; a test that cannot be made says why and leaves the others alone."""
    tests: dict[str, Callable[[], Any] | None] = {
        "goodness": (lambda: _goodness(doubted, settings, None)) if settings.goodness_toys else None,
        "goodness_outside_window": (
            (lambda: _goodness(doubted, settings, doubted.mask))
            if settings.goodness_toys and doubted.mask is not None
            else None
        ),
        "bias": (lambda: _bias(doubted, settings)) if settings.bias else None,
        "spurious_signal": (lambda: _spurious(doubted, settings)) if settings.spurious_signal else None,
        "injection": (lambda: _injection(doubted, settings)) if settings.injection else None,
    }
    found: dict[str, Any] = {}
    for name, test in tests.items():
        if test is None:
            continue
        logger.info("%s of %s", name, doubted.hunted.identifier)
        try:
            found[name] = test().to_dict()
        except (StatisticsError, StageError) as error:
            logger.warning("%s of %s could not be tested: %s", name, doubted.hunted.identifier, error)
            found[name] = {"reason": str(error)}
    return found


def _goodness(doubted: Doubted, settings: ValidationSettings, mask: np.ndarray | None) -> Any:
    return saturated_test(
        doubted.spectrum,
        doubted.family,
        mask=mask,
        toys=settings.goodness_toys,
        rng=doubted.rng("goodness" if mask is None else "goodness outside"),
        workers=doubted.workers,
    )


def _bias(doubted: Doubted, settings: ValidationSettings) -> Any:
    assert settings.bias is not None
    families = [other_family(doubted.run, doubted.hunted.sample, choice) for choice in settings.bias.families]
    fits = {family.name: family for family in (doubted.family, *families)}
    return bias_matrix(
        doubted.spectrum,
        families,
        fits=list(fits.values()),
        masses=settings.bias.masses,
        strengths=settings.bias.injected,
        threshold=settings.bias.threshold,
        pull=settings.bias.pull,
        shape=doubted.shape,
        mask=doubted.mask,
        toys=settings.bias.toys,
        rng=doubted.rng("bias"),
        workers=doubted.workers,
    )


def _spurious(doubted: Doubted, settings: ValidationSettings) -> Any:
    assert settings.spurious_signal is not None
    assert doubted.run.search.bump_hunt is not None
    template = settings.spurious_signal.template
    if template == "simulation":
        spectrum, truth = _simulated(doubted.run, doubted.hunted.selection), None
        scale = _template_scale(doubted.spectrum, spectrum, doubted.mask)
    else:
        spectrum, truth, scale = doubted.spectrum, other_family(doubted.run, doubted.hunted.sample, template), 1.0
    return spurious_signal(
        spectrum,
        doubted.family,
        masses=doubted.run.search.bump_hunt.masses.values(),
        shape=doubted.shape,
        truth=truth,
        mask=doubted.mask if truth is not None else None,
        scale=scale,
        limit=settings.spurious_signal.threshold,
        tolerance=settings.spurious_signal.tolerance,
    )


def _template_scale(data: Spectrum, template: Spectrum, mask: np.ndarray | None) -> float:
    """Return events of the data over those of the template, in the bins of `mask` (n_bins,): no signal counts as data.

    Raises:
        StageError: one of them has no events there, so that nothing says how large the template is.
    """
    used = np.ones(data.n_bins, dtype=bool) if mask is None else mask
    seen, expected = float(data.counts[used].sum()), float(template.counts[used].sum())
    if not (seen > 0 and expected > 0):
        where = "in the spectrum" if mask is None else "outside the window"
        raise StageError(f"The template is scaled to the data {where}, and one of both has no events there.")
    return seen / expected


def _simulated(run: SearchRun, selection: Selection) -> Spectrum:
    """Return the simulation's spectrum after the selection: what a detector makes of the shape of its background."""
    assert run.search.simulation is not None
    assert run.search.spectrum is not None
    events = simulated_events(run, run.search.simulation)
    chosen = events.take(passing_rows(run, selection, events))
    what = f"what {selection.identifier} keeps of {run.search.simulation}"
    return spectrum_of(chosen, run.search.spectrum, what=what)


def _injection(doubted: Doubted, settings: ValidationSettings) -> Any:
    assert settings.injection is not None
    return injection_test(
        doubted.spectrum,
        doubted.family,
        mass=settings.injection.mass,
        strengths=settings.injection.strengths,
        pull=settings.injection.pull,
        shape=doubted.shape,
        mask=doubted.mask,
        toys=settings.injection.toys,
        rng=doubted.rng("injection"),
        workers=doubted.workers,
    )
