"""The Pythia 8 settings of each built-in process."""

from __future__ import annotations

from analysis.samples.recipe import Recipe
from analysis.samples.resonance import WPRIME, Decaying, Resonance, X, Y

# The range of a resonance's mass, in widths: the parton densities would otherwise fill the far low tail.
WIDTHS_IN_RANGE = 15


def pythia_settings(recipe: Recipe, *, seed: int) -> list[str]:
    """Return the strings that make Pythia generate `recipe` with `seed` (1 to 900,000,000), in order.

    As in the LHC Olympics sample there are no multiparton interactions. The recipe's own `settings` come after
    those of the process, so that they win.
    """
    return [
        "Print:quiet = on",
        "Random:setSeed = on",
        f"Random:seed = {seed}",
        f"Beams:eCM = {1000 * recipe.sqrt_s:g}",
        "PartonLevel:MPI = off",
        *(_wprime(recipe.signal) if recipe.process == "wprime_xy" else _qcd(recipe)),
        *recipe.settings,
    ]


def _qcd(recipe: Recipe) -> list[str]:
    return ["HardQCD:all = on", f"PhaseSpace:pTHatMin = {recipe.hard_scale:g}"]


def _wprime(resonance: Resonance) -> list[str]:
    """W' → X Y as an extra channel of Pythia's own W', the only one that is on.

    `meMode` 103 takes the branching ratio as it is given: the process knows no matrix element for X Y.
    """
    wprime = resonance.wprime
    low, high = _mass_range(wprime.mass, wprime.total_width)
    low = max(low, min(resonance.x.mass + resonance.y.mass + 1.0, wprime.mass))
    return [
        "NewGaugeBoson:ffbar2Wprime = on",
        *_particle(X, "X+ X-", charge=3, particle=resonance.x),
        *_particle(Y, "Y0", charge=0, particle=resonance.y),
        f"{WPRIME}:m0 = {wprime.mass:g}",
        f"{WPRIME}:mWidth = {wprime.total_width:g}",
        f"{WPRIME}:doForceWidth = on",
        f"{WPRIME}:mMin = {low:g}",
        f"{WPRIME}:mMax = {high:g}",
        f"{WPRIME}:onMode = off",
        f"{WPRIME}:addChannel = 1 1.0 103 {X} {Y}",
    ]


def _particle(code: int, names: str, *, charge: int, particle: Decaying) -> list[str]:
    """Define a scalar colour singlet and its decays; `charge` counts thirds of the proton's."""
    names = names if " " in names else f"{names} void"
    low, high = _mass_range(particle.mass, particle.total_width)
    share = 1.0 / len(particle.decays)
    channels = [" ".join(str(product) for product in decay) for decay in particle.decays]
    return [
        f"{code}:new = {names} 1 {charge} 0 {particle.mass:g} {particle.total_width:g} {low:g} {high:g} 0.0",
        f"{code}:isResonance = on",
        f"{code}:oneChannel = 1 {share:.9g} 103 {channels[0]}",
        *(f"{code}:addChannel = 1 {share:.9g} 103 {channel}" for channel in channels[1:]),
    ]


def _mass_range(mass: float, width: float) -> tuple[float, float]:
    reach = max(WIDTHS_IN_RANGE * width, 1e-3 * mass)
    return max(mass - reach, 0.1 * mass), mass + reach
