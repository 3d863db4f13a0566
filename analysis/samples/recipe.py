"""What a built-in sample is: the process, how many events, the seed, the detector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from analysis.samples.boosted import HadronicTops, HiggsPair
from analysis.samples.detector import Detector
from analysis.samples.resonance import Resonance
from analysis.samples.top_resonance import TopResonance

# What a file of a given recipe holds changes with these: raise the number when generation changes.
GENERATION_VERSION = 4

# Keys that the recipe itself sets, and the recipe's own name for them.
RESERVED_SETTINGS = {
    "random:": "seed",
    "main:": "events",
    "beams:ecm": "sqrt_s",
    "phasespace:pthatmin": "pt_hat_min",
}

# Processes of top pairs, at particle level, and what they take instead of the fields' defaults.
TOP_PAIRS = ("ttbar", "resonance_ttbar")
DIJETS = ("qcd_dijet", "wprime_xy")
# Processes whose events are seen by the detector and kept by their hardest jet.
DETECTED = (*DIJETS, "zprime_tt", "scalar_hh")
TOP_DEFAULTS: Mapping[str, Any] = {"sqrt_s": 14.0, "min_leading_jet_pt": None}
DEFAULT_TOP_PT = 500.0

# Fields that only some processes have; the others must leave them at their defaults.
PROCESSES_WITH = {
    "pt_hat_min": ("qcd_dijet",),
    "resonance": ("wprime_xy",),
    "min_leading_jet_pt": DETECTED,
    "max_leading_jet_pt": DETECTED,
    "max_leading_jet_eta": DETECTED,
    "jet_radius": DETECTED,
    "detector": DETECTED,
    "min_top_pt": TOP_PAIRS,
    "top_resonance": ("resonance_ttbar",),
    "hadronic_tops": ("zprime_tt",),
    "higgs_pair": ("scalar_hh",),
}

PositiveGeV = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Recipe(BaseModel):
    """How to make one built-in sample; every field decides what the files hold, except `events`.

    `events` counts events kept in all files together, `events_per_file` those of each file but the last.
    `settings` are Pythia strings beyond the process's own (a list of `"Key = value"`, or a mapping), `sqrt_s` is
    in TeV, `pt_hat_min` in GeV is the smallest transverse momentum of the hard QCD process.

    An event is kept when the hardest jet of its candidates (anti-kT, radius `jet_radius`) has at least
    `min_leading_jet_pt` and less than `max_leading_jet_pt` (GeV; null: no upper bound) within |eta| <
    `max_leading_jet_eta`; null for `min_leading_jet_pt` keeps them all.

    Top pairs (`ttbar`, and `resonance_ttbar` by `top_resonance`) decay to one e or μ and hadrons, and both tops have
    at least `min_top_pt` (GeV, null: 500) in the hard process. They are kept at particle level, all of them, and are
    made at 14 TeV unless `sqrt_s` is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    process: Literal["qcd_dijet", "wprime_xy", "ttbar", "resonance_ttbar", "zprime_tt", "scalar_hh"]
    events: int = Field(gt=0)
    seed: int = Field(ge=0, le=2**63 - 1)
    format: Literal["root", "lhco"] = "root"
    settings: tuple[str, ...] = ()
    events_per_file: int = Field(default=5000, gt=0, le=20_000)
    sqrt_s: float = Field(default=13.0, gt=0, le=1000, allow_inf_nan=False)
    pt_hat_min: PositiveGeV | None = None
    min_leading_jet_pt: PositiveGeV | None = 1200.0
    max_leading_jet_pt: PositiveGeV | None = None
    max_leading_jet_eta: float = Field(default=2.5, gt=0, le=5)
    jet_radius: float = Field(default=1.0, gt=0, le=2)
    resonance: Resonance | None = None
    detector: Detector = Detector()
    min_top_pt: PositiveGeV | None = None
    top_resonance: TopResonance | None = None
    hadronic_tops: HadronicTops | None = None
    higgs_pair: HiggsPair | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_process(cls, content: Any) -> Any:
        return with_defaults(content) if isinstance(content, Mapping) else content

    @field_validator("settings", mode="before")
    @classmethod
    def _as_strings(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return tuple(f"{key} = {_pythia_value(item)}" for key, item in value.items())
        return value

    @field_validator("settings")
    @classmethod
    def _not_reserved(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        tops = {"pt_hat_min": "min_top_pt"} if info.data.get("process") in TOP_PAIRS else {}
        for setting in value:
            key = setting.split("=")[0].strip().lower()
            if "=" not in setting:
                raise ValueError(f"expected 'Key = value', got {setting!r}")
            for reserved, field in RESERVED_SETTINGS.items():
                if key.startswith(reserved):
                    field = tops.get(field, field)
                    raise ValueError(f"{setting!r} is decided by the recipe's `{field}`: set that instead")
        return value

    @model_validator(mode="after")
    def _fields_of_the_process(self) -> Recipe:
        defaults = type(self).model_fields
        for name, processes in PROCESSES_WITH.items():
            default = TOP_DEFAULTS.get(name, defaults[name].default) if self.makes_tops else defaults[name].default
            if self.process not in processes and getattr(self, name) != default:
                several = f"es {', '.join(processes[:-1])} and" if len(processes) > 1 else ""
                owners = f"the process{several} {processes[-1]}"
                raise ValueError(f"`{name}` belongs to {owners}, not to {self.process}")
        if self.makes_tops and self.format == "lhco":
            raise ValueError(
                f"`format: lhco` has no room for the leptons and B hadrons of {self.process}: make it as `root`"
            )
        return self

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        collisions = 1000 * self.sqrt_s
        heavy = {
            "wprime_xy": ("resonance.wprime", self.signal.wprime.mass),
            "resonance_ttbar": ("top_resonance", self.top_signal.mass),
            "zprime_tt": ("hadronic_tops.zprime", self.tops.zprime.mass),
            "scalar_hh": ("higgs_pair.resonance", self.higgses.resonance.mass),
        }
        name, heaviest = heavy.get(self.process, ("", 0.0))
        if heaviest >= collisions:
            raise ValueError(f"{name}.mass = {heaviest:g} GeV is beyond the collision energy ({collisions:g} GeV)")
        low, high = self.min_leading_jet_pt, self.max_leading_jet_pt
        if high is not None and (low is None or low >= high):
            raise ValueError(
                f"max_leading_jet_pt = {high:g} GeV needs a smaller min_leading_jet_pt, which is "
                f"{'null' if low is None else f'{low:g} GeV'}"
            )
        if 2 * (self.hard_scale or 0) >= collisions:
            raise ValueError(f"pt_hat_min = {self.hard_scale:g} GeV is beyond half the collision energy")
        if self.makes_tops and 2 * self.top_threshold >= collisions:
            raise ValueError(f"min_top_pt = {self.top_threshold:g} GeV is beyond half the collision energy")
        if self.process == "resonance_ttbar" and 2 * self.top_threshold >= heaviest:
            raise ValueError(
                f"min_top_pt = {self.top_threshold:g} GeV is beyond half of top_resonance.mass = {heaviest:g} GeV: "
                "no decay gives both tops that much"
            )
        return self

    @property
    def signal(self) -> Resonance:
        """The resonance of a wprime_xy recipe: as given, or LHC Olympics-like."""
        return self.resonance or Resonance()

    @property
    def top_signal(self) -> TopResonance:
        """The resonance of a resonance_ttbar recipe: as given, or a Z' of 2 TeV with a width of 89.6 GeV."""
        return self.top_resonance or TopResonance()

    @property
    def tops(self) -> HadronicTops:
        """The resonance and tops of a zprime_tt recipe: as given, or a Z' of 1.3 TeV and tops of 174 GeV."""
        return self.hadronic_tops or HadronicTops()

    @property
    def higgses(self) -> HiggsPair:
        """The scalars of a scalar_hh recipe: as given, or of 1.3 TeV, 174 GeV and 80 GeV."""
        return self.higgs_pair or HiggsPair()

    def of_file(self, index: int) -> Recipe:
        """Return the recipe that the events of file `index` are made by: masses may differ from file to file."""
        if self.process != "wprime_xy" or self.signal.x_masses is None:
            return self
        return self.model_copy(update={"resonance": self.signal.of_file(index)})

    @property
    def makes_tops(self) -> bool:
        """Whether the process is one of semileptonic top pairs, which are kept at particle level."""
        return self.process in TOP_PAIRS

    @property
    def top_threshold(self) -> float:
        """Smallest transverse momentum of both tops of a process of top pairs (GeV)."""
        return DEFAULT_TOP_PT if self.min_top_pt is None else self.min_top_pt

    @property
    def truth(self) -> int:
        """The label of all events: 1 for a signal, 0 for a background."""
        return int(self.process in ("wprime_xy", "resonance_ttbar", "zprime_tt", "scalar_hh"))

    @property
    def hard_scale(self) -> float | None:
        """Smallest transverse momentum of the hard QCD process (GeV), None for other processes.

        Without `pt_hat_min` it is 5/6 of the leading-jet threshold, the value with which jets are distributed as in
        the LHC Olympics sample. Initial-state radiation lifts some jets over the threshold from below: docs/samples.md
        says how many are missed, and which value misses none.
        """
        if self.process != "qcd_dijet":
            return None
        if self.pt_hat_min is not None:
            return self.pt_hat_min
        return 20.0 if self.min_leading_jet_pt is None else round(self.min_leading_jet_pt * 5 / 6, 3)

    @property
    def n_files(self) -> int:
        """Number of files that the sample is split into."""
        return -(-self.events // self.events_per_file)

    def events_in(self, index: int) -> int:
        """Number of events in file `index`."""
        return min(self.events_per_file, self.events - index * self.events_per_file)

    def described(self) -> dict[str, Any]:
        """Return the fields as JSON, without those of other processes.

        The dijets' samples on disk are older than the fields of other processes and the upper bound of the leading
        jet, and name those of both dijets: their keys must not depend on this.
        """
        hidden = {name for name, processes in PROCESSES_WITH.items() if self.process not in processes}
        if self.process in DIJETS:
            hidden = {name for name in hidden if not set(PROCESSES_WITH[name]) & set(DIJETS)}
        if self.max_leading_jet_pt is None:
            hidden.add("max_leading_jet_pt")
        return self.model_dump(mode="json", exclude=hidden)

    def key(self) -> str:
        """Return a hash of everything that decides what a file of given index and size holds."""
        content = self.described()
        for name in ("events", "events_per_file", "resonance"):
            content.pop(name, None)
        if self.process == "zprime_tt":
            content["hadronic_tops"] = self.tops.model_dump(mode="json")
        if self.process == "scalar_hh":
            content["higgs_pair"] = self.higgses.model_dump(mode="json")
        if self.makes_tops:
            content["min_top_pt"] = self.top_threshold
            if self.process == "resonance_ttbar":
                content["top_resonance"] = self.top_signal.model_dump(mode="json")
        else:
            content["hard_scale"] = self.hard_scale
            content["resonance"] = self.signal.model_dump(mode="json") if self.process == "wprime_xy" else None
        content["generation"] = GENERATION_VERSION
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def with_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recipe says, laid over the defaults of its process where they differ from the fields'."""
    defaults = TOP_DEFAULTS if content.get("process") in TOP_PAIRS else {}
    return {**defaults, **content}


def _pythia_value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
