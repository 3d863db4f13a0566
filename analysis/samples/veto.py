"""Give up events early that cannot pass the leading-jet threshold.

Most of Pythia's time goes into the late shower and hadronisation. The hardest jet is known long before: the hook
looks at the partons once the shower has come down to `EARLY_SCALE` and again at its end, each time with a
margin below the threshold that later radiation, hadronisation and the detector do not make up for.
"""

from __future__ import annotations

from typing import Any

import pythia8mc

from analysis.samples.errors import GenerationError

EARLY_SCALE = 100.0
EARLY_MARGIN = 0.84
FINAL_MARGIN = 0.90
# Events given up in a row after which none is expected to pass.
HOPELESS = 10_000
ANTI_KT = -1
ALL_FINAL = 1


class LeadingJetVeto(pythia8mc.UserHooks):
    """Veto events by the hardest anti-kT jet of their partons; both looks have their own margin.

    Raises GenerationError out of `nextBatch` when `HOPELESS` events in a row fail.

    `min_pt` in GeV. `early` must be False for processes whose resonances are decayed after the shower: their
    decay products are not there yet at `EARLY_SCALE`. Pythia counts vetoed events in its cross-section.
    """

    def __init__(self, min_pt: float, *, radius: float, early: bool) -> None:
        pythia8mc.UserHooks.__init__(self)
        self.min_pt = min_pt
        self.early = early
        self.vetoed = 0  # in a row
        # massless or massive, the pT of a jet is the same; fjcore would print its banner for every process
        self._jets = pythia8mc.SlowJet(ANTI_KT, radius, 0.5 * min_pt, 10.0, ALL_FINAL, 2, None, False)

    def canVetoPT(self) -> bool:
        return self.early

    def scaleVetoPT(self) -> float:
        return EARLY_SCALE

    def doVetoPT(self, position: int, event: Any) -> bool:
        return self._veto(event, margin=EARLY_MARGIN)

    def canVetoPartonLevel(self) -> bool:
        return True

    def doVetoPartonLevel(self, event: Any) -> bool:
        return self._veto(event, margin=FINAL_MARGIN)

    def _veto(self, event: Any, *, margin: float) -> bool:
        self._jets.analyze(event)
        hardest = self._jets.pT(0) if self._jets.sizeJet() else 0.0
        if hardest >= margin * self.min_pt:
            self.vetoed = 0
            return False
        self.vetoed += 1
        if self.vetoed > HOPELESS:
            raise GenerationError(hopeless(self.min_pt, self.vetoed))
        return True


def hopeless(min_pt: float, tried: int) -> str:
    """Return the message for a filter that nothing passes."""
    return (
        f"None of {tried:,} events in a row has a leading jet near min_leading_jet_pt = {min_pt:g} GeV: lower it, "
        "or raise pt_hat_min or the masses of the resonances."
    )
