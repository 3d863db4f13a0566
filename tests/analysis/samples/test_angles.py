"""Angles of the signal: sin² θ in the right frames, and accepted in that proportion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.samples import Recipe
from analysis.samples import angles as module
from analysis.samples.angles import LongitudinalAngles, sin2
from analysis.samples.generator import make_pythia


@given(
    cosine=st.floats(-1, 1),
    azimuth=st.floats(0, 6.28),
    speed=st.floats(0, 0.999),
    masses=st.tuples(st.floats(1, 5), st.floats(0, 0.4), st.floats(0, 0.4)),
)
def test_sin2_of_a_decay_in_flight(cosine, azimuth, speed, masses):
    mother, first, second = masses
    size = np.sqrt((mother**2 - (first + second) ** 2) * (mother**2 - (first - second) ** 2)) / (2 * mother)
    sine = np.sqrt(1 - cosine**2)
    gamma = 1 / np.sqrt(1 - speed**2)
    along = gamma * (size * cosine + speed * np.hypot(size, first))
    product = (size * sine * np.cos(azimuth), size * sine * np.sin(azimuth), along)
    assert sin2((0.0, 0.0, 3.0), product, masses=masses) == pytest.approx(sine**2, abs=1e-6)


def test_events_are_accepted_in_proportion(monkeypatch):
    weights: list[float] = []
    kept: list[float] = []
    original = module.weight
    monkeypatch.setattr(module, "weight", lambda process: weights.append(original(process)) or weights[-1])

    class Recording(LongitudinalAngles):
        def doVetoProcessLevel(self, process):
            veto = super().doVetoProcessLevel(process)
            if not veto:
                kept.append(weights[-1])
            return veto

    recipe = Recipe(process="wprime_xy", events=1, seed=1, settings=["PartonLevel:all = off"])
    pythia = make_pythia(recipe, seed=1)
    hook = Recording(np.random.default_rng(2))
    pythia.addUserHooksPtr(hook)
    pythia.init()
    pythia.nextBatch(700)
    assert (hook.looked, hook.accepted) == (len(weights), len(kept))
    # isotropic: ⟨sin² θ⟩ = 2/3 for each of three decays; ∝ sin² θ: ⟨sin⁴⟩/⟨sin²⟩ = 4/5 each
    assert np.mean(weights) == pytest.approx((2 / 3) ** 3, abs=4 * np.std(weights) / np.sqrt(len(weights)))
    assert np.mean(kept) == pytest.approx((4 / 5) ** 3, abs=4 * np.std(kept) / np.sqrt(len(kept)))
