"""Average images as a figure, and what of a search is averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import LogNorm

from analysis.figures.images import image_figures
from analysis.plots import Label
from analysis.plots.average_images import AverageImages, average_images_figure
from analysis.stages.searched import searched
from ml.selection import select
from tests.analysis.statistics_search import run_of
from tests.analysis.test_images_loading import TINY, by_hand, image_search

NETWORK = {"filters": [2], "dense": [4], "epochs": 1}
IMAGES = {"inputs": "images", "images": {"pixels": 8}, "network": NETWORK}
WEAK = {"settings": {key: TINY[key] for key in ("filters", "latent", "epochs")}}


def corner(row: int, column: int, *, pixels: int = 6) -> np.ndarray:
    image = np.zeros((pixels, pixels))
    image[row, column], image[3, 3] = 0.01, 0.5
    return image


def group(name: str = "Selected", **changes: Any) -> AverageImages:
    return replace(AverageImages(name, [corner(0, 0), corner(0, 5)], [120, 1200]), **changes)


def test_a_row_per_object_and_a_column_per_kind_on_one_scale() -> None:
    figure = average_images_figure([group(), group("Signal")], objects=["first", "second"], half_width=0.7)
    panels, (bar,) = figure.axes[:4], figure.axes[4:]
    drawn = [axes.images[0] for axes in panels]
    assert all(image.norm is drawn[0].norm for image in drawn)
    assert isinstance(drawn[0].norm, LogNorm)
    assert drawn[0].norm.vmax == 0.5
    assert drawn[0].get_extent() == [-0.7, 0.7, -0.7, 0.7]
    assert "p_T" in bar.get_ylabel()
    texts = [axes.texts[0].get_text() for axes in panels]
    assert texts == [f"{n}\n{o} jets" for o in ("first, 120", "second, 1,200") for n in ("Selected", "Signal")]
    # row 0 of an image is above, column 0 on the left
    for axes, left in ((panels[0], True), (panels[2], False)):
        image = axes.images[0]
        assert image.origin == "upper"
        row, column = np.argwhere(np.asarray(image.get_array()) == 0.01)[0]
        assert (row, column) == (0, 0 if left else 5)


def test_axes_say_whether_jets_were_turned() -> None:
    for rotated, text in ((True, "rotated"), (False, "eta")):
        figure = average_images_figure([group()], objects=["a", "b"], half_width=0.7, rotated=rotated)
        assert text in figure.axes[1].get_xlabel()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "at least one kind"),
        ([group(counts=[3])], "one square image and one count"),
        ([group(images=[np.ones((2, 3))] * 2)], "one square image"),
        ([group(images=[np.zeros((6, 6))] * 2)], "all empty"),
        ([group(images=[np.full((6, 6), np.nan)] * 2)], "not finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(groups: list[AverageImages], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_images_figure(groups, objects=["first", "second"], half_width=0.7)


def search_on_images(events_folder: Path, signals_folder: Path) -> dict[str, Any]:
    tnt = {"weak": WEAK, "mass_window": False, "iterations": 1, "signal_fractions": [0.5], "scheme": "disjoint"}
    return image_search(
        events_folder,
        signals_folder,
        detectors={
            "tnt": {"type": "tnt", "folds": 2, "settings": IMAGES | tnt},
            "ae": {"type": "image_autoencoder", "folds": 2, "settings": TINY},
            "features": {"type": "tnt", "folds": 2, "settings": {"iterations": 0}},
        },
        spectrum={"start": 2000, "stop": 8000, "width": 500, "family": "dijet", "parameters": 3},
        efficiencies=[0.2],
    )


def scored_at_random(fold: np.ndarray) -> SimpleNamespace:
    """What training leaves of a detector of two objects."""
    objects = np.random.default_rng(1).random((len(fold), 2)).astype(np.float32)
    return SimpleNamespace(score=objects.min(axis=1), objects=objects, fold_index=fold % 2)


def test_a_search_shows_what_its_detectors_on_images_select(
    events_folder: Path, signals_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each object in its own order; the images are those of the events' constituents."""
    run = run_of(tmp_path, search_on_images(events_folder, signals_folder))
    sample = searched(run, "hidden")
    found = scored_at_random(sample.events["fold"])
    both = {"tnt": found, "ae": SimpleNamespace(**{**vars(found), "objects": None})}
    monkeypatch.setattr("analysis.figures.images.trained", lambda _run, _sample, detector: both[detector])
    seen: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(
        "analysis.figures.images.average_images_figure", lambda groups, **other: seen.append((groups, other))
    )
    figures = list(image_figures(run, Label()))
    assert [one[1] for one in figures] == ["images-hidden-tnt-0.2", "images-hidden-ae-0.2"]
    assert "Jets are centred, rotated and mirrored." in figures[0][2]
    assert [other["objects"] for _, other in seen] == [["jet of larger $p_T$", "jet of smaller $p_T$"], ["lighter jet"]]
    images, groups = by_hand(run, sample.events), seen[0][0]
    first, rows = (sample.events["j1_pt"] < sample.events["j2_pt"]).astype(int), np.arange(len(sample.events))
    selected = select(found.score, found.fold_index, 0.2)
    for k, own in enumerate((images[rows, first], images[rows, 1 - first])):
        poor = select(-found.objects[:, k], found.fold_index, 0.4)
        for group_, kept in zip(groups, (selected, poor), strict=False):
            assert group_.counts[k] == kept.sum()
            np.testing.assert_allclose(group_.images[k], own[kept].mean(axis=0), atol=1e-6)
        assert sample.spare is not None
        assert groups[2].counts[k] == len(sample.spare)
