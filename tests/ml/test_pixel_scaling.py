"""Zero mean and unit variance of pixels."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from ml.errors import TrainingError
from ml.pixel_scaling import PixelScaling, ScaledImages, fit_scaling
from tests.ml.image_toys import Stored, jets

TRAINING = np.arange(200)


@pytest.fixture(scope="module")
def sample() -> Stored:
    return Stored(jets(np.repeat([0, 1], 150), seed=4, pixels=16))


@pytest.fixture(scope="module")
def scaling(sample: Stored) -> PixelScaling:
    return fit_scaling(sample, TRAINING, block=64)


def test_pixels_have_zero_mean_and_unit_variance(sample: Stored, scaling: PixelScaling) -> None:
    images = ScaledImages(sample, scaling)(TRAINING).astype(np.float64)
    lit = scaling.std > 0
    assert 10 < lit.sum() < lit.size
    np.testing.assert_allclose(images.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(images.var(axis=0)[lit], 1, atol=1e-4)
    assert (images[:, ~lit] == 0).all()


def test_constant_pixels_stay_zero_on_other_jets(sample: Stored, scaling: PixelScaling) -> None:
    rows = np.arange(200, 300)
    dark = scaling.std == 0
    assert (sample(rows)[:, dark] > 0).any()
    assert (ScaledImages(sample, scaling)(rows)[:, dark] == 0).all()


def test_constant_pixels_are_found_in_spite_of_rounding() -> None:
    # every jet alike: 1/3 and 2/3 are no round numbers, and their mean is not exact
    images = Stored(np.tile(np.array([[1 / 3, 2 / 3], [0, 0]], np.float32), (1001, 1, 1)))
    scaling = fit_scaling(images, np.arange(1001), weight=np.linspace(0.1, 0.7, 1001), block=13)
    assert (scaling.std == 0).all()
    assert (ScaledImages(images, scaling)(np.arange(3)) == 0).all()


def test_moments_are_those_of_numpy_whatever_the_blocks(sample: Stored) -> None:
    weight = np.linspace(0.0, 3.0, len(TRAINING))
    images = sample(TRAINING).astype(np.float64)
    mean = np.average(images, axis=0, weights=weight)
    std = np.sqrt(np.average((images - mean) ** 2, axis=0, weights=weight))
    for block in (1, 7, 1000):
        scaling = fit_scaling(sample, TRAINING, weight=weight, block=block)
        np.testing.assert_allclose(scaling.mean, mean, atol=1e-14)
        np.testing.assert_allclose(scaling.std, std, atol=1e-14, rtol=1e-10)
        assert scaling.n_images == len(TRAINING) - 1  # the first weight is 0


def test_whole_weights_count_as_copies(sample: Stored) -> None:
    weighted = fit_scaling(sample, np.arange(3), weight=np.array([1.0, 3.0, 2.0]))
    copied = fit_scaling(sample, np.array([0, 1, 1, 1, 2, 2]))
    np.testing.assert_allclose(weighted.std, copied.std, rtol=1e-10)


def test_floor_limits_rare_pixels(sample: Stored, scaling: PixelScaling) -> None:
    floored = fit_scaling(sample, TRAINING, floor=0.01)
    ratio = ScaledImages(sample, floored)(TRAINING) / np.where(scaling.std > 0, 1, np.nan)
    expected = (sample(TRAINING) - scaling.mean) / np.maximum(scaling.std, 0.01)
    np.testing.assert_allclose(ratio[:, scaling.std > 0], expected[:, scaling.std > 0], atol=1e-5)


def test_saved_scaling_is_the_same_to_the_last_bit(sample: Stored, scaling: PixelScaling, tmp_path: Path) -> None:
    scaling.save(tmp_path / "scaling.json")
    again = PixelScaling.load(tmp_path / "scaling.json")
    np.testing.assert_array_equal(again.mean, scaling.mean)
    np.testing.assert_array_equal(again.std, scaling.std)
    assert (again.n_images, again.floor) == (scaling.n_images, scaling.floor)
    expected = ScaledImages(sample, scaling)(TRAINING)
    copy = pickle.loads(pickle.dumps(ScaledImages(sample, again)))  # noqa: S301 (our own, just made)
    np.testing.assert_array_equal(copy(TRAINING), expected)


def test_files_that_are_no_scaling_are_refused(scaling: PixelScaling, tmp_path: Path) -> None:
    path = tmp_path / "scaling.json"
    with pytest.raises(TrainingError, match="cannot be read"):
        PixelScaling.load(path)
    path.write_text("{")
    with pytest.raises(TrainingError, match="cannot be read"):
        PixelScaling.load(path)
    content = scaling.to_dict()
    for wrong in ({"mean": [[0.0]]}, {"floor": -1.0}, {"n_images": "many"}, {"std": None}):
        path.write_text(json.dumps(content | wrong))
        with pytest.raises(TrainingError, match="fit it again"):
            PixelScaling.load(path)
    path.write_text("[]")
    with pytest.raises(TrainingError, match="fit it again"):
        PixelScaling.load(path)


def test_images_of_other_shapes_or_values_are_refused(sample: Stored, scaling: PixelScaling) -> None:
    with pytest.raises(TrainingError, match=r"\(16, 16\)"):
        scaling(np.zeros((1, 20, 20), dtype=np.float32))
    broken = sample.images[:20].copy()
    broken[7, 3, 3] = np.nan
    with pytest.raises(TrainingError, match="NaN"):
        fit_scaling(Stored(broken), np.arange(20))
    with pytest.raises(TrainingError, match="alike"):
        fit_scaling(lambda rows: np.zeros((len(rows), 4, 4 + rows[0])), np.arange(3), block=1)
    with pytest.raises(TrainingError, match="at least 1"):
        fit_scaling(sample, np.arange(0))


def test_images_that_are_scaled_stay_as_they_are(sample: Stored, scaling: PixelScaling) -> None:
    before = sample.images.copy()
    scaling(sample.images)
    np.testing.assert_array_equal(sample.images, before)


@pytest.mark.parametrize(
    ("weight", "floor", "message"),
    [
        ([1.0, -1.0], 0.0, "negative"),
        ([0.0, 0.0], 0.0, "all 2 images are 0"),
        (None, -1.0, "smallest"),
        (None, np.nan, "smallest"),
    ],
)
def test_fits_that_cannot_be(sample: Stored, weight: list[float] | None, floor: float, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        fit_scaling(sample, np.arange(2), weight=weight and np.array(weight), floor=floor)
