"""Angles of W' → X Y and of the decays of X and Y, as for longitudinally polarised vector bosons.

Pythia decays particles that it does not know isotropically. A vector that decays to two longitudinal vectors (or two
scalars), and a longitudinal vector that decays to two fermions, follow dN/dcos θ ∝ sin² θ: θ is the angle to the
beam, or to the flight of X or Y, in the rest frame of what decays. Events are accepted with that probability.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pythia8mc

from analysis.samples.resonance import WPRIME, X, Y

Momentum = tuple[float, float, float]


class LongitudinalAngles(pythia8mc.UserHooks):
    """Accept hard processes by their angles; `looked` and `accepted` count them."""

    def __init__(self, generator: np.random.Generator) -> None:
        pythia8mc.UserHooks.__init__(self)
        self.looked = 0
        self.accepted = 0
        self._generator = generator

    def canVetoProcessLevel(self) -> bool:
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:
        self.looked += 1
        veto = self._generator.random() > weight(process)
        self.accepted += not veto
        return bool(veto)


def weight(process: Any) -> float:
    """Return the product of sin² θ over W' and the two-body decays of X and Y; W' moves along the beam."""
    particles = [process[i] for i in range(process.size())]
    (wprime,) = [particle for particle in particles if abs(particle.id()) == WPRIME]
    beta = wprime.pz() / wprime.e()
    product = 1.0
    for particle in particles:
        if abs(particle.id()) not in (X, Y):
            continue
        flight = _in_frame(particle, beta)
        daughters = particles[particle.daughter1() : particle.daughter2() + 1]
        if abs(particle.id()) == X:
            others = [other for other in particles if abs(other.id()) == Y]
            product *= sin2((0.0, 0.0, 1.0), flight, masses=(wprime.m(), particle.m(), others[0].m()))
        if len(daughters) == 2:
            masses = (particle.m(), daughters[0].m(), daughters[1].m())
            product *= sin2(flight, _in_frame(daughters[0], beta), masses=masses)
    return product


def sin2(axis: Momentum, product: Momentum, *, masses: tuple[float, float, float]) -> float:
    """Return sin² θ of a decay product in the rest frame of its mother, which moves along `axis`.

    The momentum across the axis is the same in both frames, so that `product` may be that of the frame where `axis`
    is given (GeV); `masses` are those of the mother and its two products.
    """
    mother, first, second = masses
    size2 = (mother**2 - (first + second) ** 2) * (mother**2 - (first - second) ** 2) / (4 * mother**2)
    length2 = sum(component**2 for component in axis)
    along = sum(a * b for a, b in zip(axis, product, strict=True))
    across2 = sum(component**2 for component in product) - (along**2 / length2 if length2 > 0 else 0.0)
    return min(max(across2 / size2, 0.0), 1.0) if size2 > 0 else 1.0


def _in_frame(particle: Any, beta: float) -> Momentum:
    """Return the three-momentum in the frame that moves with velocity `beta` along the beam."""
    gamma = 1.0 / math.sqrt(1.0 - beta**2)
    return particle.px(), particle.py(), gamma * (particle.pz() - beta * particle.e())
