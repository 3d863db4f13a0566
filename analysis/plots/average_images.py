"""Mean images of jets, kind of events beside kind of events: what a classifier of images calls signal-like.

Source: arXiv:2002.12376, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from analysis.plots.style import Label, add_label, new_figure, plain, styled

DECADES = 4.5  # below the brightest pixel; fainter ones have the lowest colour
_COLOURS = "viridis"


@dataclass(frozen=True)
class AverageImages:
    """Mean images of the objects of one kind of events.

    Attributes:
        label: which kind.
        images: one (pixels, pixels) for each object; row 0 is the top. Intensities are shares of the jet's pT.
        counts: how many jets each is the mean of.
    """

    label: str
    images: Sequence[np.ndarray]
    counts: Sequence[int]


@styled
def average_images_figure(
    groups: Sequence[AverageImages],
    *,
    objects: Sequence[str],
    half_width: float,
    rotated: bool = True,
    label: Label | None = None,
) -> Figure:
    """One row per object, one column per kind of events, all on one logarithmic colour scale.

    Args:
        objects: names of the objects, which may hold mathtext.
        half_width: of the images, in η and φ.
        rotated: whether jets were turned, so that the axes are no longer η and φ.

    Raises:
        ValueError: no groups, images of other numbers or shapes than expected, or none with intensity.
    """
    _check(groups, objects)
    brightest = max(np.max(image) for group in groups for image in group.images)
    scale = LogNorm(brightest * 10**-DECADES, brightest)
    figure = new_figure(width=3.3 * len(groups) + 1.9, height=3.35 * len(objects) + 0.7)
    axes = figure.subplots(len(objects), len(groups), squeeze=False, sharex=True, sharey=True)
    for column, group in enumerate(groups):
        for row, image in enumerate(group.images):
            text = f"{plain(group.label)}\n{objects[row]}, {group.counts[row]:,} jets"
            drawn = _panel(axes[row, column], np.asarray(image), half_width, scale, text)
    x, y = ("$x'$ (rotated) [ΔR]", "$y'$ (rotated) [ΔR]") if rotated else (r"$\Delta\eta$", r"$\Delta\phi$ [rad]")
    for axis in axes.flat:
        axis.set(xlabel=x, ylabel=y)
        axis.label_outer()
    text = "Mean share of the jet's $p_T$ in a pixel"
    figure.colorbar(drawn, ax=axes, pad=0.015, fraction=0.05, aspect=32, extend="min", label=text)
    add_label(axes[0, 0], label or Label())
    return figure


def _panel(axes: Axes, image: np.ndarray, half_width: float, scale: LogNorm, text: str) -> AxesImage:
    shown = np.maximum(image, scale.vmin or 0)  # empty pixels are dark, as faint ones are
    extent = (-half_width, half_width, -half_width, half_width)
    axes.tick_params(which="both", color="white")
    axes.text(0.07, 0.95, text, transform=axes.transAxes, color="white", va="top", size=10)
    return axes.imshow(shown, extent=extent, origin="upper", norm=scale, cmap=_COLOURS, interpolation="nearest")


def _check(groups: Sequence[AverageImages], objects: Sequence[str]) -> None:
    if not groups or not objects:
        raise ValueError("average images need at least one kind of events and one object")
    for group in groups:
        shapes = {np.shape(image) for image in group.images}
        if not len(group.images) == len(group.counts) == len(objects) or any(
            len(shape) != 2 or shape[0] != shape[1] for shape in shapes
        ):
            raise ValueError(
                f"{group.label!r}: expected one square image and one count for each of {list(objects)}, got "
                f"{len(group.images)} of shapes {sorted(shapes)}"
            )
    every = np.concatenate([np.ravel(image) for group in groups for image in group.images])
    if not np.isfinite(every).all() or not every.max() > 0:
        raise ValueError("average images are not finite, or all empty: there is nothing to draw")
