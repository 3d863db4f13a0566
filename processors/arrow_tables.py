"""Columns as Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa


def to_table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """The columns of a schema, in its order and with its types."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        if pa.types.is_large_list(field.type):
            packed = ak.to_packed(ak.values_astype(values, np.float32))
            arrays.append(ak.to_arrow(ak.without_parameters(packed), extensionarray=False).cast(field.type))
        else:
            arrays.append(pa.array(np.ascontiguousarray(values), type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
