"""Four-momenta of the hardest constituents of jets, batch by batch, prepared for networks as in arXiv:2007.01850."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from processors.constituent_kernels import ROWS, fill_constituents
from processors.errors import InputError
from processors.flat_jets import check_counts, check_flat, check_values, checked_rows, flattened
from processors.image_kernels import read_only

FIELDS = ("pt", "eta", "phi", "mass")
MAX_ETA = 20.0  # a hundred times the energy of the LHC for the softest particle: no constituent of a jet
Momenta = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class JetConstituents:
    """Prepared four-momenta of the constituents of n jets; ``constituents(rows)`` gives those of the jets asked for.

    Section II.A of arXiv:2007.01850, whose "jet rest frame" is that of the jet's motion along the beam only: in the
    true one no transverse momentum would be left to reconstruct.

    1. The ``count`` hardest constituents by pT. From here on the jet is their sum, so that the identities
       below hold exactly for what a network sees.
    2. Boost along the beam until the jet's pz is 0, and rotation around the beam until its φ is 0: it is centred
       at (0, 0) in (η, φ).
    3. Rotation around the jet axis, which is x now, until the principal axis is vertical and points upwards, to
       positive φ. The paper's axis is (Σ E η/R, Σ E φ/R) with R² = η² + φ² (equation 3); here the direction of a
       constituent is (pz, py)/√(py² + pz²) in place of (η, φ)/R, which is the same to leading order in its distance.
       Where the sum vanishes (below 10⁻⁶ of the energy) the hardest constituent off the axis comes on the vertical.

    All of these are Lorentz transformations, so that mass and pT of the jet stay what they are. A rotation in the plane
    of η and φ, as equation 3 could be read, would change the mass, since a distance in η is no angle. The result is
    the same wherever the jet points to, and however it is turned around its axis.

    Attributes:
        offsets: (n + 1,) int64: jet i owns the constituents offsets[i] to offsets[i + 1].
        pt, eta, phi, mass: (n_constituents,) float32, GeV and radians, in any order within a jet; pT 0 is no
            constituent, a mass that rounding made negative is 0. Massless constituents have E = |p|.
        count: constituents of each jet in a batch.

    Raises InputError for arrays that do not belong together, negative pT, values that are not finite, |η| above 20,
    and a ``count`` below 1.
    """

    offsets: npt.NDArray[np.int64]
    pt: npt.NDArray[np.float32]
    eta: npt.NDArray[np.float32]
    phi: npt.NDArray[np.float32]
    mass: npt.NDArray[np.float32]
    count: int = field(default=20)

    def __post_init__(self) -> None:
        if self.count != int(self.count) or self.count < 1:
            raise InputError(f"{self.count} constituents of each jet: expected a whole number, 1 or more.")
        check_flat(self.offsets, **{name: getattr(self, name) for name in FIELDS})
        object.__setattr__(self, "offsets", read_only(np.asarray(self.offsets, dtype=np.int64)))
        with np.errstate(over="ignore"):  # becomes infinite, and is refused
            for name in FIELDS:
                object.__setattr__(self, name, read_only(np.asarray(getattr(self, name), dtype=np.float32)))
        check_values(self.offsets, **{name: getattr(self, name) for name in FIELDS})
        beyond = np.abs(self.eta) > MAX_ETA
        if beyond.any():
            raise InputError(
                f"eta is {self.eta[np.argmax(beyond)]:g} for {int(beyond.sum())} constituent(s): expected at most "
                f"±{MAX_ETA:g}. Drop the constituents or the jets first."
            )

    @classmethod
    def from_ragged(
        cls, pt: ak.Array, eta: ak.Array, phi: ak.Array, mass: ak.Array, *, count: int = 20
    ) -> JetConstituents:
        """From ragged arrays (n, var), such as the columns ``j1_constituents_pt``, ``…_eta``, ``…_phi``, ``…_mass``.

        Raises InputError also where the arrays are not lists of the same lengths or something is missing.
        """
        columns = dict(zip(FIELDS, map(ak.Array, (pt, eta, phi, mass)), strict=True))
        counts, flat = {}, {}
        for name, values in columns.items():
            counts[name], flat[name] = flattened(name, values)
            check_counts(name, counts[name], counts["pt"])
        return cls(np.concatenate([[0], np.cumsum(counts["pt"], dtype=np.int64)]), **flat, count=count)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __call__(self, rows: npt.NDArray[np.integer[Any]]) -> Momenta:
        """Return (len(rows), count, 4) of E, px, py, pz (GeV) of the jets of these row indices, in their order.

        Constituents come hardest first; zeros fill up jets with fewer than ``count``.

        Raises InputError for rows that are not whole numbers from 0 to n - 1.
        """
        rows = checked_rows(rows, len(self))
        momenta = np.zeros((len(rows), self.count, 4), dtype=np.float32)
        # read-only anew: an array that was pickled comes back writeable
        arrays = [read_only(getattr(self, name)) for name in ("offsets", *FIELDS)]
        work, which = np.empty((ROWS, self.count)), np.empty(self.count, np.int64)
        fill_constituents(rows, *arrays, work, which, momenta)
        return momenta
