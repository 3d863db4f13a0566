"""Choose top pairs at the hard process: one leptonic and one hadronic decay, both tops hard; colours of an octet.

What is not wanted is given up before the shower, where it costs a hundredth of an event. Pythia leaves these events
out of its cross-section ("User Hooks" in its manual, on `doVetoProcessLevel`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pythia8mc

from analysis.samples.errors import GenerationError
from analysis.samples.top_resonance import OCTET

TOP, W = 6, 24
LEPTONS = frozenset({11, 12, 13, 14})
QUARKS = frozenset(range(1, 6))
# Hard processes given up in a row after which none is expected to pass.
HOPELESS_PROCESSES = 100_000


class TopPairs(pythia8mc.UserHooks):
    """Accept semileptonic (e, μ) top pairs with both tops above `min_pt` (GeV) in the hard process.

    Of all decays of two W bosons those with one to e ν or μ ν and one to quarks are taken, so that both charges of the
    lepton are equally likely. `looked` counts such pairs, `accepted` those of them that pass `min_pt`. With `octet`,
    each accepted process becomes one of a colour octet, its colour flow drawn with this generator.

    Raises GenerationError out of `nextBatch` when `HOPELESS_PROCESSES` in a row fail.
    """

    def __init__(self, min_pt: float, *, octet: np.random.Generator | None = None) -> None:
        pythia8mc.UserHooks.__init__(self)
        self.min_pt = min_pt
        self.looked = 0
        self.accepted = 0
        self._octet = octet
        self._failed = 0  # in a row

    def canVetoProcessLevel(self) -> bool:
        """Tell Pythia that hard processes are looked at."""
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:
        """Return whether Pythia gives up a hard process; an accepted one may become a colour octet."""
        if self._passes(process):
            self.accepted += 1
            self._failed = 0
            if self._octet is not None:
                make_octet(process, generator=self._octet)
            return False
        self._failed += 1
        if self._failed >= HOPELESS_PROCESSES:
            raise GenerationError(
                f"None of {self._failed:,} hard processes in a row has two tops above min_top_pt = {self.min_pt:g} GeV "
                "and decays of one W boson to e or μ, the other to quarks: lower min_top_pt, raise the mass of the "
                "resonance, or take settings back that close these decays."
            )
        return True

    def _passes(self, process: Any) -> bool:
        if not is_semileptonic(process):
            return False
        self.looked += 1
        return min(top_momenta(process)) >= self.min_pt


def is_semileptonic(process: Any) -> bool:
    """Return whether one W boson of the hard process decays to e or μ and its neutrino, the other to quarks."""
    products = [
        abs(process[process[i].daughter1()].id()) for i in range(5, process.size()) if abs(process[i].id()) == W
    ]
    if len(products) != 2:
        return False
    leptonic = sum(product in LEPTONS for product in products)
    return leptonic == 1 and sum(product in QUARKS for product in products) == 1


def top_momenta(process: Any) -> list[float]:
    """Return pT (GeV) of the tops of the hard process, in the order of the record."""
    return [process[i].pT() for i in range(5, process.size()) if abs(process[i].id()) == TOP]


def make_octet(process: Any, *, generator: np.random.Generator) -> None:
    """Turn g g → scalar → tt̄ of a colour singlet into that of the octet `OCTET`, in place.

    The singlet's colours are g(a, b) g(b, a) → t(c) t̄(c). Two gluons couple to an octet scalar by d_abc, which is
    two colour flows of equal weight: one gluon keeps its colour for the top, the other its anticolour for the antitop.
    """
    gluons = [process[3], process[4]]
    if generator.random() < 0.5:
        gluons.reverse()
    first, second = gluons
    colour = first.col()
    (anticolour,) = {process[i].col() for i in range(6, process.size()) if process[i].id() == TOP}
    second.acol(anticolour)
    process[5].id(OCTET)
    process[5].col(colour)
    process[5].acol(anticolour)
    for i in range(6, process.size()):
        if process[i].col() == anticolour:  # of the top and what it decays to
            process[i].col(colour)
