"""What every model of a search file shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Interval = tuple[float, float]
NOMINAL = "nominal"  # the variation that is always processed
MASS_COLUMNS = {"dijet": "mjj", "jet": "j1_m", "ttbar": "mtt"}  # processor → the resonance mass of its events
DIJET_CUTS = ("min_jet_pt", "min_leading_pt", "max_abs_eta", "max_delta_eta", "min_mjj")  # of `processing`


def _rising(value: Interval) -> Interval:
    if not 0 <= value[0] < value[1]:
        raise ValueError(f"[{value[0]:g}, {value[1]:g}] is no interval of masses: the lower end must come first")
    return value


MassInterval = Annotated[Interval, AfterValidator(_rising)]
"""GeV, the lower end first."""


class Model(BaseModel):
    """Frozen, and closed: a mistyped key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
