"""What a search file may say about the interpretation of a latent space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from analysis.settings import Interval, Model


class GridSettings(Model):
    """Where the heat maps decode: latent coordinates in standard deviations, and masses in GeV."""

    coordinate: Interval = (-3.0, 4.0)
    mass: Interval = (2000.0, 8000.0)
    points: int = Field(60, ge=2)

    @model_validator(mode="after")
    def _ordered(self) -> GridSettings:
        for name in ("coordinate", "mass"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"`{name}: [{low:g}, {high:g}]` is no interval: the lower end must come first")
        if self.mass[0] <= 0:
            raise ValueError(f"`mass` begins at {self.mass[0]:g} GeV: masses are above 0")
        return self


class TrajectorySettings(Model):
    """How scores are followed through training, for every optimiser that is asked for.

    `detectors` are those of the type latent_vae that are followed, by default those whose latent space is read.
    """

    detectors: tuple[str, ...] = ()
    members: int = Field(5, ge=1)
    steps: int = Field(20_000, ge=1)
    point: int = Field(1000, ge=1)
    events: int = Field(20_000, ge=100, description="probed at every point")

    @model_validator(mode="after")
    def _points(self) -> TrajectorySettings:
        if self.point > self.steps:
            raise ValueError(f"`point: {self.point}` is beyond the last of `steps: {self.steps}`")
        return self


class LatentSettings(Model):
    """The second step of arXiv:2103.06595: a decoder that sees the mass, and what it says of the latent space.

    `detectors` are those whose latent space is read, all with one latent dimension that are searched with by default.
    `decoder` goes to `ml.latent_decoder.MassDecoderSettings`. `subsets` trainings on random parts of the background
    alone, known from the truth of a mixture, make the bands of the marginal ratios; 0 leaves them out. `optimizers`
    are those whose trainings are followed step by step.
    """

    detectors: tuple[str, ...] = ()
    decoder: Mapping[str, Any] = {}
    grid: GridSettings = GridSettings()
    subsets: int = Field(0, ge=0)
    optimizers: tuple[str, ...] = ()
    trajectory: TrajectorySettings = TrajectorySettings()
