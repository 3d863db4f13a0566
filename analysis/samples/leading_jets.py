"""The hardest jet of each event, for the filter: FastJet and nothing else, as it is called for every event tried."""

from __future__ import annotations

import functools
import os
import sys

import awkward as ak
import fastjet
import numpy as np

from analysis.samples.particles import Candidates, Floats


def leading_jets(candidates: Candidates, *, radius: float, min_pt: float) -> tuple[Floats, Floats]:
    """Return pT (GeV) and pseudorapidity of each event's hardest anti-kT jet above `min_pt`, 0 and inf without one."""
    _silence_banner()
    components = {
        "px": candidates.pt * np.cos(candidates.phi),
        "py": candidates.pt * np.sin(candidates.phi),
        "pz": candidates.pt * np.sinh(candidates.eta),
        "E": candidates.pt * np.cosh(candidates.eta),
    }
    events = ak.unflatten(ak.zip(components), candidates.counts())
    clusters = fastjet.ClusterSequence(events, fastjet.JetDefinition(fastjet.antikt_algorithm, radius))
    jets = clusters.inclusive_jets(min_pt)
    pt = np.hypot(jets["px"], jets["py"])
    hardest = ak.firsts(jets[ak.argmax(pt, axis=1, keepdims=True)])
    hardest_pt = np.hypot(hardest["px"], hardest["py"])
    eta = np.arcsinh(hardest["pz"] / hardest_pt)
    return ak.to_numpy(ak.fill_none(hardest_pt, 0.0)), ak.to_numpy(ak.fill_none(eta, np.inf))


@functools.cache
def _silence_banner() -> None:
    """Let FastJet print its banner, once per process, where nobody reads it."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            particle = fastjet.PseudoJet(1.0, 0.0, 0.0, 1.0)
            fastjet.ClusterSequence([particle], fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0))
    finally:
        os.dup2(saved, 1)
        os.close(saved)
