"""The Pythia 8 settings of each built-in process."""

from __future__ import annotations

from analysis.samples.boosted import HEAVY, LIGHT, HadronicTops, HiggsPair
from analysis.samples.recipe import Recipe
from analysis.samples.resonance import WPRIME, Decaying, Particle, Resonance, X, Y
from analysis.samples.top_resonance import HEAVY_HIGGS, OCTET, ZPRIME, TopResonance

# The range of a resonance's mass, in widths: the parton densities would otherwise fill the far low tail.
WIDTHS_IN_RANGE = 15
# The decays of W bosons that semileptonic top pairs are chosen from, without τ.
SEMILEPTONIC = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5 11 13")
HADRONIC = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")
# Pythia's Z' without photon and Z, and its heavy CP-even Higgs boson
PURE_ZPRIME = ("NewGaugeBoson:ffbar2gmZZprime = on", "Zprime:gmZmode = 3")
GLUON_FUSION = ("Higgs:useBSM = on", "HiggsBSM:gg2H2 = on")
# The tops' range of masses, as a fraction of their mass: Pythia's own suits only the mass of the Standard Model.
TOP_RANGE = 0.15


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
        *_hard_process(recipe),
        *recipe.settings,
    ]


def _hard_process(recipe: Recipe) -> list[str]:
    match recipe.process:
        case "qcd_dijet":
            return _qcd(recipe)
        case "wprime_xy":
            return _wprime(recipe.signal)
        case "ttbar":
            return [*_ttbar(recipe), *SEMILEPTONIC]
        case "resonance_ttbar":
            return [*_top_resonance(recipe.top_signal, min_top_pt=recipe.top_threshold), *SEMILEPTONIC]
        case "zprime_tt":
            return _hadronic_tops(recipe.tops)
        case "scalar_hh":
            return _higgs_pair(recipe.higgses)


def _qcd(recipe: Recipe) -> list[str]:
    return ["HardQCD:all = on", f"PhaseSpace:pTHatMin = {recipe.hard_scale:g}"]


def _ttbar(recipe: Recipe) -> list[str]:
    """QCD pairs; both tops of the hard process have the pT that Pythia cuts on."""
    return ["Top:gg2ttbar = on", "Top:qqbar2ttbar = on", f"PhaseSpace:pTHatMin = {recipe.top_threshold:g}"]


def _top_resonance(resonance: TopResonance, *, min_top_pt: float) -> list[str]:
    """Pythia's own Z' (without photon and Z), or its heavy CP-even Higgs boson, whose only open decay is to tops.

    Pythia has no process for a single scalar octet, only for a vector, the KK gluon (`ExtraDimensionsG*`): the octet
    is the scalar with other colours, which `tops.make_octet` gives it. It must be known here, as it radiates.
    """
    if resonance.kind == "zprime":
        code, process = ZPRIME, list(PURE_ZPRIME)
    else:
        # it couples to fermions as the SM's, and to nothing else
        couplings = ("HiggsH2:coup2Z", "HiggsH2:coup2W", "HiggsH2:coup2H1H1", "HiggsH2:coup2A3A3", "HiggsA3:coup2H2Z")
        bosons = [f"{coupling} = 0" for coupling in couplings]
        code, process = HEAVY_HIGGS, [*GLUON_FUSION, *bosons]
    low, high = resonance.mass_range(min_top_pt=min_top_pt)
    return [
        *process,
        *(_octet(resonance, low, high) if resonance.kind == "octet" else []),
        *_as_given(code, resonance, low, high),
        f"{code}:onIfAny = 6",
    ]


def _octet(resonance: TopResonance, low: float, high: float) -> list[str]:
    """Define a scalar colour octet that decays to top pairs."""
    return [
        f"{OCTET}:new = S8 void 1 0 2 {resonance.mass:g} {resonance.total_width:g} {low:g} {high:g} 0.0",
        f"{OCTET}:isResonance = on",
        f"{OCTET}:oneChannel = 1 1.0 103 6 -6",
    ]


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
        *_as_given(WPRIME, wprime, low, high),
        f"{WPRIME}:addChannel = 1 1.0 103 {X} {Y}",
    ]


def _hadronic_tops(tops: HadronicTops) -> list[str]:
    """Z' → tt̄ with tops and W bosons of any mass, whose widths Pythia calculates."""
    low, high = _mass_range(tops.zprime.mass, tops.zprime.total_width)
    return [
        *PURE_ZPRIME,
        f"24:m0 = {tops.w_mass:g}",
        f"6:m0 = {tops.top_mass:g}",
        f"6:mMin = {max((1 - TOP_RANGE) * tops.top_mass, tops.w_mass):g}",
        f"6:mMax = {(1 + TOP_RANGE) * tops.top_mass:g}",
        *_as_given(ZPRIME, tops.zprime, max(low, 2 * tops.top_mass), high),
        f"{ZPRIME}:onIfAny = 6",
        *HADRONIC,
    ]


def _higgs_pair(higgs: HiggsPair) -> list[str]:
    """Heavy scalar → H H as an extra channel of Pythia's heavy CP-even Higgs boson, the only one that is on."""
    low, high = _mass_range(higgs.resonance.mass, higgs.resonance.total_width)
    heavy, light = higgs.decaying
    return [
        *GLUON_FUSION,
        *_particle(LIGHT, "h0", charge=0, particle=light),
        *_particle(HEAVY, "H0", charge=0, particle=heavy),
        *_as_given(HEAVY_HIGGS, higgs.resonance, max(low, 2 * heavy.mass), high),
        f"{HEAVY_HIGGS}:addChannel = 1 1.0 103 {HEAVY} {HEAVY}",
    ]


def _as_given(code: int, particle: Particle, low: float, high: float) -> list[str]:
    """Give one of Pythia's own resonances a mass, a width and a range of masses (GeV), and close its decays."""
    return [
        f"{code}:m0 = {particle.mass:g}",
        f"{code}:mWidth = {particle.total_width:g}",
        f"{code}:doForceWidth = on",
        f"{code}:mMin = {low:g}",
        f"{code}:mMax = {high:g}",
        f"{code}:onMode = off",
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
