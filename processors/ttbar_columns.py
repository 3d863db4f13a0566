"""The columns of a semileptonic top-pair event: their names, their types and how they follow from the objects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from processors.histograms import AxisSpec
from processors.momenta import four_momenta, invariant_mass
from processors.ttbar_selection import OBJECTS, Chosen

FloatArray = npt.NDArray[np.float64]

_OBJECT_COLUMNS = ("pt", "eta", "phi", "m", "e", "px", "py", "pz")
TTBAR_COLUMNS = (*(f"{name}_{column}" for name in OBJECTS for column in _OBJECT_COLUMNS), "met", "met_phi", "ht", "mtt")

# the variables of figure 1 of arXiv:1905.10384, then further transverse momenta
TTBAR_HISTOGRAMS: Mapping[str, AxisSpec] = {
    "b1_pt": AxisSpec(bins=60, start=0, stop=1200, label=r"$p_\mathrm{T}(b_1)$ [GeV]"),
    "light1_pt": AxisSpec(bins=60, start=0, stop=1200, label=r"$p_\mathrm{T}(j_1)$ [GeV]"),
    "met": AxisSpec(bins=60, start=0, stop=1200, label=r"$E_\mathrm{T}^\mathrm{miss}$ [GeV]"),
    "mtt": AxisSpec(bins=80, start=0, stop=4000, label=r"$m(b_1 b_2 j_1 j_2 \ell)$ [GeV]"),
    "b2_pt": AxisSpec(bins=60, start=0, stop=1200, label=r"$p_\mathrm{T}(b_2)$ [GeV]"),
    "light2_pt": AxisSpec(bins=60, start=0, stop=600, label=r"$p_\mathrm{T}(j_2)$ [GeV]"),
    "lepton_pt": AxisSpec(bins=60, start=0, stop=1200, label=r"$p_\mathrm{T}(\ell)$ [GeV]"),
    "ht": AxisSpec(bins=80, start=0, stop=4000, label=r"$H_\mathrm{T}$ [GeV]"),
}


def ttbar_schema() -> pa.Schema:
    """Types of the columns: momenta, energies and masses in GeV as float64."""
    others = {
        "weight": pa.float64(),
        "truth": pa.int8(),
        "file_id": pa.uint32(),
        "entry": pa.int64(),
        "fold": pa.uint32(),
    }
    kinds = {**dict.fromkeys(TTBAR_COLUMNS, pa.float64()), **others}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def ttbar_columns(
    chosen: Chosen, passed: npt.NDArray[np.bool_], *, met: FloatArray, met_phi: FloatArray
) -> dict[str, FloatArray]:
    """Columns of the events of a mask; ``met`` (GeV) and ``met_phi`` are of all events.

    ``e`` follows from momentum and mass, ``mtt`` is the invariant mass of the four jets and the lepton.
    """
    objects = [getattr(chosen, name)[passed] for name in ("pt", "eta", "phi", "mass")]
    shape = objects[0].shape
    offsets = np.arange(shape[0] + 1) * shape[1]
    momenta = four_momenta(*(values.ravel() for values in objects), offsets=offsets).reshape(4, *shape)
    px, py, pz, energy = momenta
    values = dict(zip(_OBJECT_COLUMNS, (*objects, energy, px, py, pz), strict=True))
    columns = {
        f"{name}_{column}": array[:, index] for index, name in enumerate(OBJECTS) for column, array in values.items()
    }
    return columns | {
        "met": met[passed],
        "met_phi": met_phi[passed],
        "ht": chosen.ht[passed],
        "mtt": invariant_mass(momenta),
    }
