"""Figures of the images that detectors learned from: those they find signal-like, background-like, and true signal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import signal_content
from analysis.figures.selected import known_signal
from analysis.numbers import format_count, format_percent
from analysis.plots import Label
from analysis.plots.average_images import AverageImages, average_images_figure
from analysis.stages.families import ends, left_out
from analysis.stages.inputs import detector_sample
from analysis.stages.searched import Searched, searched
from analysis.stages.selections import Selection, searching_detectors, selected_rows
from analysis.stages.train import Trained, trained
from ml import Detector, Sample, detector_from_settings
from ml.image_batches import ObjectImages, WantedImages
from ml.pixel_scaling import Batch
from ml.selection import select

Described = tuple[str, str, str, object]

BACKGROUND_LIKE = 0.4  # share of the events, those of lowest score, as Tag N' Train takes them
_JETS = {"j1": "heavier jet", "j2": "lighter jet"}
_FIRST = {"pt": ("larger $p_T$", "smaller $p_T$"), "mass": ("larger mass", "smaller mass")}


def image_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure): mean images for every detector on images that is searched with.

    The tightest selection is shown, for the samples with the least and the most signal.
    """
    if run.search.spectrum is None or not run.search.efficiencies:
        return
    for detector in searching_detectors(run):
        settings = run.search.detectors[detector]
        untrained = detector_from_settings(settings.type, settings.settings)
        if untrained.needs_images is None:
            continue
        for name in ends(run):
            selection = Selection(name, detector, min(run.search.efficiencies))
            yield _figure(run, _Shown(run, searched(run, name), untrained, selection), label)


@dataclass(frozen=True)
class _Shown:
    """One detector on one sample."""

    run: SearchRun
    sample: Searched
    detector: Detector
    selection: Selection

    @property
    def wanted(self) -> WantedImages:
        assert self.detector.needs_images is not None
        return self.detector.needs_images

    @property
    def found(self) -> Trained:
        assert self.selection.detector is not None
        return trained(self.run, self.sample.name, self.selection.detector)

    @property
    def objects(self) -> list[str]:
        """What the objects are called, in the order of `batches`."""
        if self.detector.scores_objects:
            return [f"jet of {which}" for which in _FIRST[self.detector.settings.object_order]]
        return [_JETS[jet] for jet in self.wanted.jets]

    def batches(self, sample: Sample) -> list[Batch]:
        """What makes the images of each object."""
        from ml.tnt import TNT

        assert sample.batch is not None
        if isinstance(self.detector, TNT):
            return [one.batch for one in self.detector.objects(sample) if one.batch is not None]
        if len(self.objects) == 1:
            return [sample.batch]
        return [ObjectImages(sample.batch, np.full(len(sample), k)) for k in range(len(self.objects))]

    def background_like(self, k: int) -> np.ndarray:
        """(n_events,) bool: the events whose object k, or that as a whole, score lowest."""
        found, weight = self.found, self.sample.events["weight"]
        scores = found.score if found.objects is None else found.objects[:, k]
        return select(-scores, found.fold_index, BACKGROUND_LIKE, weight=weight)


def _figure(run: SearchRun, shown: _Shown, label: Label) -> Described:
    assert run.search.spectrum is not None
    assert shown.selection.detector is not None
    settings = run.search.detectors[shown.selection.detector]
    selected = selected_rows(shown.sample, shown.found, shown.selection, run.search.spectrum)
    count, images = len(shown.objects), shown.batches(detector_sample(shown.sample.events, settings))
    groups = [
        _mean(f"Selected, {format_percent(shown.selection.efficiency)}", images, [selected] * count),
        _mean("Background-like", images, [shown.background_like(k) for k in range(count)]),
    ]
    signal = known_signal(shown.sample)
    if signal is not None:
        own = shown.batches(detector_sample(signal, settings))
        groups.append(_mean("Signal, from the truth", own, [np.ones(len(signal), bool)] * count))
    drawn = shown.wanted.settings
    figure = average_images_figure(
        [group for group in groups if all(group.counts)],
        objects=shown.objects, half_width=drawn.half_width, rotated=drawn.rotate, label=label,
    )  # fmt: skip
    return "detectors", f"images-{shown.selection.identifier}", _caption(run, shown, int(selected.sum())), figure


def _mean(label: str, images: list[Batch], rows: list[np.ndarray]) -> AverageImages:
    from processors import average_image

    means = [
        average_image(batch, np.flatnonzero(own)) if own.any() else np.zeros((1, 1))
        for batch, own in zip(images, rows, strict=True)
    ]
    return AverageImages(label, means, [int(own.sum()) for own in rows])


def _caption(run: SearchRun, shown: _Shown, selected: int) -> str:
    lowest = "whose jet" if shown.detector.scores_objects else "that"
    drawn = shown.wanted.settings
    steps = " and ".join(["centred", *["rotated"] * drawn.rotate, *["mirrored"] * drawn.flip])
    steps = steps.replace(" and ", ", ", steps.count(" and ") - 1)
    return (
        f"Mean images of the jets of {shown.sample.name}: of the {format_count(selected)} events that "
        f"{shown.selection.detector} finds most anomalous, of the {format_percent(BACKGROUND_LIKE)} of the events "
        f"{lowest} it scores lowest"
        + (", and of the signal" if known_signal(shown.sample) is not None else "")
        + f". Jets are {steps}.{signal_content(shown.sample)}{left_out(run, ends(run))}"
    )
