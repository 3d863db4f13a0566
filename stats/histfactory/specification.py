"""Reading a pyhf model into arrays.

Every bin of every sample is an entry: (nominal + shifts) × product of factors. Entries are sorted by bin. Factors and
shifts are numbered so that their values follow from the parameters in a few array operations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.histfactory.interpolation import ADDITIVE, MULTIPLICATIVE


class UnsupportedModel(StatisticsError):
    """A model outside what this package evaluates; pyhf's own minimisers take it."""


@dataclass(frozen=True)
class Constraints:
    """Auxiliary measurements: ``parameters[k]`` is measured by ``data[k]`` (positions in the whole data vector).

    ``scales`` are standard deviations of normal constraints, or rates per unit of the parameter of Poisson ones.
    """

    parameters: np.ndarray
    data: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True)
class Specification:
    """A HistFactory model as arrays; P parameters, B bins, m entries.

    Attributes:
        nominal: shape (m,).
        starts: first entry of each bin, shape (B,).
        layers: factors of each entry, shape (R, m): positions in [parameters, normsys factors, 1].
        pairs: (parameter, entry, factor) of every factor that is not one, shape (3, n).
        norm_parameters, norm_down, norm_up: of the distinct normsys factors.
        shift_parameters: of the histosys rows.
        shift_up, shift_down: up − nominal and nominal − down, shape (rows, m).
    """

    nominal: np.ndarray
    starts: np.ndarray
    layers: np.ndarray
    pairs: np.ndarray
    norm_code: str
    norm_parameters: np.ndarray
    norm_down: np.ndarray
    norm_up: np.ndarray
    shift_code: str
    shift_parameters: np.ndarray
    shift_up: np.ndarray
    shift_down: np.ndarray
    normal: Constraints
    poisson: Constraints
    n_parameters: int
    n_data: int
    clip_sample: float | None
    clip_bin: float | None


@dataclass
class _Reader:
    """What accumulates while walking over a model's entries; entries are (bin, nominal) in reading order."""

    pdf: Any
    bins: list[np.ndarray] = field(default_factory=list)
    nominal: list[np.ndarray] = field(default_factory=list)
    n_entries: int = 0
    norms: dict[tuple[int, float, float], int] = field(default_factory=dict)
    # parameter → (entries, up, down)
    shifts: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    pairs: list[np.ndarray] = field(default_factory=list)

    def read(self) -> None:
        """Walk over all channels and samples."""
        config = self.pdf.config
        blocks = {
            (channel["name"], sample["name"]): sample
            for channel in self.pdf.spec["channels"]
            for sample in channel["samples"]
        }
        offsets = _offsets(self.pdf, blocks)
        for channel in config.channels:
            first = config.channel_slices[channel].start
            for name in config.samples:
                if (channel, name) in blocks:
                    sample = blocks[channel, name]
                    nominal = np.asarray(sample["data"], dtype=float)
                    entries = self.n_entries + np.arange(nominal.size)
                    self.n_entries += nominal.size
                    self.bins.append(first + np.arange(nominal.size))
                    self.nominal.append(nominal)
                    modifiers = {(m["type"], m["name"]): m for m in sample["modifiers"]}
                    for (kind, label), modifier in modifiers.items():
                        self._add(kind, modifier, entries, nominal, offsets.get((kind, label, channel), 0))

    def _add(self, kind: str, modifier: Any, entries: np.ndarray, nominal: np.ndarray, offset: int) -> None:
        place = self.pdf.config.par_slice(modifier["name"])
        parameter = int(place.start)
        if kind == "histosys":
            up, down = (np.asarray(modifier["data"][key], dtype=float) for key in ("hi_data", "lo_data"))
            self.shifts[parameter].append((entries, up - nominal, nominal - down))
            return
        if kind == "normsys":
            key = (parameter, float(modifier["data"]["lo"]), float(modifier["data"]["hi"]))
            if min(key[1:]) <= 0:
                raise UnsupportedModel(f"the normsys {modifier['name']} has a factor that is not positive")
            source = np.full(entries.size, self.pdf.config.npars + self.norms.setdefault(key, len(self.norms)))
            parameters = np.full(entries.size, parameter)
        elif kind in ("normfactor", "lumi"):
            source = parameters = np.full(entries.size, parameter)
        else:
            source = parameters = parameter + offset + np.arange(entries.size)
            if parameters[-1] >= place.stop:
                raise UnsupportedModel(f"the {kind} {modifier['name']} has fewer parameters than a channel has bins")
        self.pairs.append(np.stack([parameters, entries, source]))

    def sorted(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs and histosys rows (up, down) with each entry at its ``place``."""
        pairs = np.concatenate(self.pairs, axis=1) if self.pairs else np.zeros((3, 0), dtype=int)
        pairs[1] = place[pairs[1]]
        up, down = (np.zeros((len(self.shifts), place.size)) for _ in range(2))
        for row, variations in enumerate(self.shifts.values()):
            for entries, rise, fall in variations:
                up[row, place[entries]] += rise
                down[row, place[entries]] += fall
        return pairs, up, down


def read(pdf: Any) -> Specification:
    """The arrays of a ``pyhf.Model``.

    Raises:
        UnsupportedModel: naming what this package does not evaluate.
    """
    _refuse_unknown(pdf)
    reader = _Reader(pdf)
    reader.read()
    bins = np.concatenate(reader.bins)
    order = np.argsort(bins, kind="stable")
    pairs, up, down = reader.sorted(np.argsort(order))
    if len(set(zip(*pairs[:2].tolist(), strict=True))) < pairs.shape[1]:
        raise UnsupportedModel("one parameter scales a sample twice")
    norms = np.array(list(reader.norms), dtype=float).reshape(-1, 3)
    appliers = pdf.main_model.modifiers_appliers
    return Specification(
        nominal=np.concatenate(reader.nominal)[order],
        starts=np.searchsorted(bins[order], np.arange(pdf.config.nmaindata)),
        layers=_layers(pairs, order.size, int(pdf.config.npars) + len(norms)),
        pairs=pairs,
        norm_code=appliers["normsys"].interpcode,
        norm_parameters=norms[:, 0].astype(int),
        norm_down=norms[:, 1],
        norm_up=norms[:, 2],
        shift_code=appliers["histosys"].interpcode,
        shift_parameters=np.array(list(reader.shifts), dtype=int),
        shift_up=up,
        shift_down=down,
        normal=_constraints(pdf, "normal"),
        poisson=_constraints(pdf, "poisson"),
        n_parameters=int(pdf.config.npars),
        n_data=int(pdf.config.nmaindata + pdf.config.nauxdata),
        clip_sample=pdf.main_model.clip_sample_data,
        clip_bin=pdf.main_model.clip_bin_data,
    )


def _refuse_unknown(pdf: Any) -> None:
    import pyhf
    from pyhf.modifiers import histfactory_set

    if not isinstance(pdf, pyhf.Model):
        raise UnsupportedModel(f"{type(pdf).__name__} is not a pyhf.Model")
    if pdf.batch_size is not None:
        raise UnsupportedModel("the model is batched")
    known = {name: applier for name, (_, applier) in histfactory_set.items()}
    used = {kind for _, kind in pdf.config.modifiers}
    for kind in sorted(used):
        if kind not in known or type(pdf.main_model.modifiers_appliers[kind]) is not known[kind]:
            raise UnsupportedModel(f"the modifier type {kind} is not one of HistFactory's")
    for kind, codes in (("histosys", ADDITIVE), ("normsys", MULTIPLICATIVE)):
        code = pdf.main_model.modifiers_appliers[kind].interpcode
        if kind in used and code not in codes:
            raise UnsupportedModel(f"{kind} interpolates with {code}, which is not continuous")


def _offsets(pdf: Any, blocks: dict[tuple[str, str], Any]) -> dict[tuple[str, str, str], int]:
    """First parameter of (type, name, channel) within modifiers that count their bins over channels."""
    offsets: dict[tuple[str, str, str], int] = {}
    following: dict[tuple[str, str], int] = defaultdict(int)
    for channel in pdf.config.channels:
        present = {
            (modifier["type"], modifier["name"])
            for (name, _), sample in blocks.items()
            if name == channel
            for modifier in sample["modifiers"]
            if modifier["type"] in ("shapesys", "staterror")
        }
        for key in present:
            offsets[(*key, channel)] = following[key]
            following[key] += pdf.config.channel_nbins[channel]
    return offsets


def _layers(pairs: np.ndarray, n_entries: int, one: int) -> np.ndarray:
    count = np.bincount(pairs[1], minlength=n_entries)
    layers = np.full((int(count.max(initial=0)), n_entries), one)
    filled = np.zeros(n_entries, dtype=int)
    for _, entry, source in pairs.T.tolist():
        layers[filled[entry], entry] = source
        filled[entry] += 1
    return layers


def _constraints(pdf: Any, kind: str) -> Constraints:
    parts = [(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0))]
    for places, data, pdf_type, scales in _auxiliary(pdf):
        if pdf_type == kind:
            parts.append((places, data, scales))
    parameters, data, scales = (np.concatenate(column) for column in zip(*parts, strict=True))
    if (scales <= 0).any() or not np.all(np.isfinite(scales)):
        raise UnsupportedModel(f"a {kind} constraint has a scale that is not positive")
    return Constraints(parameters, data, scales)


def _auxiliary(pdf: Any) -> Iterator[tuple[np.ndarray, np.ndarray, str, np.ndarray]]:
    first = pdf.config.nmaindata
    for name in pdf.config.auxdata_order:
        parameters = pdf.config.param_set(name)
        place = pdf.config.par_slice(name)
        scales = parameters.factors if parameters.pdf_type == "poisson" else parameters.width()
        yield (
            np.arange(place.start, place.stop),
            first + np.arange(parameters.n_parameters),
            parameters.pdf_type,
            np.asarray(scales, dtype=float),
        )
        first += parameters.n_parameters
