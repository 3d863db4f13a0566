"""The columns of a dijet event: their names, their types and how they follow from the two jets."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from processors.jet_columns import JET_COLUMNS, event_schema, jet_columns
from processors.leading_jets import LeadingJets

_JETS = ("j1", "j2")
_OF_THE_PAIR = ("mjj", "deta")
HISTOGRAM_COLUMNS = (*(f"{jet}_{name}" for jet in _JETS for name in JET_COLUMNS), *_OF_THE_PAIR)


def dijet_schema(*, constituents: bool) -> pa.Schema:
    """Types of the columns: pt, m, mjj in GeV as float64; nconst -1 and τ -1 where a file does not tell."""
    return event_schema(jets=_JETS, others=_OF_THE_PAIR, constituents=constituents)


def dijet_columns(jets: LeadingJets, *, constituents: int) -> dict[str, Any]:
    """Columns of selected events from their jets in the order j1, j2; the hardest ``constituents`` of each jet."""
    columns: dict[str, Any] = {"mjj": jets.dijet_mass(), "deta": jets.delta_eta()}
    for index, name in enumerate(_JETS):
        columns |= jet_columns(jets, index, name=name, constituents=constituents)
    return columns
