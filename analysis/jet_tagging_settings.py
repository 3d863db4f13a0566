"""What a search file may say about tagging single jets without knowing what they are: arXiv:2007.01850."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import Field, field_validator, model_validator

from analysis.settings import Model, Name
from analysis.validation import nearest


class JetType(Model):
    """Jets to be found: a data set, what they are, and the mass (GeV) of the particle that they come from.

    In figures the colour of a curve says the mass, its line style the kind.
    """

    dataset: Name
    kind: str = Field(min_length=1)
    mass: float = Field(gt=0)

    @property
    def title(self) -> str:
        """Name in figures and tables."""
        return f"{self.kind}, {self.mass:g} GeV"


class JetNetworkSettings(Model):
    """One network: `settings` go to the detector, which checks them itself.

    `metrics` are scores that it is judged by beside its own. `plain` names the network whose dependence on the jet mass
    this one should be below.
    """

    type: Name
    settings: Mapping[str, Any] = {}
    metrics: tuple[str, ...] = ()
    plain: Name | None = None


class HeldOut(Model):
    """A network beside a reference that was trained with labels, on jets that neither has seen (figure 20)."""

    network: Name
    reference: Name
    jets: tuple[Name, ...] = Field(min_length=1)


class MassAxis(Model):
    """Bins of jet mass spectra, GeV; jets beyond the ends count in the outermost ones."""

    start: float = Field(0.0, ge=0)
    stop: float = Field(400.0, gt=0)
    bins: int = Field(40, ge=2)

    @property
    def edges(self) -> np.ndarray:
        """(bins + 1,)."""
        return np.linspace(self.start, self.stop, self.bins + 1)

    @model_validator(mode="after")
    def _rising(self) -> MassAxis:
        if self.start >= self.stop:
            raise ValueError(f"`start` ({self.start:g} GeV) must lie below `stop` ({self.stop:g} GeV)")
        return self


class ExaminedSettings(Model):
    """Networks whose reconstruction, generation and latent space are looked at.

    Attributes:
        networks: of type jet_vae; the first is drawn first.
        events: background jets that are reconstructed, those that follow the ones trained on, and jets generated.
        jets: types whose latent means are embedded in two dimensions beside those of the background.
        embedded: jets of each kind that are.
        perplexity: of t-SNE.
    """

    networks: tuple[Name, ...] = Field(min_length=1)
    events: int = Field(5000, ge=100)
    jets: tuple[Name, ...] = ()
    embedded: int = Field(1000, ge=10)
    perplexity: float = Field(50.0, gt=1)


class JetTaggingSettings(Model):
    """Networks trained on one kind of jets, and tested with others.

    Attributes:
        background: what networks are trained on.
        background_test: other jets of the same kind, that they are tested with.
        exposure: outliers for networks that are shown some, and the other class for those trained with labels.
        jets: name → jets to be found.
        test_pt: all tested jets have at least the first and less than the second (GeV).
        events, exposure_events, test_events: so many jets of the background, the exposed ones, and each type that is to
            be found are used; None for all.
        background_test_events: likewise of `background_test`; as many as `test_events`, unless given.
        efficiencies: of the background, at which its mass spectrum is looked at.
        quoted: that of them at which signal efficiencies and divergences are compared (figure 15).
        benchmark: jets that figure 15 is drawn for; the first of `jets` by default.
    """

    background: Name
    background_test: Name
    exposure: Name | None = None
    jets: Mapping[Name, JetType] = Field(min_length=1)
    test_pt: tuple[float, float] = (550.0, 650.0)
    events: int | None = Field(None, ge=100)
    exposure_events: int | None = Field(None, ge=100)
    test_events: int | None = Field(None, ge=100)
    background_test_events: int | None = Field(None, ge=100)
    networks: Mapping[Name, JetNetworkSettings] = Field(min_length=1)
    masses: MassAxis = MassAxis()
    efficiencies: tuple[float, ...] = (0.5, 0.1, 0.05, 0.01)
    quoted: float = 0.05
    benchmark: Name | None = None
    examined: ExaminedSettings | None = None
    held_out: tuple[HeldOut, ...] = ()

    @property
    def shown(self) -> str:
        """The jets that figure 15 is drawn for."""
        return self.benchmark or next(iter(self.jets))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Every data set that is read."""
        exposure = [] if self.exposure is None else [self.exposure]
        tested = [one.dataset for one in self.jets.values()]
        return tuple(dict.fromkeys((self.background, self.background_test, *exposure, *tested)))

    @field_validator("networks", mode="before")
    @classmethod
    def _without_those_left_out(cls, value: Any) -> Any:
        """Drop networks that a scale sets to null."""
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value

    @field_validator("test_pt")
    @classmethod
    def _window(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            raise ValueError(f"[{value[0]:g}, {value[1]:g}] GeV is no window of pT: the lower end must come first")
        return value

    @field_validator("efficiencies")
    @classmethod
    def _efficiencies(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len(set(value)) < len(value) or not all(0 < one < 1 for one in value):
            raise ValueError(f"{list(value)} are no different efficiencies between 0 and 1")
        return tuple(sorted(value, reverse=True))

    @model_validator(mode="after")
    def _consistent(self) -> JetTaggingSettings:
        self._separate()
        if self.quoted not in self.efficiencies:
            raise ValueError(f"`quoted: {self.quoted:g}` is none of `efficiencies` {list(self.efficiencies)}: add it")
        known, jets = list(self.networks), list(self.jets)
        for name, network in self.networks.items():
            _known(f"networks.{name}.plain", [network.plain], known)
        for one in self.held_out:
            _known("held_out.network", [one.network], known)
            _known("held_out.reference", [one.reference], known)
            _known("held_out.jets", one.jets, jets)
        if self.examined is not None:
            _known("examined.networks", self.examined.networks, known)
            _known("examined.jets", self.examined.jets, jets)
        _known("benchmark", [self.benchmark], jets)
        return self

    def _separate(self) -> None:
        """Check that no network is tested with jets that it may have been trained on."""
        trained = {"background": self.background, "exposure": self.exposure}
        tested = {"background_test": self.background_test}
        tested |= {f"jets.{name}.dataset": one.dataset for name, one in self.jets.items()}
        for key, dataset in tested.items():
            for role, other in trained.items():
                if dataset == other:
                    raise ValueError(
                        f"`{key}: {dataset}` is also the `{role}` that networks train on: test with other jets, of a "
                        "data set of another seed"
                    )


def _known(key: str, names: Iterable[str | None], known: list[str]) -> None:
    for name in names:
        if name is not None and name not in known:
            raise ValueError(f"`{key}: {name}` is not there{nearest(name, known)}")
