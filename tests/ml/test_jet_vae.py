"""The autoencoder of jet constituents: what it learns, what it gives, what it leaves on disk, what it refuses."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import History, Sample, TrainingError, detector_from_settings
from ml.dependence import distance_correlation
from ml.energy_mover import energy_flow, energy_movers_distance
from ml.jet_vae import JetVAE
from ml.metrics import auc
from ml.variational import DECODER, ENCODER
from tests.ml.jet_toys import COUNT, Stored, jet_sample, jets, masses

TINY = {
    "constituents": COUNT, "hidden": [24], "latent": 3, "epochs": 8, "batch_size": 50, "learning_rate": 3e-3,
}  # fmt: skip


def fitted(data: Sample, exposure: Sample | None = None, *, seed: int = 1, **changed: Any) -> JetVAE:
    detector = detector_from_settings("jet_vae", {**TINY, **changed})
    assert isinstance(detector, JetVAE)
    samples = {"data": data} if exposure is None else {"data": data, "exposure": exposure}
    detector.history = detector.fit(samples, window=None, seeds=np.random.SeedSequence(seed))  # type: ignore[attr-defined]
    return detector


@pytest.fixture(scope="module")
def qcd() -> Sample:
    return jet_sample(jets(1500, prongs=1, seed=1))


@pytest.fixture(scope="module")
def exposure() -> Sample:
    return jet_sample(jets(1500, prongs=2, seed=2))


@pytest.fixture(scope="module")
def tests() -> tuple[Sample, Sample]:
    return jet_sample(jets(1000, prongs=1, seed=3)), jet_sample(jets(1000, prongs=2, seed=4))


@pytest.fixture(scope="module")
def plain(qcd: Sample) -> JetVAE:
    return fitted(qcd, members=2)


def test_losses_fall_and_nothing_is_kept_of_jets_that_validate(qcd: Sample, plain: JetVAE) -> None:
    losses = plain.history.losses  # type: ignore[attr-defined]
    assert set(losses) == {f"{v}{name}" for v in ("", "validation_") for name in ("loss", "mse", "kl")}
    assert losses["loss"].shape == (8, 2)
    assert (losses["loss"][-1] < 0.9 * losses["loss"][0]).all()
    assert (losses["validation_mse"][-1] < 0.85).all()  # 1 is the mean jet, of standardised numbers
    np.testing.assert_allclose(losses["loss"], losses["mse"] + 0.1 * losses["kl"], rtol=1e-5)
    assert plain.history.facts["active_latent"] == [3, 3]  # type: ignore[attr-defined]


def test_scores_are_what_the_saved_networks_say(tests: tuple[Sample, Sample], plain: JetVAE, tmp_path: Path) -> None:
    import keras

    plain.save(tmp_path)
    again = JetVAE.load(tmp_path)
    assert again.settings == plain.settings
    scores = plain.score(tests[0])
    np.testing.assert_array_equal(again.score(tests[0]).event, scores.event)
    assert scores.members is not None
    encoder, decoder = (keras.models.load_model(tmp_path / n / "member-001.keras") for n in (ENCODER, DECODER))
    assert tests[0].batch is not None
    rows = np.arange(20)
    x = plain.scaler.apply(tests[0].batch(rows).reshape(20, -1))
    code = np.asarray(encoder(x))
    mse = ((np.asarray(decoder(code[:, :3])) - x) ** 2).mean(axis=1)
    kl = 0.5 * (code[:, :3] ** 2 + np.exp(code[:, 3:]) - 1 - code[:, 3:]).mean(axis=1)
    np.testing.assert_allclose(scores.members[:20, 1], mse + kl, rtol=1e-3)
    np.testing.assert_allclose(scores.extras["mss"][:20], (x.astype(float) ** 2).mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(scores.extras["nll"], scores.extras["mse"] + scores.extras["kl"], rtol=1e-5)
    assert scores.objects is None


def test_the_order_and_the_company_of_events_do_not_matter(tests: tuple[Sample, Sample], plain: JetVAE) -> None:
    whole, order = plain.score(tests[1]).event, np.random.default_rng(3).permutation(1000)[:77]
    np.testing.assert_allclose(plain.score(tests[1].select(order)).event, whole[order], rtol=1e-4)
    assert len(plain.score(tests[1].select(order[:0]))) == 0


def test_the_same_seed_gives_the_same(qcd: Sample, tests: tuple[Sample, Sample], plain: JetVAE) -> None:
    first = plain.score(tests[0]).members
    assert first is not None
    for seed, same in ((1, True), (2, False)):
        members = fitted(qcd, members=2, seed=seed).score(tests[0]).members
        assert np.array_equal(members, first) is same  # type: ignore[arg-type]


def test_decorrelations_of_no_strength_are_the_plain_autoencoder(
    qcd: Sample, tests: tuple[Sample, Sample], plain: JetVAE
) -> None:
    expected = plain.score(tests[0]).event
    for off in ({"decorrelation": "disco", "kappa": 0.0}, {"decorrelation": "mse_oe", "exposure_weight": 0.0}):
        np.testing.assert_array_equal(fitted(qcd, members=2, **off).score(tests[0]).event, expected)


def test_distance_correlation_keeps_the_score_off_the_mass(
    qcd: Sample, tests: tuple[Sample, Sample], plain: JetVAE
) -> None:
    disco = fitted(qcd, decorrelation="disco", kappa=50.0, cycles=1)
    mass = tests[0].columns["j1_m"]
    before = distance_correlation(plain.score(tests[0]).extras["beta_nll"], mass)
    after = distance_correlation(disco.score(tests[0]).event, mass)
    assert before > 0.4
    assert after < 0.5 * before
    assert disco.history.facts["strengths"] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "score"), [("mse_oe", "mse"), ("kl_oe", "kl")])
def test_exposed_outliers_score_higher(
    qcd: Sample, exposure: Sample, tests: tuple[Sample, Sample], plain: JetVAE, kind: str, score: str
) -> None:
    truth = np.repeat([0, 1], 1000)

    def power(detector: JetVAE) -> float:
        return auc(np.concatenate([detector.score(s).extras[score] for s in tests]), truth).value

    detector = fitted(qcd, exposure, decorrelation=kind, exposure_weight=20.0 if kind == "mse_oe" else None)
    assert detector.settings.chosen_score == score
    assert power(plain) < 0.7
    assert power(detector) > 0.9


def test_jets_of_an_event_are_joined(qcd: Sample) -> None:
    one, other = jets(750, prongs=1, seed=5), jets(750, prongs=2, seed=6)
    pairs = jet_sample(one, other)
    detector = fitted(pairs, jets=["j1", "j2"], epochs=1)
    found = detector.score(pairs)
    assert found.objects is not None
    assert found.objects.shape == (750, 2)
    np.testing.assert_allclose(found.event, found.objects.mean(axis=1), rtol=1e-5)
    for how in ("max", "min"):
        detector.settings = replace(detector.settings, combine=how)
        np.testing.assert_allclose(detector.score(pairs).event, getattr(found.objects, how)(axis=1), rtol=1e-5)
    # a jet is scored without regard to its place
    swapped = replace(pairs, batch=Stored(np.stack([other, one], axis=1).astype(np.float32)))
    detector.settings = replace(detector.settings, combine="mean")
    other_way = detector.score(swapped).objects
    assert other_way is not None
    np.testing.assert_allclose(other_way[:, ::-1], found.objects, rtol=1e-4)


def test_jets_are_encoded_reconstructed_and_made(tests: tuple[Sample, Sample], plain: JetVAE) -> None:
    sample = tests[0]
    assert plain.encode(sample).shape == (2, 1000, 1, 3)
    assert sample.batch is not None
    momenta, found = sample.batch(np.arange(1000)), plain.reconstruct(sample, member=1)
    assert found.shape == momenta.shape
    # the hardest constituent is the easiest
    assert np.corrcoef(found[:, 0, 0, 0], momenta[:, 0, 0, 0])[0, 1] > 0.7
    made = plain.generate(2000, 7)
    assert made.shape == (2000, COUNT, 4)
    np.testing.assert_array_equal(plain.generate(2000, 7), made)
    assert (plain.generate(2000, 8) != made).any()
    assert (plain.generate(2000, 7, member=1) != made).any()
    np.testing.assert_allclose(made[:, 0, 0].mean(), momenta[:, 0, 0, 0].mean(), rtol=0.1)
    assert np.median(masses(made)) == pytest.approx(np.median(masses(momenta[:, 0])), rel=0.5)
    with pytest.raises(TrainingError, match="no member 2: there are 2"):
        plain.generate(1, 1, member=2)


def test_the_energy_movers_distance_is_between_jet_and_reconstruction(
    tests: tuple[Sample, Sample], plain: JetVAE
) -> None:
    few = tests[0].select(np.arange(5))
    detector = JetVAE(replace(plain.settings, score="emd"))
    detector._parameters, detector._scaler = plain.parameters, plain.scaler
    found = detector.score(few)
    assert few.batch is not None
    truth = energy_flow(few.batch(np.arange(5))[:, 0])

    def flow(member: int) -> np.ndarray:
        return energy_flow(plain.reconstruct(few, member=member)[:, 0])

    expected = [
        [energy_movers_distance(*pair) for pair in zip(truth, flow(m), strict=True)]
        for m in range(2)
    ]
    np.testing.assert_allclose(found.members, np.transpose(expected), rtol=1e-5)
    np.testing.assert_array_equal(found.event, found.extras["emd"])
    assert "emd" not in plain.score(few).extras


def test_recurrent_networks_train_and_come_back(qcd: Sample, tests: tuple[Sample, Sample], tmp_path: Path) -> None:
    detector = fitted(qcd, architecture="recurrent", hidden=[8], epochs=2, learning_rate=1e-2)
    losses = detector.history.losses  # type: ignore[attr-defined]
    assert losses["loss"][-1, 0] < losses["loss"][0, 0]
    few = tests[0].select(np.arange(30))
    detector.save(tmp_path)
    again = JetVAE.load(tmp_path)
    np.testing.assert_array_equal(again.score(few).event, detector.score(few).event)


def test_warnings_tell_of_collapsed_posteriors_and_of_scores_that_follow_the_mass(
    qcd: Sample, exposure: Sample, plain: JetVAE, caplog: pytest.LogCaptureFixture
) -> None:
    detector = JetVAE(plain.settings)
    last = [np.stack([array[0], 0 * array[1]]) for array in plain.parameters[ENCODER][-2:]]
    detector._parameters = {**plain.parameters, ENCODER: [*plain.parameters[ENCODER][:-2], *last]}
    with caplog.at_level(logging.WARNING):
        history = detector._with_facts(History(), np.ones((5, 4 * COUNT), np.float32))
    assert history.facts["active_latent"][1] == 0
    assert "members [1], 1 of 2, does not depend on the jets" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        fitted(qcd, exposure, decorrelation="kl_oe", score="mse", epochs=1)
    assert "'kl_oe' makes the score 'kl' independent of the jet mass, and the score is 'mse'" in caplog.text


def test_samples_that_cannot_be_trained_on_are_refused(qcd: Sample, exposure: Sample) -> None:
    with pytest.raises(TrainingError, match="sample of role 'data': the sample has no constituents"):
        fitted(replace(qcd, batch=None))
    with pytest.raises(TrainingError, match=r"expected \(1, 2, 6, 4\)"):
        fitted(qcd, jets=["j1", "j2"])
    with pytest.raises(TrainingError, match="needs a sample of role 'exposure'"):
        fitted(qcd, decorrelation="mse_oe")
    with pytest.raises(TrainingError, match="role 'exposure': the sample has no column 'j1_m'"):
        fitted(qcd, replace(exposure, columns={}), decorrelation="kl_oe")
    with pytest.raises(TrainingError, match="role 'data': the sample has no column 'j1_m'"):
        fitted(replace(qcd, columns={}), decorrelation="disco")
    with pytest.raises(TrainingError, match="20 jets are 16 to train on and 4 to validate on: a batch of 50"):
        fitted(qcd.select(np.arange(20)))
    untrained = JetVAE()
    for work in (untrained.score, untrained.encode, untrained.reconstruct):
        with pytest.raises(TrainingError, match="not trained"):
            work(qcd)
    with pytest.raises(TrainingError, match="not trained"):
        untrained.generate(1, 1)
    with pytest.raises(TrainingError, match="nothing to save"):
        untrained.save(Path("unused"))
