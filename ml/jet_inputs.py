"""Constituents of jets as networks see them: every jet a training example, its momenta standardised and in one row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ml.constituent_batches import WantedConstituents
from ml.errors import TrainingError, nearest_names
from ml.mass_matching import matching_weights
from ml.preprocessing import Standardiser
from ml.sample import Sample

BLOCK = 8192  # events whose constituents are made at a time
COMPONENTS = ("E", "px", "py", "pz")


@dataclass(frozen=True)
class JetInputSettings:
    """Which jets a detector learns from, and their masses.

    Attributes:
        jets: of each event, `j1`, `j2` or both: each is an example of its own, and all are seen by the same network.
        constituents: hardest ones of a jet; the paper has 20.
        mass_columns: columns of the sample with the mass of each jet, GeV; None is `j1_m`, `j2_m`. They are read where
            something is to be made independent of the mass, never by a network.
    """

    jets: tuple[str, ...] = ("j1",)
    constituents: int = 20
    mass_columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _ = self.wanted
        if len(self.masses) != len(self.jets):
            raise TrainingError(
                f"mass_columns names {list(self.masses)} for the jets {list(self.jets)}: give one column for each jet"
            )

    @property
    def wanted(self) -> WantedConstituents:
        """What is asked of `Sample.batch`."""
        return WantedConstituents(self.jets, self.constituents)

    @property
    def masses(self) -> tuple[str, ...]:
        """Columns of the jet masses."""
        return tuple(f"{jet}_m" for jet in self.jets) if self.mass_columns is None else self.mass_columns

    @property
    def inputs(self) -> int:
        """Numbers that a network sees of a jet."""
        return self.constituents * len(COMPONENTS)


@dataclass(frozen=True)
class JetInputs:
    """Standardised jets and what belongs to them, jet by jet: those of the first event come first.

    Attributes:
        x: (n_jets, inputs) float32.
        weight: (n_jets,) of mean 1, those of the events.
        mass: (n_jets,) GeV, or empty where it is not needed.
    """

    x: np.ndarray
    weight: np.ndarray
    mass: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.x)


def momenta_of(sample: Sample, settings: JetInputSettings) -> Iterator[np.ndarray]:
    """Four-momenta (n_block, jets, constituents, 4) in GeV as (E, px, py, pz), block after block of events.

    Raises:
        TrainingError: no `batch`, or arrays of another shape, or values that are not finite.
    """
    check_constituents(sample, settings)
    assert sample.batch is not None
    for start in range(0, max(len(sample), 1), BLOCK):
        yield _momenta(sample, np.arange(start, min(start + BLOCK, len(sample))), settings)


def check_constituents(sample: Sample, settings: JetInputSettings) -> None:
    """Raise TrainingError for a sample whose `batch` does not give the constituents of its first event."""
    if sample.batch is None:
        raise TrainingError(
            "the sample has no constituents: keep those of the jets by `processing: {constituents: 200}` in the search "
            "file; from Python give `Sample.batch`, row indices → four-momenta "
            f"(n, {len(settings.jets)}, {settings.constituents}, 4) in GeV"
        )
    _momenta(sample, np.arange(min(1, len(sample))), settings)


def check_jets(sample: Sample, settings: JetInputSettings, *, role: str, masses: bool) -> None:
    """Raise TrainingError, naming the role, where constituents, or jet masses that are read, are missing."""
    try:
        check_constituents(sample, settings)
        if masses:
            jet_masses(sample, settings)
    except TrainingError as error:
        raise TrainingError(f"sample of role {role!r}: {error}") from error


def fit_standardiser(sample: Sample, settings: JetInputSettings) -> Standardiser:
    """Mean and width of every component of every constituent over the jets of a sample, event weights counted.

    Raises:
        TrainingError: as `momenta_of`; a component that is the same in all jets.
    """
    x = np.concatenate([_flat(block) for block in momenta_of(sample, settings)])
    weight = np.repeat(np.asarray(sample.weight, np.float64), len(settings.jets))
    constant = np.ptp(x, axis=0) == 0
    if constant.any():
        constituent, component = divmod(int(np.argmax(constant)), len(COMPONENTS))
        raise TrainingError(
            f"{COMPONENTS[component]} of constituent {constituent + 1} is {x[0, np.argmax(constant)]:g} in all "
            f"{len(x)} jets: the jets of this sample have fewer constituents, so lower `constituents` "
            f"({settings.constituents})"
        )
    names = [f"{component} of constituent {i + 1}" for i in range(settings.constituents) for component in COMPONENTS]
    return Standardiser.fit(x, weight, names=names)


def jet_inputs(sample: Sample, settings: JetInputSettings, scaler: Standardiser, *, masses: bool) -> JetInputs:
    """The standardised jets of a sample, with their masses where they are needed."""
    jets = len(settings.jets)
    weight = np.repeat(np.asarray(sample.weight, np.float64) / np.mean(sample.weight), jets)
    mass = jet_masses(sample, settings).ravel() if masses else np.zeros(0)
    x = np.concatenate([scaler.apply(_flat(block)) for block in momenta_of(sample, settings)])
    return JetInputs(x, weight, mass)


def mass_odds(jets: JetInputs, reference: JetInputs, *, bins: int) -> np.ndarray:
    """Weights (n_jets,) that give jets the masses of the reference; see `ml.mass_matching.matching_weights`."""
    return matching_weights(
        jets.mass, reference.mass, weight=jets.weight, reference_weight=reference.weight, bins=bins
    )


def jet_masses(sample: Sample, settings: JetInputSettings) -> np.ndarray:
    """(n_events, jets) GeV.

    Raises:
        TrainingError: a column that is not there or not finite.
    """
    for name in settings.masses:
        if name not in sample.columns:
            raise TrainingError(
                f"the sample has no column {name!r} with the mass of a jet: {nearest_names(name, sample.columns)}; "
                "`mass_columns` names others"
            )
    return sample.features(settings.masses)


def blocks_of(sample: Sample, settings: JetInputSettings, scaler: Standardiser) -> Iterator[np.ndarray]:
    """Standardised jets (n_block·jets, inputs), block after block of events."""
    for block in momenta_of(sample, settings):
        yield scaler.apply(_flat(block))


def unscaled(x: np.ndarray, settings: JetInputSettings, scaler: Standardiser) -> np.ndarray:
    """Four-momenta (…, constituents, 4) in GeV of standardised jets (…, inputs)."""
    return scaler.invert(x).reshape(*x.shape[:-1], settings.constituents, len(COMPONENTS))


def _flat(momenta: np.ndarray) -> np.ndarray:
    return momenta.reshape(momenta.shape[0] * momenta.shape[1], momenta.shape[2] * momenta.shape[3])


def _momenta(sample: Sample, rows: np.ndarray, settings: JetInputSettings) -> np.ndarray:
    assert sample.batch is not None
    momenta = np.asarray(sample.batch(rows))
    expected = (len(rows), len(settings.jets), settings.constituents, len(COMPONENTS))
    if momenta.shape != expected:
        raise TrainingError(
            f"`batch` of the sample gave an array of shape {momenta.shape} for {len(rows)} rows: expected {expected}, "
            "the four-momenta (E, px, py, pz) of the hardest constituents of each jet"
        )
    bad = ~np.isfinite(momenta).all(axis=(1, 2, 3))
    if bad.any():
        raise TrainingError(
            f"{int(bad.sum())} of {len(rows)} events have constituents that are NaN or infinite, the first that of row "
            f"{int(rows[np.argmax(bad)])}: repair or drop those events"
        )
    return momenta
