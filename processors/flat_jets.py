"""Constituents of many jets as flat arrays, jet after jet: the checks that compiled loops need."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from processors.errors import InputError


def flattened(name: str, values: ak.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Lengths of the lists of a ragged array (n_jets, var) and their contents, one after another."""
    if values.ndim != 2:
        raise InputError(f"{name} of the constituents has {values.ndim} dimensions: expected a list for each jet.")
    try:
        counts = ak.to_numpy(ak.num(values, axis=1), allow_missing=False)
        return counts, ak.to_numpy(ak.flatten(values, axis=1), allow_missing=False)
    except ValueError as error:
        raise InputError(
            f"{name} of some constituents, or of whole jets, is missing (None): drop them, or put empty lists for jets."
        ) from error


def check_counts(name: str, counts: npt.NDArray[np.int64], expected: npt.NDArray[np.int64]) -> None:
    """Raise InputError unless a column has as many values in each jet as pt has."""
    if len(counts) != len(expected):
        raise InputError(f"{name} holds {len(counts)} jets, pt {len(expected)}: they must be of the same jets.")
    if (counts != expected).any():
        jet = int(np.argmax(counts != expected))
        raise InputError(f"Jet {jet} has {counts[jet]} values of {name} and {expected[jet]} of pt: expected as many.")


def check_flat(offsets: npt.NDArray[Any], **arrays: npt.NDArray[Any]) -> None:
    """Raise InputError unless the arrays belong together: (n_jets + 1,) offsets, one value for each constituent."""
    offsets = np.asarray(offsets)
    if offsets.ndim != 1 or len(offsets) == 0 or not np.issubdtype(offsets.dtype, np.integer) or offsets[0] != 0:
        raise InputError("The offsets must be whole numbers, (n_jets + 1,), of which the first is 0.")
    steps = np.diff(offsets)
    if (steps < 0).any():
        jet = int(np.argmax(steps < 0))
        raise InputError(
            f"The offsets fall from {offsets[jet]} to {offsets[jet + 1]} at jet {jet}: they must never "
            "decrease. Sort the jets as their constituents are stored."
        )
    for name, values in arrays.items():
        if np.shape(values) != (offsets[-1],):
            raise InputError(
                f"{name} has shape {np.shape(values)} where the offsets end at {offsets[-1]}: expected one value "
                "for each constituent."
            )


def check_values(offsets: npt.NDArray[np.int64], **arrays: npt.NDArray[np.float32]) -> None:
    """Raise InputError, naming the jet, where a pT is negative or a value is not finite."""
    for name, values in arrays.items():
        bad = ~np.isfinite(values)
        if name == "pt":
            bad |= values < 0
        if bad.any():
            at = int(np.argmax(bad))
            jet = int(np.searchsorted(offsets, at, side="right")) - 1
            raise InputError(
                f"{name} is {values[at]:g} at constituent {at - offsets[jet]} of jet {jet} ({int(bad.sum())} such "
                "values in all): expected finite numbers and no negative pT. Drop the constituents or the jets first."
            )


def checked_rows(rows: npt.NDArray[np.integer[Any]], n_jets: int) -> npt.NDArray[np.int64]:
    """Row indices that exist: a compiled loop would read beyond the arrays."""
    rows = np.asarray(rows)
    if rows.ndim != 1 or not (np.issubdtype(rows.dtype, np.integer) or rows.size == 0):
        raise InputError(
            f"Jets were asked for with rows of shape {rows.shape} and type {rows.dtype}: give row indices."
        )
    wrong = (rows < 0) | (rows >= n_jets)
    if wrong.any():
        raise InputError(f"Row {rows[np.argmax(wrong)]} was asked for, but there are rows 0 to {n_jets - 1} only.")
    return np.ascontiguousarray(rows, dtype=np.int64)
