"""The columns of a dijet event: their names, their types and how they follow from the two jets."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from processors.leading_jets import LeadingJets, tau_ratio

_JET_COLUMNS = ("pt", "eta", "phi", "m", "tau1", "tau2", "tau3", "tau21", "tau32")
_CONSTITUENT_FIELDS = ("pt", "eta", "phi", "mass")
HISTOGRAM_COLUMNS = (
    *(f"{jet}_{name}" for jet in ("j1", "j2") for name in (*_JET_COLUMNS, "nconst")),
    "mjj",
    "deta",
)


def dijet_schema(*, constituents: bool) -> pa.Schema:
    """Types of the columns: pt, m, mjj in GeV as float64; nconst -1 and τ -1 where a file does not tell."""
    fields = []
    for jet in ("j1", "j2"):
        fields += [pa.field(f"{jet}_{name}", pa.float64(), nullable=False) for name in _JET_COLUMNS]
        fields.append(pa.field(f"{jet}_nconst", pa.int32(), nullable=False))
        if constituents:
            fields += [
                pa.field(f"{jet}_constituents_{name}", pa.large_list(pa.float32()), nullable=False)
                for name in _CONSTITUENT_FIELDS
            ]
    others = {
        "mjj": pa.float64(),
        "deta": pa.float64(),
        "weight": pa.float64(),
        "truth": pa.int8(),
        "file_id": pa.uint32(),
        "entry": pa.int64(),
        "fold": pa.uint32(),
    }
    fields += [pa.field(name, kind, nullable=False) for name, kind in others.items()]
    return pa.schema(fields)


def dijet_columns(jets: LeadingJets, *, constituents: int) -> dict[str, Any]:
    """Columns of selected events from their jets in the order j1, j2; the hardest ``constituents`` of each jet."""
    columns: dict[str, Any] = {"mjj": jets.dijet_mass(), "deta": jets.delta_eta()}
    for index, jet in enumerate(("j1", "j2")):
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
        columns |= {f"{jet}_{name}": array for name, array in values.items()}
        if constituents:
            assert jets.constituents is not None
            hardest = jets.constituents[:, index, :constituents]
            columns |= {f"{jet}_constituents_{name}": hardest[name] for name in _CONSTITUENT_FIELDS}
    return columns
