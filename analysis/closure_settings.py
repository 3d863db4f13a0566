"""What a search file may say about simulation that is reweighted to the data: its closure and its prediction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from analysis.settings import Model


class ClosureSettings(Model):
    """The fresh classifier that tells data from simulation, before and after the simulation is reweighted.

    `events` limits how many events of data and of simulation it takes from each region, evenly from all of it.
    """

    classifier: Literal["mlp", "bdt"] = "bdt"
    folds: int = Field(5, ge=2)
    events: int | None = Field(None, gt=0)


class DirectSettings(Model):
    """The background predicted by reweighted simulation, at efficiencies of the data in the signal window."""

    efficiencies: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)

    @field_validator("efficiencies")
    @classmethod
    def _are_efficiencies(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [efficiency for efficiency in value if not 0 < efficiency <= 1]
        if wrong:
            raise ValueError(f"{wrong[0]:g} is not an efficiency above 0 and at most 1")
        if len(set(value)) < len(value):
            raise ValueError("the same efficiency is listed twice")
        return value
