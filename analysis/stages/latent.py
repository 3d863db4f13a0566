"""The latent space of a search read with the resonance mass: the second step of arXiv:2103.06595, section V."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.files import read_json, write_json
from analysis.latent_settings import LatentSettings
from analysis.stages.searched import as_sample, columns_of, searched
from analysis.stages.train import crossfit_of, trained
from analysis.store import code_key, content_key, library_versions
from analysis.validation import corrected
from ml import TrainingError, child_seed
from ml.latent_decoder import MassDecoder, MassDecoderSettings, convergence, marginals, median_pulls
from ml.latent_settings import LatentVAESettings
from ml.latent_vae import LatentVAE
from ml.optimizers import check_optimizer
from ml.sample import Sample
from ml.settings import settings_from_mapping

logger = logging.getLogger(__name__)

SHOWN = 20_000  # events of each class that are decoded for figures


@dataclass(frozen=True)
class Latent:
    """What the latent space of one detector on one sample looks like.

    Attributes:
        summary: its entry under `latent` of results.json: pulls of the medians, and how the decoder trained.
        arrays: coordinates (n_u,), masses (n_m,) in GeV, grid (n_u, n_m, n_features) mean over members, marginals
            (members, n_m, n_features) and band (subsets, n_m, n_features), all of members whose coordinate is known,
            and, by class, of the events shown: rows, coordinate (n,), reconstructed (members, n) of the first feature,
            pulls (members, n_features).
        key: changes when any of it does.
    """

    sample: str
    detector: str
    summary: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    key: str

    def headline(self) -> str:
        """Return in one line how well medians are decoded."""
        worst = {name: np.abs(found["mean"]).max() for name, found in self.summary["pulls"].items()}
        listed = " and ".join(f"{value:.2f} ({name})" for name, value in worst.items())
        return f"medians decoded from latent coordinate and mass are off by at most {listed} standard deviations"


def latent_detectors(search: Search) -> list[str]:
    """Return the detectors whose latent space is read; raise ConfigurationError for those that have none."""
    settings, known = search.latent, search.detectors
    if settings is None:
        return []
    have = [name for name, one in known.items() if one.type == "latent_vae"]
    for key, names in (("detectors", settings.detectors), ("trajectory.detectors", settings.trajectory.detectors)):
        for name in names:
            if name not in have:
                raise ConfigurationError(f"`latent.{key}`: {name!r} is none of the latent_vae detectors {have}.")
    found = list(settings.detectors) or [name for name in have if known[name].search]
    if not found:
        raise ConfigurationError("`latent` reads the latent space of detectors of type latent_vae: there is none.")
    return found


def followed_detectors(search: Search) -> list[str]:
    """Return the detectors whose training is followed: those that `latent.trajectory` names, or those that are read."""
    named = () if search.latent is None else search.latent.trajectory.detectors
    return list(named) or latent_detectors(search)


def check_latent(search: Search) -> None:
    """Raise ConfigurationError for settings of `latent` that cannot be, before anything trains."""
    for name in latent_detectors(search):
        settings = settings_from_mapping(LatentVAESettings, search.detectors[name].settings)
        if settings.latent != 1:
            raise ConfigurationError(
                f"`latent` draws maps over one latent dimension, and {name!r} has {settings.latent}: leave it out of "
                "`latent.detectors`, or train it with `latent: 1`."
            )
        if not settings.resolved.orientation:
            raise ConfigurationError(
                f"`latent` draws maps along the coordinate that grows towards anomalies, and none of the features of "
                f"{name!r} is known to grow or fall: name some under `orientation`, or leave it out of "
                "`latent.detectors`."
            )
    if search.latent is None:
        return
    try:
        settings_from_mapping(MassDecoderSettings, search.latent.decoder, where="decoder")
        for optimizer in search.latent.optimizers:
            check_optimizer(optimizer, 1e-3)
    except TrainingError as error:
        raise ConfigurationError(corrected(f"`latent`: {error}")) from error


def latent(run: SearchRun) -> dict[tuple[str, str], Latent]:
    """Read every latent space that the search asks for; returns them by (sample, detector)."""
    pairs = [(sample, detector) for sample in run.search.data for detector in latent_detectors(run.search)]
    return {pair: run.once(f"latent {pair}", partial(_latent, run, *pair)) for pair in pairs}


def latent_results(run: SearchRun) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return `latent` of results.json: sample → detector → entry."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for (sample, detector), one in latent(run).items():
        found.setdefault(sample, {})[detector] = one.summary
    return found


def detector_of(run: SearchRun, sample: str, detector: str) -> LatentVAE:
    """Return the trained autoencoder; the first fold's where there are several."""
    found = crossfit_of(run, sample, detector).detectors[0]
    assert isinstance(found, LatentVAE)
    return found


def asked_of(run: SearchRun) -> LatentSettings:
    """Return the settings, which are there where this is called."""
    assert run.search.latent is not None
    return run.search.latent


def decoding_of(run: SearchRun) -> MassDecoderSettings:
    """Return the settings of the mass decoder."""
    return settings_from_mapping(MassDecoderSettings, asked_of(run).decoder, where="latent.decoder")


def subset_share(run: SearchRun) -> float:
    """Return the share of the background that each training of a band sees: the rest validates it."""
    return 1.0 - decoding_of(run).validation_fraction


def _latent(run: SearchRun, sample: str, detector: str) -> Latent:
    settings = asked_of(run)
    key = content_key(
        trained(run, sample, detector).key, settings.decoder, settings.grid, settings.subsets, run.search.seed,
        code_key("ml", __name__), library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/latent/{sample}-{detector}", key, lambda target: _fill(run, sample, detector, target)
    )
    with np.load(folder / "latent.npz", allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    return Latent(sample, detector, read_json(folder / "latent.json"), values, key)


def _fill(run: SearchRun, sample: str, detector: str, folder: Path) -> None:
    found, data = detector_of(run, sample, detector), searched(run, sample)
    seeds = np.random.SeedSequence([run.search.seed, zlib.crc32(f"latent {detector}".encode())])
    columns = columns_of(run.search.detectors[detector])
    if not found.orientation.known.any():
        raise TrainingError(
            f"{detector} on {sample} has no latent coordinate to draw maps along, since the posterior of every member "
            "collapsed: train with a larger alpha, or leave it out of `latent.detectors`"
        )
    logger.info("training the mass decoder of %s on %s", detector, sample)
    events = as_sample(data.events, columns)
    with run.bar(f"mass decoder of {detector} on {sample}") as bar:
        decoder, history = _decoder(run, found, events, child_seed(seeds, 0), bar)
    decoder.save(folder / "decoder")
    grid, coordinates, masses = _grid(run, decoder, found.orientation.known)
    shown = _shown(data.events["truth"], run.rng(f"latent {sample} {detector}"))
    decoded = {name: decoder.reconstruct(found, events.select(rows)) for name, rows in shown.items()}
    pulls = {name: median_pulls(events.select(rows).features(columns), decoded[name]) for name, rows in shown.items()}
    arrays = {
        "coordinates": coordinates,
        "masses": masses,
        "grid": grid.mean(axis=0),
        "marginals": marginals(grid, coordinates),
        **{f"rows_{name}": rows for name, rows in shown.items()},
        **{f"reconstructed_{name}": values[..., 0] for name, values in decoded.items()},
        **{f"pulls_{name}": values for name, values in pulls.items()},
        **{f"coordinate_{name}": _coordinate(found, events.select(rows)) for name, rows in shown.items()},
    }
    if asked_of(run).subsets and data.truth_known:
        background = as_sample(data.events.take(data.events["truth"] == 0), columns)
        arrays["band"] = _band(run, found, background, seeds, coordinates, masses)
    np.savez(folder / "latent.npz", **arrays)
    settled = convergence(history.losses["validation_loss"])
    summary = {
        "features": list(columns),
        "alignment": found.orientation.to_dict()["alignment"],
        "pulls": {name: _spread(values) for name, values in pulls.items()},
        "decoder_validation_loss": {name: _of_members(one) for name, one in settled.items()},
        "decoder_epochs": [int(epoch) + 1 for epoch in history.best_epoch],
        "decoder_seconds": history.seconds,
    }
    write_json(folder / "latent.json", summary)


def _decoder(
    run: SearchRun, detector: LatentVAE, events: Sample, seeds: np.random.SeedSequence, bar: Any
) -> tuple[MassDecoder, Any]:
    decoder = MassDecoder(decoding_of(run))
    progress = None if bar is None else lambda fraction, text: bar(round(1000 * fraction), 1000, text)
    return decoder, decoder.fit(detector, events, seeds=seeds, progress=progress)


def _grid(run: SearchRun, decoder: MassDecoder, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    settings = asked_of(run).grid
    coordinates = np.linspace(*settings.coordinate, settings.points)
    masses = np.linspace(*settings.mass, settings.points)
    return decoder.grid(coordinates, masses)[known], coordinates, masses


def _band(
    run: SearchRun,
    detector: LatentVAE,
    background: Sample,
    seeds: np.random.SeedSequence,
    coordinates: np.ndarray,
    masses: np.ndarray,
) -> np.ndarray:
    """Marginals (subsets, n_masses, n_features) of trainings on random parts of the background alone.

    A member trains on a random share of the events, another one each, so that one ensemble is all of the subsets. The
    same seeds give autoencoder and decoder of a member the same share.
    """
    subsets = asked_of(run).subsets
    logger.info("training on %d random subsets of the background", subsets)
    decoding = decoding_of(run)
    held_out = decoding.validation_fraction  # the same for both, or their events would differ
    alone = LatentVAE(replace(detector.settings, members=subsets, validation_fraction=held_out))
    with run.bar("subsets of the background") as bar:
        progress = None if bar is None else lambda fraction, text: bar(round(1000 * fraction), 1000, text)
        alone.fit({"data": background}, window=None, seeds=child_seed(seeds, 1), progress=progress)
        decoder, _ = _decoder(run, alone, background, child_seed(seeds, 1), bar)
    return marginals(decoder.grid(coordinates, masses)[alone.orientation.known], coordinates)


def _shown(truth: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows (n,) of the events that figures show, by class; all are background where the truth is not known."""
    classes = {"background": np.flatnonzero(truth != 1), "signal": np.flatnonzero(truth == 1)}
    return {
        name: np.sort(rng.choice(rows, min(len(rows), SHOWN), replace=False))
        for name, rows in classes.items()
        if len(rows)
    }


def _coordinate(detector: LatentVAE, events: Sample) -> np.ndarray:
    """(n,) mean over the members."""
    return np.asarray(detector.score(events).extras["coordinate"])


def _spread(values: np.ndarray) -> dict[str, list[float]]:
    ddof = 1 if len(values) > 1 else 0
    return {"mean": values.mean(axis=0).tolist(), "spread": values.std(axis=0, ddof=ddof).tolist()}


def _of_members(values: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation of values (members,)."""
    return {"mean": float(values.mean()), "spread": float(values.std(ddof=1 if len(values) > 1 else 0))}
