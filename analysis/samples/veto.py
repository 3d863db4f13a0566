"""Give up events early that cannot pass the leading-jet threshold.

Most of Pythia's time goes into the late shower and hadronisation. The hardest jet is known long before: the hook
looks at the partons once the shower has come down to `EARLY_SCALE` and again at its end, each time with a
margin below the threshold that later radiation, hadronisation and the detector do not make up for.
"""

from __future__ import annotations

from typing import Any

import pythia8mc

EARLY_SCALE = 100.0
EARLY_MARGIN = 0.84
FINAL_MARGIN = 0.90
ANTI_KT = -1
ALL_FINAL = 1


class LeadingJetVeto(pythia8mc.UserHooks):
    """Veto events by the hardest anti-kT jet of their partons; both looks have their own margin.

    `min_pt` in GeV. `early` must be False for processes whose resonances are decayed after the shower: their
    decay products are not there yet at `EARLY_SCALE`. Pythia counts vetoed events in its cross-section.
    """

    def __init__(self, min_pt: float, *, radius: float, early: bool) -> None:
        pythia8mc.UserHooks.__init__(self)
        self.min_pt = min_pt
        self.early = early
        # massless or massive, the pT of a jet is the same; fjcore would print its banner for every process
        self._jets = pythia8mc.SlowJet(ANTI_KT, radius, 0.5 * min_pt, 10.0, ALL_FINAL, 2, None, False)

    def canVetoPT(self) -> bool:
        return self.early

    def scaleVetoPT(self) -> float:
        return EARLY_SCALE

    def doVetoPT(self, position: int, event: Any) -> bool:
        return self._hardest(event) < EARLY_MARGIN * self.min_pt

    def canVetoPartonLevel(self) -> bool:
        return True

    def doVetoPartonLevel(self, event: Any) -> bool:
        return self._hardest(event) < FINAL_MARGIN * self.min_pt

    def _hardest(self, event: Any) -> float:
        self._jets.analyze(event)
        return float(self._jets.pT(0)) if self._jets.sizeJet() else 0.0
