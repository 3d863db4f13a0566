"""The invariant-mass decoder says what its Keras models say, and sees a feature change where it does."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from scipy import stats

from ml import Sample, TrainingError
from ml.latent_decoder import MASS_DECODER, MassDecoder, MassDecoderSettings, convergence, marginals, median_pulls
from ml.latent_scaling import fit_scaler
from ml.latent_settings import ScalingName
from ml.latent_vae import LatentVAE, LatentVAESettings
from ml.mass_decoding import level_start
from ml.training import Trainer
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


pytestmark = pytest.mark.usefixtures("one_shard")


Trained = tuple[LatentVAE, MassDecoder, Sample, dict[str, Any]]


@pytest.fixture(scope="module")
def trained() -> Trained:
    sample = bump(4000, seed=1)
    detector = LatentVAE(SETTINGS)
    detector.fit({"data": sample}, window=None, seeds=np.random.SeedSequence(1))
    before = [array.copy() for array in detector.parameters[ENCODER]]
    decoder, fit, fitted = MassDecoder(OWN), Trainer.fit, {}

    def watched(self: Trainer, *args: Any, **options: Any) -> Any:
        parameters, history = fit(self, *args, **options)
        fitted.update(parameters)
        return parameters, history

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "fit", watched)
        history = decoder.fit(detector, sample, seeds=np.random.SeedSequence(2))
    return detector, decoder, sample, {"encoder": before, "history": history, "fitted": fitted}


def test_the_encoder_stays_as_it_was_and_the_loss_falls(trained: Trained) -> None:
    """Also the copy of it that the training of the decoder ends with."""
    detector, _, _, more = trained
    assert set(more["fitted"]) == {ENCODER, MASS_DECODER}
    for encoder in (detector.parameters[ENCODER], more["fitted"][ENCODER]):
        for before, after in zip(more["encoder"], encoder, strict=True):
            np.testing.assert_array_equal(before, after)
    losses = more["history"].losses["validation_loss"]
    assert (np.nanmin(losses, axis=0) < 0.7 * losses[0]).all()


@pytest.fixture(scope="module")
def pairs(trained: Trained) -> dict[str, tuple[LatentVAE, MassDecoder]]:
    """An untrained detector of every scaling with its decoder, which trains with what is compiled already."""
    sample, found = trained[2], {}
    for scaling in get_args(ScalingName):
        detector, decoder = starting(sample, latent=1, scaling=scaling), MassDecoder(OWN)
        decoder.fit(detector, sample, seeds=np.random.SeedSequence(5))
        found[scaling] = detector, decoder
    return found


@pytest.mark.parametrize("scaling", get_args(ScalingName))
def test_the_grid_is_what_the_saved_models_decode(
    trained: Trained, pairs: dict[str, tuple[LatentVAE, MassDecoder]], scaling: str, tmp_path: Path
) -> None:
    import keras

    sample, (detector, decoder) = trained[2], pairs[scaling]
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
    assert (np.ptp(grid, axis=(1, 2)) > 1e-2 * np.abs(grid).mean(axis=(1, 2))).all(), "grids that differ by place"
    loaded = MassDecoder.load(tmp_path)
    np.testing.assert_array_equal(loaded.grid(COORDINATES, MASSES), grid)


@pytest.mark.parametrize("scaling", get_args(ScalingName))
def test_grid_and_events_agree(trained: Trained, pairs: dict[str, tuple[LatentVAE, MassDecoder]], scaling: str) -> None:
    """An event is decoded as the grid's point at its own coordinate and mass."""
    sample, (detector, decoder) = trained[2], pairs[scaling]
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


def follows(detector: LatentVAE, decoder: MassDecoder, sample: Sample) -> bool:
    """Whether medians are met, and decoded features rise and fall with the true ones, which z alone tells.

    j1_m stands aside: most of its spread is the bump in the mass.
    """
    x, decoded = sample.features(FEATURES), decoder.reconstruct(detector, sample)
    pulls = median_pulls(x, decoded)
    assert pulls.shape == (2, len(FEATURES))
    ranks = [
        stats.spearmanr(member[:, index], x[:, index]).statistic if np.ptp(member[:, index]) else 0.0
        for member in decoded
        for index in (1, 2)
    ]
    return bool(np.abs(pulls).max() < 0.1 and min(ranks) > 0.9)


def test_medians_are_reconstructed_and_features_follow_the_latent_coordinate(trained: Trained) -> None:
    detector, decoder, sample, _ = trained
    assert follows(detector, decoder, sample)


def test_a_decoder_without_training_follows_nothing(trained: Trained) -> None:
    """Neither with random weights, nor where a training starts from."""
    detector, decoder, sample, _ = trained
    weights = OWN.network(inputs=2, outputs=len(FEATURES)).initial(np.random.SeedSequence(2).spawn(2))
    for start in (weights, level_start(weights, detector.scaled(sample).mean(axis=0))):
        untrained = copy.copy(decoder)
        untrained._parameters = start
        assert not follows(detector, untrained, sample)


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


def starting(sample: Sample, *, latent: int, scaling: ScalingName = "standard") -> LatentVAE:
    """A detector with the weights that a training would start from, which takes no time."""
    detector = LatentVAE(dataclasses.replace(SETTINGS, latent=latent, scaling=scaling))
    x = sample.features(FEATURES)
    detector._scaler = fit_scaler(detector.settings, x, sample.weight)
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


def test_a_member_without_coordinate_has_no_grid_and_the_others_have_theirs(trained: Trained, tmp_path: Path) -> None:
    detector, decoder, sample, _ = trained
    whole, lost = decoder.grid(COORDINATES, MASSES), copy.copy(decoder)
    for unknown in ([0], [0, 1]):
        own = copy.deepcopy(detector.orientation)
        for values in (own.direction, own.mean, own.width, own.alignment, own.kl_alignment):
            values[unknown] = np.nan
        assert decoder._known is not None
        lost._known = dataclasses.replace(decoder._known, orientation=own)
        lost.save(tmp_path)
        loaded = MassDecoder.load(tmp_path)
        assert np.isfinite(loaded.reconstruct(detector, sample.select(np.arange(10)))).all()
        if len(unknown) == 1:
            grid = loaded.grid(COORDINATES, MASSES)
            assert np.isnan(grid[0]).all()
            np.testing.assert_array_equal(grid[1], whole[1])
    with pytest.raises(TrainingError, match="which way the coordinate runs, and no member does"):
        loaded.grid(COORDINATES, MASSES)


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


def test_convergence_is_the_change_over_the_last_quarter() -> None:
    losses = np.array([8.0, 7, 6, 5, 4, 4, 3, 2])[:, None] * [1.0, 2.0]
    losses[:, 1] = 3.0
    found = convergence(losses)
    np.testing.assert_allclose(found["final"], [2, 3])
    np.testing.assert_allclose(found["change"], [2 / 4 - 1, 0])  # two of eight epochs are the last quarter
    np.testing.assert_allclose(convergence(losses[:1])["change"], 0)
    for wrong in (losses[:0], np.full((4, 2), np.nan)):
        with pytest.raises(TrainingError, match="loss"):
            convergence(wrong)


def test_a_decoder_starts_from_the_mean_of_the_features() -> None:
    network = MassDecoderSettings(hidden=(8,)).network(inputs=2, outputs=3)
    start = level_start(network.initial(np.random.SeedSequence(1).spawn(2)), np.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(network.predict(start, np.ones((4, 2))), np.broadcast_to([0.1, 0.2, 0.3], (2, 4, 3)))
