"""ABCD on real LHC Olympics background: jets ordered by transverse momentum close, ordered by mass they do not."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the compression of the file)
import numpy as np
import pytest

from stats.abcd import (
    closure_checks,
    count_plane,
    even_strips,
    extended_estimate,
    plain_estimate,
    tag_n_train,
    true_closure,
)


@pytest.fixture(scope="module")
def background(shared_data: Path) -> dict[str, np.ndarray]:
    """τ21 and mass, (n_events, 2), of the two jets of the background events, the harder one first."""
    with h5py.File(shared_data / "lhco_rnd_features.h5") as file:
        group = file["df"]
        names = [name.decode() for name in group["axis0"][()]]
        table: dict[str, np.ndarray] = {}
        for index in range(sum(key.endswith("_values") for key in group)):
            items = [name.decode() for name in group[f"block{index}_items"][()]]
            table.update(zip(items, group[f"block{index}_values"][()].T, strict=True))
    assert set(table) == set(names)
    rows = table["label"] == 0
    columns = {name: values[rows] for name, values in table.items()}
    pt = np.stack([np.hypot(columns[f"pxj{j}"], columns[f"pyj{j}"]) for j in (1, 2)], axis=1)
    tau21 = np.stack([columns[f"tau2j{j}"] / np.maximum(columns[f"tau1j{j}"], 1e-9) for j in (1, 2)], axis=1)
    mass = np.stack([columns["mj1"], columns["mj2"]], axis=1)
    order = np.argsort(-pt, axis=1)
    return {
        "tau21": np.take_along_axis(tau21, order, axis=1),
        "mass": np.take_along_axis(mass, order, axis=1),
    }


def by_mass(background: dict[str, np.ndarray]) -> np.ndarray:
    order = np.argsort(-background["mass"], axis=1)
    return np.take_along_axis(background["tau21"], order, axis=1)


@pytest.mark.parametrize("tail", [0.3, 0.2])
def test_ordering_by_mass_breaks_closure(background: dict[str, np.ndarray], tail: float) -> None:
    """16,673 events, small τ21 of both jets (1,502 and 650 selected): predicted over observed 0.99 and 1.01, uncertain
    by 0.04 and 0.05, ordered by pT, and 0.73 and 0.69 ordered by mass."""
    assert len(background["tau21"]) == 16673
    hard = tag_n_train(*-background["tau21"].T, tail=tail)
    assert abs(hard.predicted - hard.observed) < 2 * np.hypot(hard.uncertainty, np.sqrt(hard.observed))
    assert hard.predicted / hard.observed == pytest.approx(1, abs=0.05)
    heavy = tag_n_train(*-by_mass(background).T, tail=tail)
    assert 0.6 < heavy.predicted / heavy.observed < 0.8
    assert heavy.significance.z > 5


@pytest.mark.parametrize("tail", [0.3, 0.2])
def test_extended_estimate_closes_in_both_orders(background: dict[str, np.ndarray], tail: float) -> None:
    for scores in (-background["tau21"].T, -by_mass(background).T):
        found = extended_estimate(count_plane(*scores, first_tails=even_strips(tail), second_tails=(tail,)))
        assert abs(found.closure - 1) < 2 * found.closure_error
    plain = plain_estimate(count_plane(*-by_mass(background).T, first_tails=(tail,)))
    assert plain.closure > 1.2


def test_validation_regions_tell_the_order(background: dict[str, np.ndarray]) -> None:
    """Away from the selection, without looking into it: the largest of 12 pulls is 3.6 by mass."""
    tails = (0.8, 0.6, 0.4, 0.3)
    pulls = {
        name: max(abs(one.pull) for one in closure_checks(count_plane(*-scores.T, first_tails=tails)))
        for name, scores in (("pt", background["tau21"]), ("mass", by_mass(background)))
    }
    assert pulls["pt"] < 3 < pulls["mass"]


@pytest.mark.parametrize("tail", [0.316, 0.1])
def test_truth_tells_the_order(background: dict[str, np.ndarray], tail: float) -> None:
    """Predicted over true 0.99 ± 0.04 and 1.13 ± 0.11 ordered by pT, 0.75 ± 0.03 and 0.57 ± 0.05 by mass."""
    found = {
        name: true_closure(estimate, estimate.observed)
        for name, estimate in (
            ("pt", tag_n_train(*-background["tau21"].T, tail=tail)),
            ("mass", tag_n_train(*-by_mass(background).T, tail=tail)),
        )
    }
    assert found["pt"].closes
    assert not found["mass"].closes
    assert not found["pt"].doubtful
    assert found["mass"].doubtful
