"""The columns of a jet, which all processors of leading jets share, and those of an event of one jet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from processors.histograms import AxisSpec
from processors.leading_jets import LeadingJets, tau_ratio

_FLOATS = ("pt", "eta", "phi", "m", "tau1", "tau2", "tau3", "tau21", "tau32")
_CONSTITUENT_FIELDS = ("pt", "eta", "phi", "mass")
_IDENTIFIERS = {
    "weight": pa.float64(),
    "truth": pa.int8(),
    "file_id": pa.uint32(),
    "entry": pa.int64(),
    "fold": pa.uint32(),
}
JET_COLUMNS = (*_FLOATS, "nconst")
SINGLE_JET_COLUMNS = tuple(f"j1_{name}" for name in JET_COLUMNS)

SINGLE_JET_HISTOGRAMS: Mapping[str, AxisSpec] = {
    "j1_m": AxisSpec(bins=80, start=0, stop=400, label=r"$m(j_1)$ [GeV]"),
    "j1_pt": AxisSpec(bins=80, start=400, stop=2000, label=r"$p_\mathrm{T}(j_1)$ [GeV]"),
    "j1_eta": AxisSpec(bins=50, start=-2.5, stop=2.5, label=r"$\eta(j_1)$"),
    "j1_tau21": AxisSpec(bins=50, start=0, stop=1, label=r"$\tau_{21}(j_1)$"),
    "j1_tau32": AxisSpec(bins=50, start=0, stop=1, label=r"$\tau_{32}(j_1)$"),
    "j1_nconst": AxisSpec(bins=75, start=0, stop=150, label="constituents of $j_1$"),
}


def event_schema(*, jets: tuple[str, ...], others: tuple[str, ...] = (), constituents: bool) -> pa.Schema:
    """Types of the columns of ``jets`` (j1 …), of ``others``, float64, and of what identifies an event.

    pt, m in GeV as float64; nconst -1 and τ -1 where a file does not tell.
    """
    fields = []
    for jet in jets:
        fields += [pa.field(f"{jet}_{name}", pa.float64(), nullable=False) for name in _FLOATS]
        fields.append(pa.field(f"{jet}_nconst", pa.int32(), nullable=False))
        if constituents:
            fields += [
                pa.field(f"{jet}_constituents_{name}", pa.large_list(pa.float32()), nullable=False)
                for name in _CONSTITUENT_FIELDS
            ]
    kinds = {**dict.fromkeys(others, pa.float64()), **_IDENTIFIERS}
    fields += [pa.field(name, kind, nullable=False) for name, kind in kinds.items()]
    return pa.schema(fields)


def jet_columns(jets: LeadingJets, index: int, *, name: str, constituents: int) -> dict[str, Any]:
    """Columns ``<name>_…`` of the jets at ``index`` of selected events; the hardest ``constituents`` of each."""
    tau1, tau2, tau3 = (jets.tau[:, index, order] for order in range(3))
    values = {
        "pt": jets.pt[:, index],
        "eta": jets.eta[:, index],
        "phi": jets.phi[:, index],
        "m": jets.mass[:, index],
        "tau1": tau1,
        "tau2": tau2,
        "tau3": tau3,
        "tau21": tau_ratio(tau2, tau1),
        "tau32": tau_ratio(tau3, tau2),
        "nconst": jets.n_constituents[:, index],
    }
    columns = {f"{name}_{column}": array for column, array in values.items()}
    if constituents:
        assert jets.constituents is not None
        hardest = jets.constituents[:, index, :constituents]
        columns |= {f"{name}_constituents_{field}": hardest[field] for field in _CONSTITUENT_FIELDS}
    return columns
