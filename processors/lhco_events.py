"""Rows of LHC Olympics files as events: the record that NanoEvents of a ROOT file would give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import awkward as ak
import h5py
import numpy as np
import numpy.typing as npt

from processors.errors import InputError
from processors.lhco import JET_COLUMNS, PARTICLE_COLUMNS, PARTICLES_PER_EVENT, Layout, read_blocks, read_rows
from processors.nsubjettiness import compiled
from processors.records import describe_entry, event_record, momenta

Floats = npt.NDArray[np.float64]
LEAST_MASS = -0.1  # GeV: E² − p² of a light jet may round to less than zero, not to less than this


def read_events(file: h5py.File, layout: Layout, start: int, stop: int, *, metadata: Mapping[str, Any]) -> ak.Array:
    """Entries ``start`` to ``stop`` as event records; nothing outside these rows is read.

    Raw files give ``PFCands`` (massless), feature files give ``FatJet`` (two jets with tau1, tau2, tau3).
    ``weight`` is 1, ``truth`` the label or -1. Raises InputError for a label that is neither 0, 1 nor -1,
    and for a jet whose mass is negative beyond rounding or whose tau is negative or not finite.
    """
    if layout.kind == "particles":
        fields, label = _particle_fields(file, layout, start, stop)
    else:
        fields, label = _feature_fields(file, layout, start, stop, metadata=metadata)
    fields["weight"] = ak.Array(np.ones(stop - start))
    fields["truth"] = ak.Array(_truth(label, stop - start, metadata=metadata))
    return event_record(fields, metadata=metadata, n_events=stop - start)


def _particle_fields(
    file: h5py.File, layout: Layout, start: int, stop: int
) -> tuple[dict[str, ak.Array], np.ndarray | None]:
    assert layout.particles is not None
    rows = read_rows(file, layout.particles, start, stop)
    if layout.label is None:
        label = None
    elif (layout.label.dataset, layout.label.field) == (layout.particles.dataset, layout.particles.field):
        label = rows[:, layout.label.position]
    else:
        label = read_rows(file, layout.label, start, stop)[:, 0]
    particles = rows[:, :PARTICLE_COLUMNS].reshape(-1, PARTICLES_PER_EVENT, 3)
    present = particles[..., 0] != 0  # padding is zero; NaN and negative values stay, to be found by the checks
    counts = np.count_nonzero(present, axis=1)
    values = {name: particles[..., i][present] for i, name in enumerate(("pt", "eta", "phi"))}
    values["mass"] = np.zeros_like(values["pt"])
    ragged = {name: ak.unflatten(flat, counts) for name, flat in values.items()}
    return {"PFCands": momenta(ragged)}, label


def _feature_fields(
    file: h5py.File, layout: Layout, start: int, stop: int, *, metadata: Mapping[str, Any]
) -> tuple[dict[str, ak.Array], np.ndarray | None]:
    wanted = dict(layout.features)
    if layout.label is not None:
        wanted["label"] = layout.label
    columns = read_blocks(file, wanted, start, stop)
    pair = {n: np.stack([columns[f"{n}j1"], columns[f"{n}j2"]], axis=1) for n in JET_COLUMNS}
    pt, eta, phi = np.empty_like(pair["m"]), np.empty_like(pair["m"]), np.empty_like(pair["m"])
    _fill_directions(pair["px"], pair["py"], pair["pz"], pt, eta, phi)
    present = (pt != 0) | (pair["m"] != 0)  # a jet that is not there is a row of zeros
    _check_jets(pair, present, metadata=metadata)
    jets = {"pt": pt, "eta": eta, "phi": phi, "mass": pair["m"]}
    jets |= {name: pair[name] for name in ("tau1", "tau2", "tau3")}
    counts = np.count_nonzero(present, axis=1)
    ragged = {name: ak.unflatten(values[present], counts) for name, values in jets.items()}
    return {"FatJet": momenta(ragged)}, columns.get("label")


def _check_jets(pair: Mapping[str, np.ndarray], present: np.ndarray, *, metadata: Mapping[str, Any]) -> None:
    """Raise InputError, naming entry and column, for an impossible mass or tau; the checks of momenta come later."""
    expected = {
        "m": ("a jet's mass (GeV), not negative, is", pair["m"] < LEAST_MASS),
        **{
            name: ("a finite number that is not negative is", ~(np.isfinite(pair[name]) & (pair[name] >= 0)))
            for name in ("tau1", "tau2", "tau3")
        },
    }
    for name, (what, impossible) in expected.items():
        bad = np.argwhere(impossible & present)
        if len(bad):
            event, jet = (int(index) for index in bad[0])
            raise InputError(
                f"{name}j{jet + 1} of {describe_entry(metadata, event)} is {pair[name][event, jet]:g}, where {what} "
                f"expected ({len(bad)} such {'value' if len(bad) == 1 else 'values'} in this chunk). The file is "
                "damaged or not what its format says: make it again, or leave it out."
            )


@compiled
def _fill_directions(px: Floats, py: Floats, pz: Floats, pt: Floats, eta: Floats, phi: Floats) -> None:
    # a compiled loop, because the rounding of NumPy's functions may depend on the length of the array
    for i in range(px.shape[0]):
        for j in range(px.shape[1]):
            pt[i, j] = math.sqrt(px[i, j] * px[i, j] + py[i, j] * py[i, j])
            eta[i, j] = math.asinh(pz[i, j] / pt[i, j]) if pt[i, j] > 0.0 else 0.0
            phi[i, j] = math.atan2(py[i, j], px[i, j])


def _truth(label: np.ndarray | None, n_events: int, *, metadata: Mapping[str, Any]) -> np.ndarray:
    if label is None:
        return np.full(n_events, -1, dtype=np.int8)
    strange = np.flatnonzero(~np.isin(label, (-1.0, 0.0, 1.0)))
    if len(strange):
        raise InputError(
            f"the truth label of {describe_entry(metadata, int(strange[0]))} is {label[strange[0]]}, where 0 "
            "(background), 1 (signal) or -1 (unknown) is expected. The file does not have the layout of the LHC "
            "Olympics: check where it comes from."
        )
    return np.asarray(label).astype(np.int8)
