"""Random HistFactory models of varied modifiers, and data for them. Tests and benchmarks share them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyhf

CODES = [("code4", "code4p"), ("code1", "code0")]
MEASUREMENT = {
    "name": "lumi",
    "auxdata": [1.0],
    "sigmas": [0.03],
    "bounds": [[0.8, 1.2]],
    "inits": [1.0],
}


def random_specification(rng: np.random.Generator, *, channels: int = 3, bins: int = 20) -> dict[str, Any]:
    """1 to ``channels`` channels of 1 to ``bins`` bins, a signal and 1 to 3 backgrounds, modifiers shared or not."""
    with_lumi = bool(rng.random() < 0.3)
    specifications = []
    for number in range(int(rng.integers(1, channels + 1))):
        n_bins = int(rng.integers(1, bins + 1))
        level = 10.0 ** rng.uniform(-0.3, 3.0)
        samples = [_signal(rng, n_bins, level, with_lumi)]
        for background in range(int(rng.integers(1, 4))):
            samples.append(_background(rng, number, background, n_bins, level, with_lumi))
        if rng.random() < 0.3:
            for sample in samples[1:]:
                relative = rng.uniform(0.01, 0.2, n_bins) * np.sqrt(level) / np.sqrt(level + 1)
                errors = (relative * np.array(sample["data"])).tolist()
                sample["modifiers"].append({"name": f"staterror_{number}", "type": "staterror", "data": errors})
        specifications.append({"name": f"channel_{number}", "samples": samples})
    return {"channels": specifications, "parameters": [MEASUREMENT] if with_lumi else []}


def _signal(rng: np.random.Generator, n_bins: int, level: float, with_lumi: bool) -> dict[str, Any]:
    modifiers: list[dict[str, Any]] = [{"name": "mu", "type": "normfactor", "data": None}]
    if with_lumi:
        modifiers.append({"name": "lumi", "type": "lumi", "data": None})
    if rng.random() < 0.5:
        modifiers.append({"name": "efficiency", "type": "normsys", "data": {"hi": 1.1, "lo": 0.85}})
    data = level * rng.uniform(0, 0.3, n_bins) * (rng.random(n_bins) < 0.8)
    return {"name": "signal", "data": data.tolist(), "modifiers": modifiers}


def _background(
    rng: np.random.Generator, channel: int, number: int, n_bins: int, level: float, with_lumi: bool
) -> dict[str, Any]:
    data = level * rng.uniform(0.2, 1.0, n_bins)
    if n_bins > 2 and rng.random() < 0.15:
        data[rng.integers(n_bins)] = 0.0
    modifiers: list[dict[str, Any]] = []
    if with_lumi:
        modifiers.append({"name": "lumi", "type": "lumi", "data": None})
    for name in ("shared_0", "shared_1", f"own_{channel}_{number}"):
        if rng.random() < 0.4:
            factors = {"hi": float(rng.uniform(1.02, 1.3)), "lo": float(rng.uniform(0.75, 0.98))}
            modifiers.append({"name": name, "type": "normsys", "data": factors})
        if rng.random() < 0.4:
            up, down = (data * rng.uniform(0.85, 1.2, n_bins) for _ in range(2))
            modifiers.append(
                {"name": name, "type": "histosys", "data": {"hi_data": up.tolist(), "lo_data": down.tolist()}}
            )
    if rng.random() < 0.3:
        errors = (data * rng.uniform(0.02, 0.4, n_bins)).tolist()
        modifiers.append({"name": f"shapesys_{channel}_{number}", "type": "shapesys", "data": errors})
    if rng.random() < 0.15:
        modifiers.append({"name": f"scale_{number}", "type": "normfactor", "data": None})
    if rng.random() < 0.05:
        modifiers.append({"name": f"shape_{channel}_{number}", "type": "shapefactor", "data": None})
    return {"name": f"background_{number}", "data": data.tolist(), "modifiers": modifiers}


def random_model(rng: np.random.Generator, *, channels: int = 3, bins: int = 20) -> tuple[Any, np.ndarray]:
    """A model and data of it: counts of a random signal strength, and auxiliary data that fluctuate."""
    normsys, histosys = CODES[int(rng.random() < 0.25)]
    settings = {"normsys": {"interpcode": normsys}, "histosys": {"interpcode": histosys}}
    pdf = pyhf.Model(
        random_specification(rng, channels=channels, bins=bins), validate=False, modifier_settings=settings
    )
    return pdf, random_data(pdf, rng)


def random_data(pdf: Any, rng: np.random.Generator) -> np.ndarray:
    """Observations and auxiliary measurements of one pseudo-experiment near the suggested parameters."""
    point = np.array(pdf.config.suggested_init(), dtype=float)
    point[pdf.config.poi_index] = rng.uniform(0.0, 2.0)
    expected = np.asarray(pdf.expected_data(point), dtype=float)
    n = pdf.config.nmaindata
    auxiliary = expected[n:].copy()
    place = 0
    for name in pdf.config.auxdata_order:
        parameters = pdf.config.param_set(name)
        chosen = slice(place, place + parameters.n_parameters)
        if parameters.pdf_type == "poisson":
            auxiliary[chosen] = rng.poisson(auxiliary[chosen])
        else:
            auxiliary[chosen] = rng.normal(auxiliary[chosen], parameters.width())
        place = chosen.stop
    return np.concatenate([rng.poisson(np.maximum(expected[:n], 0.0)), auxiliary]).astype(float)
