"""Jet images: invariances, known pixels, bad input."""

from __future__ import annotations

import logging
import math
import pickle
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from processors.errors import InputError
from processors.image_kernels import ON_AXIS, ROWS, oriented
from processors.images import ImageSettings, ImageStack, JetImages, average_image
from tests.benchmarks.images import image_in_numpy, synthetic_jets

PIXELS = 40
WIDTH = 1.4 / PIXELS
ROUNDING = 2e-6  # of coordinates, from directions in float32


def images_of(*jets: list[tuple[float, float, float]], settings: ImageSettings | None = None) -> JetImages:
    """Images of jets given as lists of (pt, eta, phi)."""
    flat = np.array([constituent for jet in jets for constituent in jet], dtype=np.float64).reshape(-1, 3)
    offsets = np.concatenate([[0], np.cumsum([len(jet) for jet in jets], dtype=np.int64)])
    return JetImages(offsets, *flat.T, settings=settings or ImageSettings())


def one_image(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    return JetImages(np.array([0, len(pt)]), pt, eta, phi)(np.array([0]))[0]


def coordinates(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """What the kernel works with, from directions in double precision: those of files are float32."""
    work = np.empty((ROWS, len(pt)))
    arrays = (np.asarray(values, dtype=np.float64) for values in (pt, eta, phi))
    return work[:, : oriented(0, len(pt), *arrays, True, True, work)]


@pytest.fixture(scope="module")
def sample() -> JetImages:
    return JetImages(*synthetic_jets(300, seed=4))


@st.composite
def clear_jets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pt, x, y) of a jet whose axis, flips and pixels do not hang on rounding; no two pT are equal."""
    n = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pt = np.cumsum(rng.uniform(1, 30, n))[::-1].astype(np.float32)
    x, y = (rng.normal(0, draw(st.sampled_from([0.03, 0.1, 0.3])), n) for _ in range(2))
    _, u, v = coordinates(pt, x, y)
    radius = np.sqrt(np.average(u**2 + v**2, weights=pt))
    anisotropy = np.average(v**2 - u**2, weights=pt) / radius**2
    assume(radius > 0.01 and anisotropy > 0.05)
    if n > 2:  # of two, both lie on the vertical
        assume(abs(u[0]) > 1e-4)
        edges = np.stack([u, v]) / WIDTH
        assume((abs(edges - np.rint(edges)) > 1e-3).all())
    assume(abs(v[0]) > 1e-4)
    assume((abs(v / WIDTH - np.rint(v / WIDTH)) > 1e-3).all())
    return pt, x, y


def assert_same_jet(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> None:
    """The same coordinates, and the same pixels in spite of float32."""
    np.testing.assert_allclose(coordinates(*first), coordinates(*second), atol=1e-10)
    np.testing.assert_allclose(one_image(*first), one_image(*second), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(jet=clear_jets(), eta=st.floats(-2.5, 2.5), phi=st.floats(-math.pi, math.pi))
def test_image_does_not_know_where_the_jet_is(jet: tuple[np.ndarray, ...], eta: float, phi: float) -> None:
    pt, x, y = jet
    wrapped = np.remainder(y + phi + math.pi, 2 * math.pi) - math.pi
    assert_same_jet((pt, x, y), (pt, x + eta, wrapped))


@settings(max_examples=60, deadline=None)
@given(jet=clear_jets(), angle=st.floats(0, 2 * math.pi))
def test_image_does_not_know_how_the_jet_is_turned(jet: tuple[np.ndarray, ...], angle: float) -> None:
    pt, x, y = jet
    turned = math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y
    assert_same_jet((pt, x, y), (pt, *turned))


@settings(max_examples=60, deadline=None)
@given(jet=clear_jets(), angle=st.floats(0, math.pi))
def test_image_does_not_know_a_jet_from_its_mirror_image(jet: tuple[np.ndarray, ...], angle: float) -> None:
    pt, x, y = jet
    c, s = math.cos(2 * angle), math.sin(2 * angle)
    assert_same_jet((pt, x, y), (pt, c * x + s * y, s * x - c * y))


@settings(max_examples=40, deadline=None)
@given(jet=clear_jets(), seed=st.integers(0, 1000))
def test_order_of_constituents_does_not_matter(jet: tuple[np.ndarray, ...], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(jet[0]))
    np.testing.assert_allclose(one_image(*jet), one_image(*(values[order] for values in jet)), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(jet=clear_jets())
def test_coordinates_are_centred_upright_and_hardest_upper_left(jet: tuple[np.ndarray, ...]) -> None:
    pt, x, y = coordinates(*jet)
    np.testing.assert_allclose([np.average(x, weights=pt), np.average(y, weights=pt)], 0, atol=ROUNDING)
    assert abs(np.average(x * y, weights=pt)) < ROUNDING
    assert np.average(y**2, weights=pt) > np.average(x**2, weights=pt)
    assert x[0] <= 0 < y[0]
    distances = [np.hypot(a[:, None] - a, b[:, None] - b) for a, b in ((x, y), jet[1:])]
    np.testing.assert_allclose(*distances, atol=ROUNDING)  # nothing but moved, turned and mirrored


@settings(max_examples=40, deadline=None)
@given(jet=clear_jets())
def test_image_is_that_of_numpy(jet: tuple[np.ndarray, ...]) -> None:
    assume(len(jet[0]) > 2)
    assume((abs(coordinates(*jet)[1:]) < 0.7).any(axis=0).any())
    image = one_image(*jet)
    assume(image.sum() > 0)
    np.testing.assert_allclose(image, image_in_numpy(*jet), atol=2e-6)


def test_two_prongs_are_in_the_pixels_that_one_expects() -> None:
    # 300 and 100 GeV, 0.4 apart along η: 0.1 above and 0.3 below the centroid, on the vertical (left of the edge)
    image = images_of([(300, 1.2, 3.1), (100, 0.8, 3.1)])(np.array([0]))[0]
    expected = np.zeros((PIXELS, PIXELS))
    expected[17, 19], expected[28, 19] = 0.75, 0.25  # 0.1 and -0.3 over 0.035: 2.9 up, 8.6 down
    np.testing.assert_allclose(image, expected, atol=1e-7)


def test_jet_across_the_seam_of_phi() -> None:
    image = images_of([(300, 0.0, math.pi - 0.05), (100, 0.0, -math.pi + 0.35)])(np.array([0]))[0]
    assert image[17, 19] == pytest.approx(0.75)
    assert image[28, 19] == pytest.approx(0.25)


def test_hardest_of_three_is_upper_left() -> None:
    jet = [(100.0, 0.1, -0.3), (60.0, -0.1, 0.3), (80.0, -0.05, 0.25)]
    image = images_of(jet)(np.array([0]))[0]
    top, left = np.argwhere(image == image.max())[0]
    assert top < PIXELS / 2
    assert left < PIXELS / 2


def test_without_rotation_eta_is_to_the_right_and_phi_upwards() -> None:
    plain = ImageSettings(pixels=4, half_width=0.4, rotate=False, flip=False)
    image = images_of([(1, -0.15, -0.15), (1, -0.15, 0.15), (2, 0.15, 0.0)], settings=plain)(np.array([0]))[0]
    np.testing.assert_allclose(image, [[0, 0, 0, 0], [0, 0.25, 0.5, 0], [0, 0.25, 0, 0], [0, 0, 0, 0]])


def test_one_constituent_is_upper_left_of_the_centre() -> None:
    assert images_of([(50, -1.3, 2.0)])(np.array([0]))[0][19, 19] == 1


def test_constituents_on_an_axis_leave_the_flip_to_the_next() -> None:
    # a cross: the hardest are on the vertical, where rounding must not decide what is left and right
    cross = [(60.0, 0.0, 0.3), (55.0, 0.0, -0.3), (20.0, 0.1, 0.0), (10.0, -0.2, 0.0)]
    mirrored = [(pt, -eta, -phi) for pt, eta, phi in cross]
    images = images_of(cross, mirrored)
    np.testing.assert_allclose(*images(np.arange(2)), atol=1e-6)
    for row in range(2):
        np.testing.assert_allclose(images.coordinates(row)[1], [0, 0, -0.1, 0.2], atol=ROUNDING)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.0, 2.8])
def test_isotropic_jet_has_its_hardest_constituent_on_the_vertical(angle: float) -> None:
    # Σ pT x = Σ pT y = Σ pT x y = 0 and Σ pT x² = Σ pT y²: no axis, and rounding must not choose one
    jet = [(60.0, 0.1, 0.0), (30.0, -0.2, 0.0), (22.5, 0.0, 0.2), (22.5, 0.0, -0.2)]
    c, s = math.cos(angle), math.sin(angle)
    turned = images_of([(pt, c * x - s * y, s * x + c * y) for pt, x, y in jet])
    _, x, y = turned.coordinates(0)
    np.testing.assert_allclose(np.stack([x, y])[:, :2], [[0, 0], [0.1, -0.2]], atol=ROUNDING)
    np.testing.assert_allclose(sorted(x[2:]), [-0.2, 0.2], atol=ROUNDING)
    np.testing.assert_allclose(turned(np.array([0])), images_of(jet)(np.array([0])), atol=1e-6)


def test_nothing_outside_the_window_counts() -> None:
    image = images_of([(100, 0, 0.1), (100, 0, -0.1), (1, 0, 1.2), (1, 0, -1.2)])(np.array([0]))[0]
    assert image.sum() == pytest.approx(1)
    assert sorted(image[image > 0]) == pytest.approx([0.5, 0.5])


def test_sum_is_one(sample: JetImages) -> None:
    images = sample(np.arange(len(sample)))
    assert images.dtype == np.float32
    np.testing.assert_allclose(images.sum(axis=(1, 2), dtype=np.float64), 1, atol=1e-6)
    assert (images >= 0).all()


def test_batches_are_rows_of_the_whole(sample: JetImages) -> None:
    whole, rows = sample(np.arange(len(sample))), np.array([5, 299, 5, 0])
    np.testing.assert_array_equal(sample(rows), whole[rows])
    assert sample(np.array([], dtype=np.int64)).shape == (0, PIXELS, PIXELS)
    assert sample([]).shape == (0, PIXELS, PIXELS)


def test_pickled_images_are_the_same(sample: JetImages) -> None:
    again, rows = pickle.loads(pickle.dumps(sample)), np.arange(20)  # noqa: S301 (our own, just made)
    np.testing.assert_array_equal(again(rows), sample(rows))
    assert again.settings == sample.settings


def test_ragged_arrays_give_the_same_as_flat_ones(sample: JetImages) -> None:
    counts = np.diff(sample.offsets)
    ragged = [ak.unflatten(values, counts) for values in (sample.pt, sample.eta, sample.phi)]
    for arrays in (ragged, [ak.from_arrow(ak.to_arrow(a, extensionarray=False)) for a in ragged]):
        np.testing.assert_array_equal(JetImages.from_ragged(*arrays)(np.arange(9)), sample(np.arange(9)))
    order = np.arange(len(sample))[::-1]
    backwards = JetImages.from_ragged(*(array[order] for array in ragged))
    np.testing.assert_array_equal(backwards(np.arange(5)), sample(order[:5]))


def test_jets_without_constituents_are_dark() -> None:
    images = images_of([], [(0.0, 1.0, 1.0)], [(5.0, 0.0, 0.0), (0.0, 0.4, 0.2)])
    np.testing.assert_array_equal(images(np.arange(3)).sum(axis=(1, 2)), [0, 0, 1])
    assert images.outside == 0
    assert JetImages.from_ragged(*[ak.Array([[]])[:0] for _ in range(3)])([]).shape == (0, PIXELS, PIXELS)


def test_jets_beyond_the_window_are_dark_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        images = images_of([(10, 0, 0.9), (10, 0, -0.9)], [(10, 0, 0)])
    assert images.outside == 1
    assert "1 of 2 jets" in caplog.text
    np.testing.assert_array_equal(images(np.arange(2)).sum(axis=(1, 2)), [0, 1])


def test_stack_has_the_jets_beside_each_other(sample: JetImages) -> None:
    other = JetImages(sample.offsets, sample.pt, sample.eta, sample.phi, settings=ImageSettings(flip=False))
    stack = pickle.loads(pickle.dumps(ImageStack((sample, other))))  # noqa: S301 (our own, just made)
    rows = np.array([3, 1])
    np.testing.assert_array_equal(stack(rows), np.stack([sample(rows), other(rows)], axis=1))


def test_average_is_the_weighted_mean_whatever_the_blocks(sample: JetImages) -> None:
    rows, weight = np.arange(40, 140), np.linspace(0.1, 3, 100)
    expected = np.average(sample(rows), axis=0, weights=weight)
    for block in (1, 7, 1000):
        np.testing.assert_allclose(average_image(sample, rows, weight=weight, block=block), expected, atol=1e-7)
    np.testing.assert_allclose(average_image(sample, rows), sample(rows).mean(axis=0), atol=1e-6)
    assert average_image(ImageStack((sample, sample)), rows).shape == (2, PIXELS, PIXELS)


@pytest.mark.parametrize(
    ("rows", "weight", "block", "message"),
    [
        ([], None, 8, "no row"),
        ([0, 1], None, 0, "block of 0"),
        ([0, 1], [1.0], 8, "one for each row"),
        ([0, 1], [1.0, np.nan], 8, "image 1"),
        ([0, 1], [1.0, -1.0], 8, "sum to 0"),
    ],
)
def test_averages_that_cannot_be(
    sample: JetImages, rows: list[int], weight: list[float] | None, block: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        average_image(sample, np.array(rows, dtype=int), weight=weight and np.array(weight), block=block)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 3, 2, 4])}, "fall from 3 to 2 at jet 1"),
        ({"offsets": np.array([1, 2, 4])}, "first is 0"),
        ({"offsets": np.array([0.0, 4.0])}, "whole numbers"),
        ({"offsets": np.array([], dtype=int)}, "whole numbers"),
        ({"offsets": np.array([0, 2, 5])}, "offsets end at 5"),
        ({"eta": np.zeros(3)}, r"eta has shape \(3,\)"),
        ({"phi": np.zeros((4, 1))}, "phi has shape"),
        ({"pt": np.array([1, 1, 1, -2.0])}, "pt is -2 at constituent 1 of jet 1"),
        ({"pt": np.array([1, np.nan, 1, 1])}, "pt is nan at constituent 1 of jet 0"),
        ({"pt": np.array([1, 1e300, 1, 1])}, "pt is inf"),
        ({"eta": np.array([0, 0, np.inf, 0])}, "eta is inf at constituent 0 of jet 1"),
        ({"phi": np.array([0, 0, 0, np.nan])}, "phi is nan at constituent 1 of jet 1"),
    ],
)
def test_damaged_arrays_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    arrays = {"offsets": np.array([0, 2, 4]), "pt": np.ones(4), "eta": np.zeros(4), "phi": np.zeros(4)}
    with pytest.raises(InputError, match=message):
        JetImages(**(arrays | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eta": ak.Array([[0.0], [0.0, 0.0]])}, "Jet 0 has 1 values of eta and 2 of pt"),
        ({"phi": ak.Array([[0.0, 0.0]])}, "phi holds 1 jets, pt 2"),
        ({"pt": ak.Array([[1.0, None], [1.0]])}, "missing"),
        ({"pt": ak.Array([None, [1.0]])}, "missing"),
        ({"pt": ak.Array([1.0, 1.0, 1.0])}, "1 dimensions"),
    ],
)
def test_ragged_arrays_that_do_not_fit_are_refused(change: dict[str, ak.Array], message: str) -> None:
    arrays = {name: ak.Array([[0.0, 0.0], [0.0]]) for name in ("pt", "eta", "phi")}
    with pytest.raises(InputError, match=message):
        JetImages.from_ragged(**(arrays | change))


@pytest.mark.parametrize("rows", [[-1], [300], [0.5], [[0, 1]], [True, False]])
def test_rows_that_do_not_exist_are_refused(sample: JetImages, rows: list[object]) -> None:
    with pytest.raises(InputError, match=r"[Rr]ow"):
        sample(np.array(rows))


@pytest.mark.parametrize("wrong", [{"pixels": 0}, {"pixels": 2.5}, {"half_width": 0.0}, {"half_width": math.nan}])
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        replace(ImageSettings(), **wrong)
    assert ON_AXIS < WIDTH / 1000
