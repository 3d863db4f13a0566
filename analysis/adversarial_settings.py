"""What a search file may say about detectors that must not depend on a nuisance: arXiv:1905.10384."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from analysis.settings import NOMINAL, Model, Name


class BackgroundClass(Model):
    """One class of the background: a data set, and the variation of it that is read."""

    dataset: Name
    variation: Name = NOMINAL


class NetworkSettings(Model):
    """One network: its detector, the background it is trained on, and which network it is compared with.

    `settings` go to the detector, which checks them itself. `background` is one of `backgrounds`, by default the first.
    `plain` names the network without an adversary whose difference between directions this one should be below.
    """

    type: Name
    settings: Mapping[str, Any] = {}
    folds: int = Field(2, ge=2)
    background: Name | None = None
    plain: Name | None = None


class ContaminationSettings(Model):
    """Trainings with signal among the background: `fractions` of all training events, of `network`'s settings."""

    network: Name
    fractions: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)

    @field_validator("fractions")
    @classmethod
    def _fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len(set(value)) < len(value) or not all(0 < one < 1 for one in value):
            raise ValueError(f"{list(value)} are no different fractions between 0 and 1 (0 is the network itself)")
        return tuple(sorted(value))


class SmearedLimitSettings(Model):
    """Limits on the signals' cross sections after the selection.

    `luminosity` in fb⁻¹; `required` is the S/√B that counts as excluded; `edges` of the m_tt̄ spectrum in GeV, on which
    pyhf sets its limits with the smearing as one nuisance parameter, its one standard deviation the classes `up` and
    `down` of the smearing.
    """

    networks: tuple[Name, ...] = Field(min_length=1)
    luminosity: float = Field(100.0, gt=0)
    required: float = Field(2.0, gt=0)
    edges: tuple[float, ...] = (1000.0, 1200.0, 1400.0, 1600.0, 1800.0, 2000.0, 2300.0, 3000.0)
    level: float = Field(0.05, gt=0, lt=1)

    @field_validator("edges")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) < 2 or list(value) != sorted(set(value)):
            raise ValueError("`edges` must be two masses (GeV) or more, rising")
        return value


class AdversarialSettings(Model):
    """Networks trained on a background of several classes, judged class by class.

    Attributes:
        backgrounds: name → class → data set and variation. The first class is the central one; classes have the same
            names in all backgrounds. Every network is tested with all of them.
        signal: what classifiers are trained on, and all networks tested with.
        signals: further signals that networks are tested with.
        events: most events of each class that are used; None for all.
        signal_events: most events of each signal that are used; None for as many as of each class.
        features: columns that networks read where their `settings` name none.
    """

    backgrounds: Mapping[Name, Mapping[Name, BackgroundClass]] = Field(min_length=1)
    signal: Name
    signals: tuple[Name, ...] = ()
    events: int | None = Field(None, ge=100)
    signal_events: int | None = Field(None, ge=100)
    features: tuple[Name, ...] = ()
    networks: Mapping[Name, NetworkSettings] = Field(min_length=1)
    contamination: ContaminationSettings | None = None
    limits: SmearedLimitSettings | None = None

    @property
    def first(self) -> str:
        """The background that networks are trained on unless they say another."""
        return next(iter(self.backgrounds))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, the central one first."""
        return tuple(self.backgrounds[self.first])

    @property
    def tested(self) -> tuple[str, ...]:
        """All signals, the one that classifiers train on first."""
        return tuple(dict.fromkeys((self.signal, *self.signals)))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Every data set that is read."""
        backgrounds = [one.dataset for classes in self.backgrounds.values() for one in classes.values()]
        return tuple(dict.fromkeys((*backgrounds, *self.tested)))

    def most(self, dataset: str) -> int | None:
        """Return how many events of a data set are used; None for all."""
        return self.signal_events or self.events if dataset in self.tested else self.events

    def trained_with(self, network: str) -> str:
        """Return the background that a network is trained on."""
        return self.networks[network].background or self.first

    @field_validator("networks", mode="before")
    @classmethod
    def _left_out(cls, value: Any) -> Any:
        """Drop networks that are null, as detectors are left out."""
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _consistent(self) -> AdversarialSettings:
        for name, classes in self.backgrounds.items():
            if len(classes) < 2:
                raise ValueError(f"`backgrounds.{name}` has {len(classes)} class: an adversary tells two or more apart")
            if set(classes) != set(self.classes):
                raise ValueError(
                    f"`backgrounds.{name}` has the classes {sorted(classes)}, `backgrounds.{self.first}` has "
                    f"{sorted(self.classes)}: give all backgrounds the same classes"
                )
            read = [one.dataset for one in classes.values()]
            if len(set(read)) < len(read):
                raise ValueError(
                    f"the classes of `backgrounds.{name}` read the data sets {', '.join(read)}: give each class its "
                    "own, as the same event in two classes would train and test the same network"
                )
        for name, network in self.networks.items():
            self._known(f"networks.{name}.background", network.background, self.backgrounds)
            self._known(f"networks.{name}.plain", network.plain, self.networks)
            if network.plain == name:
                raise ValueError(f"`networks.{name}.plain` is the network itself: name one without an adversary")
        if self.contamination is not None:
            self._known("contamination.network", self.contamination.network, self.networks)
        for name in self.limits.networks if self.limits else ():
            self._known("limits.networks", name, self.networks)
        if self.limits is not None and not {"up", "down"} <= set(self.classes):
            raise ValueError(
                f"`limits` take the classes `up` and `down` for one standard deviation, and the classes are "
                f"{list(self.classes)}: name two of them so, or leave `limits` out"
            )
        return self

    @staticmethod
    def _known(key: str, name: str | None, known: Mapping[str, Any]) -> None:
        if name is not None and name not in known:
            raise ValueError(f"`{key}: {name}` is none of {', '.join(known)}")
