"""Fits of positive linear backgrounds end at the minimum, where constraints hold them back as well."""

from __future__ import annotations

import numpy as np
import pytest

from stats import BinnedFamily, StatisticsError, family, fit_background, fit_signal, gaussian_template, interior
from tests.stats.conftest import EDGES, SQRT_S

TEMPLATE = gaussian_template(EDGES, 3500.0, width=0.03)


def binned(name: str, n: int) -> BinnedFamily:
    return BinnedFamily(family(name, n, sqrt_s=SQRT_S, mass_range=(EDGES[0], EDGES[-1])), EDGES)


def above_minimum(model: BinnedFamily, counts: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """An upper bound on −log L less its minimum over θ ≥ 0, shape (N,), from θ alone (Lindsay 1983).

    At the minimum Σ E = N. With the columns A_k of E = Σ θ_k A_k normalised to one, concavity of the logarithm gives
    Σ n log(E*/E) ≤ N log max_k Σ_i n_i A_ik / E_i.
    """
    columns, _ = model.averages(model.family.terms)  # type: ignore[attr-defined]
    events, total = parameters @ columns.T, counts.sum(axis=1)
    worst = ((counts / events) @ (columns / columns.sum(axis=0))).max(axis=1)
    scale = events.sum(axis=1) / total
    return total * (np.log(worst) + scale - 1.0)


@pytest.mark.parametrize("n", [4, 6])
@pytest.mark.parametrize("events", [40, 300, 1000, 3000, 30_000, 1_000_000])
def test_bernstein_fits_of_steep_spectra_end_within_a_millionth_of_the_minimum(
    events: int, n: int, shape: np.ndarray
) -> None:
    """A polynomial describes the spectrum badly: coefficients rest at 0 at a price of many events."""
    model, counts = binned("bernstein", n), np.random.default_rng(5).poisson(events * shape, size=(60, 50))
    fits = fit_background(model, counts)
    assert fits.converged.all()
    assert (fits.parameters < 1e-3 * fits.parameters.max(axis=1, keepdims=True)).any(axis=1).mean() > 0.9
    bound = above_minimum(model, counts, fits.parameters)
    assert (bound > -1e-7).all()
    assert bound.max() < 1e-6


@pytest.mark.parametrize("kind", [("bernstein", 4), ("bernstein", 6), ("polynomial", 4)])
@pytest.mark.parametrize("events", [40, 1000])
def test_a_narrower_gap_changes_no_significance(
    events: int, kind: tuple[str, int], shape: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, counts = binned(*kind), np.random.default_rng(6).poisson(events * shape, size=(60, 50))
    usual = fit_signal(fit_background(model, counts), TEMPLATE)
    monkeypatch.setattr(interior, "GAP", 1e-9)
    monkeypatch.setattr(interior, "TOLERANCE", 1e-10)
    narrow = fit_signal(fit_background(model, counts), TEMPLATE)
    assert usual.converged.all()
    assert narrow.converged.all()
    assert (usual.nll - narrow.nll).max() < 1e-6
    np.testing.assert_allclose(usual.significance, narrow.significance, atol=2e-5)


@pytest.mark.parametrize("kind", [("bernstein", 4), ("bernstein", 7), ("polynomial", 4), ("polynomial", 7)])
@pytest.mark.parametrize("events", [1e9, 1e12])
def test_many_events_are_fitted_however_badly(events: float, kind: tuple[str, int], shape: np.ndarray) -> None:
    """The price of a constraint grows with the events, and rounding with them: both used to end the iteration."""
    centres = 0.5 * (EDGES[1:] + EDGES[:-1])
    steeper = np.exp(-centres / 300.0)
    for expected in (shape, steeper / steeper.sum()):
        fits = fit_background(binned(*kind), np.round(events * expected))
        assert fits.determined[0]
        assert fit_signal(fits, TEMPLATE).converged[0]
        if kind[0] == "bernstein" and events < 1e10:
            assert above_minimum(fits.model, fits.counts, fits.parameters)[0] < 1e-5


def test_an_iteration_that_gives_up_does_not_blame_the_data(shape: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interior, "MAX_ITERATIONS", 2)
    with pytest.raises(StatisticsError, match="did not converge"):
        fit_background(binned("bernstein", 4), np.round(1000 * shape))
