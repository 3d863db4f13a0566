"""What a variational autoencoder makes of jets: reconstructed and generated ones, and where they lie in latent space.

Source: arXiv:2007.01850, sections II.C, and appendix A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.numbers import format_number
from analysis.stages.jet_kinematics import kinematics, mean_image
from analysis.stages.jet_networks import JetNetwork, jet_network, scores_of
from analysis.stages.jet_samples import BACKGROUND, MASS, further_jets, sample_of, settings_of, tested_jets
from analysis.store import code_key, content_key, library_versions
from ml.divergence import jensen_shannon
from ml.jet_inputs import COMPONENTS
from ml.jet_vae import JetVAE

QUANTITIES = ("pt", "mass")
KINDS = ("input", "reconstructed", "generated")
FEATURE_EDGES = np.linspace(-4, 4, 61)  # in standard deviations
BINS = 50
IMAGE_HALF_WIDTH, PIXELS = 1.0, 40


@dataclass(frozen=True)
class Examined:
    """What one member of a network makes of background jets that it was not trained on.

    Attributes:
        name: of the network.
        beta: weight of its KL divergence.
        arrays: `<kind>:pt`, `<kind>:mass` (n,) in GeV, of the constituents that networks see, for `KINDS`;
            `<kind>:<component>` (n_bins,) counts of standardised features in `FEATURE_EDGES`, of all constituents,
            for input and generated jets; `<kind>:image` (pixels, pixels) mean shares of pT; `jet_mass` (n,) in GeV of
            whole jets, `mse` and `kl` (n,) beside; `embedded:<group>` (n, 2) of t-SNE.
        distances: quantity → kind → `wasserstein` (GeV), `relative` (to the mean of the input), `divergence` (nats).
            The kind `halves` has those between two halves of the input: what statistics alone makes.
        key: changes when anything does.
    """

    name: str
    beta: float
    arrays: Mapping[str, np.ndarray]
    distances: Mapping[str, Mapping[str, Mapping[str, float]]]
    key: str


def examined(run: SearchRun) -> dict[str, Examined]:
    """Return what every network that is to be examined makes of jets."""
    wanted = None if run.search.jet_tagging is None else run.search.jet_tagging.examined
    if wanted is None:
        return {}
    found: dict[str, Examined] = run.once(
        "examined jets", lambda: {name: _examined(run, jet_network(run, name)) for name in wanted.networks}
    )
    return found


def _examined(run: SearchRun, network: JetNetwork) -> Examined:
    settings = settings_of(run)
    key = content_key(
        network.key, settings.examined, settings.events, run.search.seed, library_versions(),
        code_key("ml", "analysis.stages.jet_kinematics", "analysis.stages.jet_samples", __name__),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/jet-examined/{network.name}", key, lambda target: _fill(run, network, target)
    )
    with np.load(folder / "arrays.npz", allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    facts = read_json(folder / "distances.json")
    return Examined(network.name, facts["beta"], arrays, facts["distances"], key)


def _fill(run: SearchRun, network: JetNetwork, folder: Path) -> None:
    detector = network.load(run)
    assert isinstance(detector, JetVAE)  # checked before anything runs
    jets = further_jets(run)
    sample = sample_of(detector, jets)
    seed = run.rng(f"generated {network.name}").integers(2**32)
    assert sample.batch is not None
    momenta = {
        "input": sample.batch(np.arange(len(sample)))[:, 0],
        "reconstructed": detector.reconstruct(sample)[:, 0],
        "generated": detector.generate(len(sample), int(seed)),
    }
    arrays: dict[str, np.ndarray] = {}
    for kind, of_kind in momenta.items():
        arrays |= {f"{kind}:{name}": values for name, values in zip(QUANTITIES, kinematics(of_kind), strict=True)}
        arrays[f"{kind}:image"] = mean_image(of_kind, half_width=IMAGE_HALF_WIDTH, pixels=PIXELS)
        arrays |= {f"{kind}:{name}": counts for name, counts in _features(detector, of_kind).items()}
    scores = scores_of(detector, sample)
    arrays |= {"jet_mass": jets[MASS], "mse": scores["mse"][:, 0], "kl": scores["kl"][:, 0]}
    arrays |= {f"embedded:{group}": places for group, places in _embedded(run, detector).items()}
    np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
    distances = {name: _distances(arrays, name) for name in QUANTITIES}
    write_json(folder / "distances.json", {"beta": detector.settings.beta, "distances": distances})


def _features(detector: JetVAE, momenta: np.ndarray) -> dict[str, np.ndarray]:
    """Return counts of each standardised component over all constituents of jets (n, constituents, 4)."""
    flat = momenta.reshape(len(momenta), -1)
    scaled = np.asarray(detector.scaler.apply(flat)).reshape(momenta.shape)
    return {
        name: np.histogram(scaled[..., index], FEATURE_EDGES)[0].astype(float) for index, name in enumerate(COMPONENTS)
    }


def _embedded(run: SearchRun, detector: JetVAE) -> dict[str, np.ndarray]:
    """Return the latent means of tested jets in two dimensions, by group; t-SNE (van der Maaten and Hinton, 2008)."""
    # it takes a second to load
    from sklearn.manifold import TSNE

    settings = settings_of(run).examined
    assert settings is not None
    tested = tested_jets(run)
    groups = (BACKGROUND, *settings.jets)
    parts = [tested[group].take(np.arange(min(len(tested[group]), settings.embedded))) for group in groups]
    means = np.concatenate([detector.encode(sample_of(detector, part))[0, :, 0] for part in parts])
    perplexity = min(settings.perplexity, (len(means) - 1) / 3)  # t-SNE needs more jets than that
    seed = int(run.rng("embedding").integers(2**31))
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(means).astype(np.float32)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return dict(zip(groups, np.split(places, ends), strict=True))


def _distances(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, dict[str, float]]:
    """Return how far spectra are from that of the input, (n,) values each."""
    values = arrays[f"input:{name}"]
    pairs = {kind: (values, arrays[f"{kind}:{name}"]) for kind in KINDS[1:]} | {"halves": (values[::2], values[1::2])}
    edges = np.linspace(values.min(), np.quantile(values, 0.995), BINS + 1)
    found = {}
    for kind, (first, second) in pairs.items():
        moved = float(wasserstein_distance(first, second))
        counts = [np.histogram(np.clip(one, edges[0], edges[-1]), edges)[0] for one in (first, second)]
        found[kind] = {
            "wasserstein": moved,
            "relative": moved / float(np.mean(values)),
            "divergence": jensen_shannon(*counts),
        }
    return found


def examined_results(run: SearchRun) -> dict[str, Any]:
    """Return the distances for results.json, by network."""
    return {name: {"beta": found.beta, "distances": found.distances} for name, found in examined(run).items()}


def describe_examined(found: Examined) -> str:
    """Return how far reconstructed and generated jets are from the input, in one line."""
    parts = [
        f"{kind} {'pT' if name == 'pt' else name} {format_number(one[kind]['wasserstein'])} GeV"
        for kind in KINDS[1:]
        for name, one in found.distances.items()
    ]
    return f"Wasserstein distances {', '.join(parts)}"
