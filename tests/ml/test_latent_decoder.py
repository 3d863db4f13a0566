"""The invariant-mass decoder says what its Keras models say, and sees a feature change where it does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError
from ml.latent_decoder import MassDecoder, MassDecoderSettings, marginals, median_pulls
from ml.latent_vae import LatentVAE, LatentVAESettings
from ml.mass_decoding import level_start
from ml.preprocessing import Standardiser
from ml.variational import ENCODER

FEATURES = ("j1_m", "j1_tau21", "j2_m")
SETTINGS = LatentVAESettings(
    features=FEATURES,
    members=2,
    hidden=(8,),
    steps=200,
    point=100,
    batch_size=200,
    stopping="none",
    scaling="standard",
    alpha=300.0,
)
OWN = MassDecoderSettings(hidden=(16, 16), batch_size=200, steps=800, learning_rate=1e-2)
COORDINATES, MASSES = np.linspace(-1.5, 1.5, 7), np.linspace(2200.0, 4800.0, 27)


def bump(events: int, *, seed: int) -> Sample:
    """Features that know nothing of the mass, but for the leading jet mass, which is high around 3.5 TeV."""
    random = np.random.default_rng(seed)
    mass = random.uniform(2000, 5000, events)
    hidden = random.normal(0, 1, events)  # what latent space can learn
    columns = {
        "j1_m": 200 + 20 * hidden + 150 * np.exp(-0.5 * ((mass - 3500) / 250) ** 2),
        "j1_tau21": 0.5 - 0.1 * hidden + random.normal(0, 0.02, events),
        "j2_m": 100 + 30 * hidden + random.normal(0, 5, events),
    }
    fold = random.integers(0, 2**32, events, dtype=np.uint32)
    return Sample(columns=columns, mass=mass, weight=np.ones(events), fold=fold, event_id=np.arange(events))


@pytest.fixture(autouse=True, scope="module")
def one_shard() -> Iterator[None]:
    """Members trained together compile once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ml.training.available", lambda: 1)
        yield


Trained = tuple[LatentVAE, MassDecoder, Sample, dict[str, Any]]


@pytest.fixture(scope="module")
def trained() -> Trained:
    sample = bump(4000, seed=1)
    detector = LatentVAE(SETTINGS)
    detector.fit({"data": sample}, window=None, seeds=np.random.SeedSequence(1))
    before = [array.copy() for array in detector.parameters[ENCODER]]
    decoder = MassDecoder(OWN)
    history = decoder.fit(detector, sample, seeds=np.random.SeedSequence(2))
    return detector, decoder, sample, {"encoder": before, "history": history}


def test_the_encoder_stays_as_it_was_and_the_loss_falls(trained: Trained) -> None:
    detector, _, _, more = trained
    for before, after in zip(more["encoder"], detector.parameters[ENCODER], strict=True):
        np.testing.assert_array_equal(before, after)
    losses = more["history"].losses["validation_loss"]
    assert (np.nanmin(losses, axis=0) < 0.7 * losses[0]).all()


def test_the_grid_is_what_the_saved_models_decode(trained: Trained, tmp_path: Path) -> None:
    import keras

    detector, decoder, sample, _ = trained
    decoder.save(tmp_path)
    grid = decoder.grid(COORDINATES, MASSES)
    assert grid.shape == (2, len(COORDINATES), len(MASSES), len(FEATURES))
    mass_mean, mass_width = np.mean(sample.mass), np.std(sample.mass)
    for member in range(2):
        model = keras.models.load_model(tmp_path / "mass_decoder" / f"member-{member:03d}.keras", compile=False)
        for i, j in ((0, 0), (3, 20), (6, 26)):
            own = detector.orientation
            z = (COORDINATES[i] * own.width[member] + own.mean[member]) / own.direction[member, 0]
            scaled = np.array([[z, (MASSES[j] - mass_mean) / mass_width]], np.float32)
            expected = detector.scaler.invert(np.asarray(keras.ops.convert_to_numpy(model(scaled))))[0]
            np.testing.assert_allclose(grid[member, i, j], expected, rtol=1e-4)


def test_grid_and_events_agree(trained: Trained) -> None:
    """An event is decoded as the grid's point at its own coordinate and mass."""
    detector, decoder, sample, _ = trained
    few = sample.select(np.arange(3))
    mean, _ = detector.encode(few)
    u = detector.orientation.apply(mean)
    events = decoder.reconstruct(detector, few)
    assert events.shape == (2, 3, len(FEATURES))
    for member in range(2):
        for event in range(3):
            point = decoder.grid(u[member, event : event + 1], few.mass[event : event + 1])[member, 0, 0]
            np.testing.assert_allclose(events[member, event], point, rtol=1e-4)


def test_blocks_make_no_difference(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, decoder, sample, _ = trained
    whole = decoder.reconstruct(detector, sample)
    monkeypatch.setattr("ml.latent_decoder.BLOCK", 1500)
    np.testing.assert_allclose(decoder.reconstruct(detector, sample), whole, rtol=1e-6)


def test_the_marginal_shows_a_bump_where_it_is(trained: Trained) -> None:
    _, decoder, _, _ = trained
    ratio = marginals(decoder.grid(COORDINATES, MASSES), COORDINATES)
    assert ratio.shape == (2, len(MASSES), len(FEATURES))
    np.testing.assert_allclose(ratio.mean(axis=1), 1)
    for member in range(2):
        assert abs(MASSES[np.argmax(ratio[member, :, 0])] - 3500) <= 200
        assert ratio[member, :, 0].max() > 1.25  # 350 over an average of about 237
        assert np.abs(ratio[member, :, 1:] - 1).max() < 0.15


def test_medians_are_reconstructed(trained: Trained) -> None:
    detector, decoder, sample, _ = trained
    pulls = median_pulls(sample.features(FEATURES), decoder.reconstruct(detector, sample))
    assert pulls.shape == (2, len(FEATURES))
    assert np.abs(pulls).max() < 0.3


def test_saved_and_loaded_decoders_are_identical(trained: Trained, tmp_path: Path) -> None:
    detector, decoder, sample, _ = trained
    decoder.save(tmp_path)
    loaded = MassDecoder.load(tmp_path)
    assert loaded.settings == OWN
    np.testing.assert_array_equal(loaded.grid(COORDINATES, MASSES), decoder.grid(COORDINATES, MASSES))
    few = sample.select(np.arange(10))
    np.testing.assert_array_equal(loaded.reconstruct(detector, few), decoder.reconstruct(detector, few))


def test_the_same_seed_gives_the_same_decoder_and_smearing_takes_part(trained: Trained) -> None:
    detector, _, sample, _ = trained
    short = MassDecoderSettings(hidden=(8,), batch_size=500, steps=14)
    grids = []
    for seed, resolution in ((3, 0.025), (3, 0.025), (4, 0.025), (3, 0.2)):
        decoder = MassDecoder(dataclasses.replace(short, mass_resolution=resolution))
        decoder.fit(detector, sample, seeds=np.random.SeedSequence(seed))
        grids.append(decoder.grid(COORDINATES, MASSES))
    np.testing.assert_array_equal(grids[0], grids[1])
    assert not np.allclose(grids[0], grids[2], rtol=1e-4)
    assert not np.allclose(grids[0], grids[3], rtol=1e-5)


def test_another_detector_is_refused(trained: Trained) -> None:
    _, decoder, sample, _ = trained
    with pytest.raises(TrainingError, match="another detector"):
        decoder.reconstruct(starting(sample, latent=1), sample)


def starting(sample: Sample, *, latent: int) -> LatentVAE:
    """A detector with the weights that a training would start from, which takes no time."""
    detector = LatentVAE(dataclasses.replace(SETTINGS, latent=latent))
    x = sample.features(FEATURES)
    detector._scaler = Standardiser.fit(x, sample.weight, names=FEATURES)
    detector._parameters = detector.settings.network.initial(np.random.SeedSequence(9).spawn(2))
    detector._orient(detector.scaled(sample), x, sample.weight)
    return detector


def test_events_decode_from_more_dimensions_but_grids_do_not(trained: Trained) -> None:
    sample = trained[2]
    detector, decoder = starting(sample, latent=2), MassDecoder(MassDecoderSettings(hidden=(8,), steps=1))
    decoder.fit(detector, sample, seeds=np.random.SeedSequence(1))
    assert np.isfinite(decoder.reconstruct(detector, sample)).all()
    with pytest.raises(TrainingError, match="one dimension: it has 2"):
        decoder.grid(COORDINATES, MASSES)


def test_untrained_parts_are_refused(trained: Trained, tmp_path: Path) -> None:
    detector, _, sample, _ = trained
    empty = MassDecoder()
    for use in (
        lambda: empty.grid(COORDINATES, MASSES),
        lambda: empty.reconstruct(detector, sample),
        lambda: empty.save(tmp_path),
        lambda: empty.fit(LatentVAE(SETTINGS), sample, seeds=np.random.SeedSequence(1)),
    ):
        with pytest.raises(TrainingError, match="not trained"):
            use()


def test_samples_that_cannot_be_trained_on(trained: Trained) -> None:
    detector, _, sample, _ = trained
    seeds = np.random.SeedSequence(1)
    with pytest.raises(TrainingError, match="no events"):
        MassDecoder().fit(detector, sample.select(np.arange(0)), seeds=seeds)
    shifted = Sample(sample.columns, sample.mass - 2500, sample.weight, sample.fold, sample.event_id)
    with pytest.raises(TrainingError, match="not above 0"):
        MassDecoder().fit(detector, shifted, seeds=seeds)
    level = Sample(sample.columns, np.full(len(sample), 3e3), sample.weight, sample.fold, sample.event_id)
    with pytest.raises(TrainingError, match="constant"):
        MassDecoder().fit(detector, level, seeds=seeds)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 0},
        {"steps": 0},
        {"mass_resolution": 0.0},
        {"validation_fraction": 0.0},
        {"learning_rate": -1.0},
        {"activation": "softmax"},
        {"hidden": (0,)},
    ],
)
def test_settings_are_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError):
        MassDecoderSettings(**changes)


def test_steps_are_counted_not_epochs() -> None:
    """A tenth of 10,000 events validates, 9 batches of 1,000 train."""
    settings = MassDecoderSettings(steps=91)
    assert settings.schedule(10_000).epochs == 11
    assert settings.schedule(100).epochs == 91  # less than one batch is one step


def test_a_decoder_starts_from_the_mean_of_the_features() -> None:
    network = MassDecoderSettings(hidden=(8,)).network(inputs=2, outputs=3)
    start = level_start(network.initial(np.random.SeedSequence(1).spawn(2)), np.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(network.predict(start, np.ones((4, 2))), np.broadcast_to([0.1, 0.2, 0.3], (2, 4, 3)))


def test_marginals_of_a_known_grid() -> None:
    """O = (1 + u)·m: the average over u takes the density's mean of u, which the ratio does not see; u·m + m² does."""
    u, m = np.linspace(0, 2, 5), np.array([1.0, 2.0, 3.0])
    grid = np.stack([(1 + u[:, None]) * m, u[:, None] * m + m**2], axis=-1)[None]
    density = np.array([0.0, 0.0, 0.0, 0.0, 4.0])
    np.testing.assert_allclose(marginals(grid, u)[0, :, 0], m / 2)
    np.testing.assert_allclose(marginals(grid, u, density)[0, :, 0], m / 2)
    weighted = 2 * m + m**2
    np.testing.assert_allclose(marginals(grid, u, density)[0, :, 1], weighted / weighted.mean())


def test_marginals_do_not_depend_on_where_the_coordinates_lie_dense() -> None:
    """A plain average over u is one over the coordinate, not over the points that happen to stand there."""
    m = np.linspace(1.0, 2.0, 4)
    ratios = []
    for u in (np.linspace(0, 1, 400), np.linspace(0, 1, 400) ** 2):
        ratios.append(marginals((u[:, None] + m)[None, :, :, None], u)[0, :, 0])
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=1e-3)


@pytest.mark.parametrize(
    ("u", "density", "message"),
    [
        (np.linspace(0, 1, 4), None, "does not fit"),
        (np.linspace(0, 1, 3), np.ones(4), "does not fit"),
        (np.array([0.0, 0.0, 1.0]), None, "ascend"),
        (np.linspace(0, 1, 3), np.zeros(3), "density"),
        (np.linspace(0, 1, 3), np.array([1.0, -1.0, 1.0]), "density"),
    ],
)
def test_marginals_refuse(u: np.ndarray, density: np.ndarray | None, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        marginals(np.ones((1, 3, 2, 1)), u, density)


def test_a_feature_that_averages_to_0_has_no_marginal_ratio() -> None:
    grid = np.array([[[[-1.0], [1.0]]] * 3])
    with pytest.raises(TrainingError, match="averages to 0"):
        marginals(grid, np.linspace(0, 1, 3))


def test_median_pulls_of_known_shifts() -> None:
    x = np.random.default_rng(1).normal([5.0, -2.0], [2.0, 0.5], (2000, 2))
    shifted = np.stack([x, x + x.std(axis=0)])
    np.testing.assert_allclose(median_pulls(x, shifted), [[0, 0], [1, 1]], atol=1e-12)
    with pytest.raises(TrainingError, match="shape"):
        median_pulls(x, x)
    with pytest.raises(TrainingError, match="number 1 is constant"):
        median_pulls(x * [1, 0], shifted)
