"""b-tags from the B hadrons of the generator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from processors.momenta import separation
from processors.nsubjettiness import compiled

FloatArray = npt.NDArray[np.float64]


def tag_b_jets(
    eta: FloatArray,
    phi: FloatArray,
    candidates: npt.NDArray[np.bool_],
    *,
    hadron_offsets: npt.NDArray[np.int64],
    hadron_eta: FloatArray,
    hadron_phi: FloatArray,
    radius: float,
) -> npt.NDArray[np.bool_]:
    """The jets that are nearest to a B hadron, and within ``radius`` of it.

    Each hadron tags one jet at most, so that a jet beside a b-jet is not tagged by the other's hadron.

    Args:
        eta, phi: (n, m) directions of the jets.
        candidates: (n, m), False for jets that are not there or do not count.
        hadron_offsets: (n + 1,): event i owns hadrons ``hadron_offsets[i]:hadron_offsets[i + 1]``.
        hadron_eta, hadron_phi: directions of the hadrons, flat.
        radius: largest ΔR (in pseudorapidity) between a jet and its hadron.

    Returns:
        (n, m).
    """
    tags = np.zeros(eta.shape, dtype=bool)
    _fill_tags(eta, phi, candidates, hadron_offsets, hadron_eta, hadron_phi, radius, tags)
    return tags


@compiled
def _fill_tags(eta, phi, candidates, offsets, hadron_eta, hadron_phi, radius, tags):  # type: ignore[no-untyped-def]
    for event in range(len(eta)):
        for hadron in range(offsets[event], offsets[event + 1]):
            nearest, distance = -1, radius
            for jet in range(eta.shape[1]):
                if candidates[event, jet]:
                    delta_r = separation(eta[event, jet], phi[event, jet], hadron_eta[hadron], hadron_phi[hadron])
                    if delta_r < distance:
                        nearest, distance = jet, delta_r
            if nearest >= 0:
                tags[event, nearest] = True
