"""A Pythia generator for a recipe, and events from it in batches."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pythia8mc
from numpy.typing import NDArray

from analysis.samples.angles import LongitudinalAngles
from analysis.samples.errors import GenerationError
from analysis.samples.events import Events, Record, b_hadrons, read_batch, stable_particles
from analysis.samples.leading_jets import leading_jets
from analysis.samples.particle_level import particle_level
from analysis.samples.particles import Candidates
from analysis.samples.processes import pythia_settings
from analysis.samples.recipe import Recipe
from analysis.samples.response import detect
from analysis.samples.tops import TopPairs
from analysis.samples.veto import HOPELESS, LeadingJetVeto, hopeless

BATCH_EVENTS = 250
# Attempts per event wanted, before Pythia is taken to be stuck.
MAX_ATTEMPTS = 3.0


class Generator:
    """Pythia, the detector and the filter of one recipe, one seed for Pythia and one for the detector.

    Raises GenerationError for a setting that Pythia does not know or cannot start with.
    """

    def __init__(self, recipe: Recipe, *, seeds: np.random.SeedSequence) -> None:
        pythia_seed, detector_seed, angle_seed = seeds.spawn(3)
        self.pythia_seed = 1 + int(pythia_seed.generate_state(1, np.uint64)[0] % np.uint64(900_000_000))
        self.recipe = recipe
        self.passed = 0
        self._failed = 0  # in a row
        self._random = np.random.default_rng(detector_seed)
        self._pythia = make_pythia(recipe, seed=self.pythia_seed)
        self._veto = add_veto(self._pythia, recipe)  # Pythia does not keep the hooks alive
        self._angles = add_angles(self._pythia, recipe, generator=np.random.default_rng(angle_seed))
        self._tops = add_tops(self._pythia, recipe, generator=np.random.default_rng(angle_seed))
        if not self._pythia.init():
            raise GenerationError(
                f"Pythia cannot start {recipe.process} with the settings {list(recipe.settings)}: correct them. "
                "Usual reasons are processes switched off and parton densities that are not installed."
            )

    def next_events(self, attempts: int = BATCH_EVENTS) -> Events:
        """Generate `attempts` events and return those that pass the filter.

        Raises GenerationError when Pythia gives up or nothing passes the filter.
        """
        try:
            batch = self._pythia.nextBatch(attempts, MAX_ATTEMPTS)
        except RuntimeError as error:
            raise GenerationError(
                f"Pythia gave up generating {self.recipe.process} ({error}): its settings, or the masses and decays "
                "of the resonances, leave it too few valid events."
            ) from error
        record = read_batch(batch)
        weights = ak.to_numpy(ak.firsts(batch.info.weights, axis=1)).astype(np.float64)
        if self.recipe.makes_tops:
            events = particle_level(record, weights)
        else:
            events = Events(self._detected(record), b_hadrons(record), weights)
        kept = events.select(passes_filter(events.candidates, self.recipe))
        self.passed += kept.n_events
        self._failed = 0 if kept.n_events else self._failed + attempts
        if self._failed > HOPELESS:
            raise GenerationError(hopeless(self.recipe.min_leading_jet_pt or 0.0, self._failed))
        return kept

    def _detected(self, record: Record) -> Candidates:
        detector = self.recipe.detector
        max_eta = max(detector.electromagnetic.max_eta, detector.hadronic.max_eta, detector.tracker.max_eta)
        return detect(stable_particles(record, max_eta=max_eta), detector, generator=self._random)

    def counts(self) -> dict[str, float]:
        """Return what has been generated so far.

        `tried`: events of the process (top pairs: semileptonic ones), `passed` the filter (top pairs: `min_top_pt`);
        `cross_section` and `cross_section_error`: of the events kept, in pb.
        """
        info = self._pythia.infoPython()
        accepted = max(int(info.nAccepted()), 1)
        efficiency = self.passed / accepted
        sigma = 1e9 * float(info.sigmaGen())
        tried = int(info.nSelected())
        if self._angles is not None:  # what is not accepted for its angles was no event of the process
            sigma *= self._angles.looked / max(self._angles.accepted, 1)
            tried = self._angles.accepted
        if self._tops is not None:  # Pythia takes what was given up out of its cross-section
            tried = self._tops.looked
        relative = float(info.sigmaErr()) / float(info.sigmaGen()) if sigma > 0 else 0.0
        binomial = math.sqrt((1 - efficiency) / self.passed) if self.passed else 0.0
        value = sigma * efficiency
        return {
            "tried": tried,
            "passed": self.passed,
            "cross_section": value,
            "cross_section_error": value * math.hypot(relative, binomial),
        }


def make_pythia(recipe: Recipe, *, seed: int) -> pythia8mc.Pythia:
    """Return a Pythia with all settings of `recipe` read, before its `init`."""
    pythia = pythia8mc.Pythia("", False)
    for setting in pythia_settings(recipe, seed=seed):
        if not pythia.readString(setting, False):
            raise GenerationError(
                f"Pythia does not understand the setting {setting!r}: correct it in the recipe's `settings` "
                "(its manual lists all settings and their values)."
            )
    return pythia


def add_veto(pythia: pythia8mc.Pythia, recipe: Recipe) -> LeadingJetVeto | None:
    """Let Pythia give up hopeless events early, where the recipe has a filter; the caller keeps the hook alive."""
    if recipe.min_leading_jet_pt is None:
        return None
    early = recipe.process == "qcd_dijet"
    veto = LeadingJetVeto(recipe.min_leading_jet_pt, radius=recipe.jet_radius, early=early)
    pythia.addUserHooksPtr(veto)
    return veto


def add_angles(
    pythia: pythia8mc.Pythia, recipe: Recipe, *, generator: np.random.Generator
) -> LongitudinalAngles | None:
    """Let Pythia make the angles of the signal, where they are not isotropic; the caller keeps the hook alive."""
    if recipe.process != "wprime_xy" or recipe.signal.angles == "isotropic":
        return None
    angles = LongitudinalAngles(generator)
    pythia.addUserHooksPtr(angles)
    return angles


def add_tops(pythia: pythia8mc.Pythia, recipe: Recipe, *, generator: np.random.Generator) -> TopPairs | None:
    """Let Pythia give up top pairs that are not wanted, and colour octets; the caller keeps the hook alive."""
    if not recipe.makes_tops:
        return None
    octet = recipe.process == "resonance_ttbar" and recipe.top_signal.kind == "octet"
    tops = TopPairs(recipe.top_threshold, octet=generator if octet else None)
    pythia.addUserHooksPtr(tops)
    return tops


def passes_filter(candidates: Candidates, recipe: Recipe) -> NDArray[np.bool_]:
    """Return which events have a hardest jet within the recipe's bounds of pT and |eta|."""
    if recipe.min_leading_jet_pt is None:
        return np.ones(candidates.n_events, bool)
    pt, eta = leading_jets(candidates, radius=recipe.jet_radius, min_pt=recipe.min_leading_jet_pt)
    inside = np.abs(eta) < recipe.max_leading_jet_eta
    return inside if recipe.max_leading_jet_pt is None else inside & (pt < recipe.max_leading_jet_pt)
