from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pyhf
import pytest
from scipy.stats import norm, poisson

from stats import (
    BinnedFamily,
    CrystalBall,
    EnergyScale,
    Family,
    Gaussian,
    Resolution,
    Spectrum,
    StatisticsError,
    TemplateShape,
    TemplateStatistics,
    dijet,
    fit_background,
    fit_signal,
    gaussian_template,
    resonance_channel,
    resonance_workspace,
    upper_limit,
    window_channel,
    workspace,
)
from stats import family as family_named
from stats.asymptotics import open_workspace
from stats.minimiser import pyhf_session
from stats.signals import normalised
from tests.stats.conftest import EDGES, SQRT_S


def spectrum_with(signal: float, width: float, *, events: float, shape: np.ndarray, seed: int) -> Spectrum:
    template = gaussian_template(EDGES, 3500.0, width=width)
    return Spectrum.from_counts(EDGES, np.random.default_rng(seed).poisson(events * shape + signal * template))


@pytest.mark.parametrize("width", [0.03, 0.05, 0.10])
@pytest.mark.parametrize(("events", "strength"), [(20000.0, 3.0), (20000.0, 6.0), (2000.0, 4.0)])
def test_pyhf_fit_is_the_free_fit(
    width: float, events: float, strength: float, shape: np.ndarray, family: Family, model: BinnedFamily
) -> None:
    """Yield within a tenth of its error, and the error within 6%, of a fit held by nothing but the data."""
    template = gaussian_template(EDGES, 3500.0, width=width)
    error = fit_signal(fit_background(model, events * shape), template).errors[0]
    spectrum = spectrum_with(strength * error, width, events=events, shape=shape, seed=int(events * width))
    free = fit_signal(fit_background(model, spectrum.counts), template)
    pdf, data = open_workspace(resonance_workspace(spectrum, family, mass=3500.0, width=width))
    with pyhf_session():
        best = pyhf.infer.mle.fit(data, pdf)
        value = pdf.logpdf(best, data)[0]
        mu = best[pdf.config.poi_index]
        # where −log L has risen by one half on each side
        rises = []
        for sign in (1, -1):
            near = pyhf.infer.mle.fixed_poi_fit(float(mu + sign * free.errors[0]), data, pdf)
            rises.append(value - pdf.logpdf(near, data)[0])
    assert mu == pytest.approx(free.yields[0], abs=0.1 * free.errors[0])
    assert np.sqrt(0.5 / np.mean(rises)) == pytest.approx(1.0, abs=0.06)


def test_likelihood_is_pyhfs(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_with(60.0, 0.05, events=5000, shape=shape, seed=2)
    template = gaussian_template(EDGES, 3500.0, width=0.05)
    channel = window_channel(spectrum, family, template=template, window=(2975.0, 4025.0))
    pdf, data = open_workspace(workspace([channel]))
    parameters = np.array(pdf.config.suggested_init())
    order = [pdf.config.par_slice(f"spectrum_background_{k}").start for k in range(3)]
    parameters[pdf.config.poi_index] = 40.0
    for shift in (1.0, -1.0):
        parameters[order] = 0.0
        parameters[order[1]] = shift
        background = channel.up[1] if shift > 0 else channel.down[1]
        expected = background + 40.0 * channel.signal
        ours = poisson.logpmf(channel.observed, expected).sum() + norm.logpdf([0.0, shift, 0.0]).sum()
        assert pdf.logpdf(parameters, data)[0] == pytest.approx(ours, abs=1e-8)


@pytest.mark.parametrize("window", [(3185.0, 3815.0), None])
def test_tails_in_the_sidebands_do_not_bias(
    window: tuple[float, float] | None, shape: np.ndarray, family: Family
) -> None:
    """A Crystal Ball with 7% of its events outside ±3σ, without fluctuations: the yield is right within 0.1%.

    With the plain template, what the tails add to the predicted background would be missing from it.
    """
    peak = CrystalBall(0.03, alpha_low=1.0, n_low=3.0, alpha_high=2.0, n_high=6.0)
    template = normalised(peak.template(EDGES, 3500.0))
    signal = 2e4  # thirty times the error of the yield
    spectrum = Spectrum.from_counts(EDGES, np.round(2e7 * shape + signal * template))
    channel = resonance_channel(spectrum, family, mass=3500.0, shape=peak, window=window)
    inside = (EDGES[:-1] >= channel.edges[0]) & (EDGES[1:] <= channel.edges[-1])
    fitted = []
    for one in (channel, replace(channel, signal=template[inside])):
        pdf, data = open_workspace(workspace([one]))
        with pyhf_session():
            fitted.append(float(pyhf.infer.mle.fit(data, pdf)[pdf.config.poi_index]))
    assert fitted[0] == pytest.approx(signal, rel=1e-3)
    assert fitted[1] < 0.997 * signal


def test_the_window_grows_until_the_signal_is_inside(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=3)
    gauss = resonance_channel(spectrum, family, mass=3500.0, width=0.03)
    peak = CrystalBall(0.03, alpha_low=1.0, n_low=3.0, alpha_high=2.0, n_high=6.0)
    tailed = resonance_channel(spectrum, family, mass=3500.0, shape=peak)
    assert (gauss.edges[0], gauss.edges[-1]) == (3100.0, 3900.0)
    assert tailed.edges[0] < 3100.0
    assert normalised(peak.template(tailed.edges, 3500.0)).sum() >= 0.95


def test_simulated_samples_make_workspaces(shape: np.ndarray, family: Family) -> None:
    """Between two simulated masses, with what statistics and scale leave uncertain: as a Gaussian within 6%."""
    rng = np.random.default_rng(1)
    samples = {mass: rng.normal(mass, 0.03 * mass, 20000) for mass in (3000.0, 4000.0)}
    peak = TemplateShape.from_samples(samples, edges=np.linspace(2000, 5000, 301))
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=3)
    uncertain = (EnergyScale(0.005), Resolution(0.05), TemplateStatistics(events=20000.0))
    simulated = resonance_workspace(spectrum, family, mass=3500.0, shape=peak, systematics=uncertain)
    gauss = resonance_workspace(spectrum, family, mass=3500.0, width=0.03, systematics=uncertain)
    assert upper_limit(simulated).expected[2] == pytest.approx(upper_limit(gauss).expected[2], rel=0.06)


@pytest.mark.parametrize("width", [0.03, 105.0])
def test_a_width_is_relative_or_in_gev(width: float, shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=3)
    one = resonance_workspace(spectrum, family, mass=3500.0, width=width, relative=width < 1)
    other = resonance_workspace(spectrum, family, mass=3500.0, shape=Gaussian(0.03))
    assert one == other


@pytest.mark.parametrize(("name", "size"), [("dijet", 4), ("bernstein", 5), ("modified_exponential", 3), ("ua2", 3)])
def test_every_kind_of_background_makes_a_workspace(name: str, size: int, shape: np.ndarray) -> None:
    """Above 4000 events with sidebands on both sides, with limits like those of the dijet function within 35%."""
    edges = EDGES[(EDGES >= 2500) & (EDGES <= 5000)]
    counts = np.random.default_rng(6).poisson(60000 * shape)[5:30]
    spectrum = Spectrum.from_counts(edges, counts)
    limits = [
        upper_limit(resonance_workspace(spectrum, one, mass=3500.0, width=0.03)).expected[2]
        for one in (dijet(3, sqrt_s=SQRT_S), family_named(name, size, sqrt_s=SQRT_S, mass_range=(2500.0, 5000.0)))
    ]
    assert limits[1] == pytest.approx(limits[0], rel=0.35)


def test_uncertain_backgrounds_stay_positive(shape: np.ndarray) -> None:
    """Every nuisance parameter at either bound, ±5 standard deviations, for a background uncertain by half."""
    spectrum = spectrum_with(0.0, 0.03, events=120, shape=shape, seed=9)
    channel = resonance_channel(spectrum, dijet(2, sqrt_s=SQRT_S), mass=3500.0, width=0.03)
    assert np.abs(np.log(channel.up / channel.background)).max() > 0.3
    pdf, _ = open_workspace(workspace([channel]))
    for signs in itertools.product((-5.0, 5.0), repeat=2):
        assert np.min(pdf.expected_actualdata([*signs, 0.0])) > 0


def test_workspace_is_valid_json_with_whole_counts(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=3)
    spec = resonance_workspace(spectrum, family, mass=3500.0, width=0.03, name="one_percent")
    assert json.loads(json.dumps(spec)) == spec
    pdf, data = open_workspace(spec)
    assert pdf.config.poi_name == "mu"
    assert [p for p in pdf.config.parameters if p != "mu"] == [f"one_percent_background_{k}" for k in range(3)]
    observed = spec["observations"][0]["data"]
    assert all(isinstance(count, int) for count in observed)
    np.testing.assert_array_equal(data[: len(observed)], observed)
    for sample in spec["channels"][0]["samples"]:
        assert min(sample["data"]) >= 0
        for modifier in sample["modifiers"]:
            if modifier["type"] == "histosys":
                assert min(modifier["data"]["lo_data"] + modifier["data"]["hi_data"]) > 0


def test_no_event_is_used_twice(shape: np.ndarray, family: Family) -> None:
    """The constraint does not see the window, the channel does not see the sidebands."""
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=4)
    window = (3185.0, 3815.0)
    inside = (EDGES[1:] > window[0]) & (EDGES[:-1] < window[1])
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    plain = window_channel(spectrum, family, template=template, window=window)
    spoiled = Spectrum.from_counts(EDGES, np.where(inside, 1.0, spectrum.counts))
    other = window_channel(spoiled, family, template=template, window=window)
    np.testing.assert_array_equal(plain.background, other.background)
    np.testing.assert_array_equal(plain.up, other.up)
    assert plain.observed.size == inside.sum()


def test_two_selections_share_the_signal_strength(shape: np.ndarray, family: Family) -> None:
    channels = []
    for seed, name in ((5, "tight"), (6, "loose")):
        spectrum = spectrum_with(0.0, 0.03, events=5000 * seed, shape=shape, seed=seed)
        template = gaussian_template(EDGES, 3500.0, width=0.03)
        channels.append(window_channel(spectrum, family, template=template, window=(3185.0, 3815.0), name=name))
    pdf, _ = open_workspace(workspace(channels))
    assert pdf.config.channels == ["loose", "tight"]
    assert len(pdf.config.parameters) == 7


def test_channels_of_one_name_are_refused(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=7)
    channel = resonance_channel(spectrum, family, mass=3500.0, width=0.03)
    for channels in ([], [channel, channel]):
        with pytest.raises(StatisticsError, match="a name of its own"):
            workspace(channels)


def test_the_same_events_under_two_names_are_refused(shape: np.ndarray, family: Family) -> None:
    """Twice the same 20,000 events would give a limit stronger by √2; with another family they are the same still."""
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=7)
    one = resonance_channel(spectrum, family, mass=3500.0, width=0.03, name="one")
    for twin in (family, dijet(4, sqrt_s=SQRT_S)):
        with pytest.raises(StatisticsError, match="one and two hold the same"):
            workspace([one, resonance_channel(spectrum, twin, mass=3500.0, width=0.03, name="two")])


def test_few_events_may_agree_by_chance(shape: np.ndarray) -> None:
    """One event each in the same bin of two spectra, and none at all: two measurements."""
    window = (EDGES[1:] > 3185) & (EDGES[:-1] < 3815)
    for inside in (0, 1):
        channels = []
        for name, seed in (("early", 1), ("late", 2)):
            counts = np.random.default_rng(seed).poisson(200 * shape)
            counts[window] = 0
            counts[15] = inside
            spectrum = Spectrum.from_counts(EDGES, counts)
            channels.append(resonance_channel(spectrum, dijet(2, sqrt_s=SQRT_S), mass=3500.0, width=0.03, name=name))
        assert len(workspace(channels).channels) == 2
    with pytest.raises(StatisticsError, match="early and twin hold the same 1 events"):
        workspace([channels[0], replace(channels[0], name="twin")])


def test_two_halves_of_the_data_are_as_good_as_the_whole(shape: np.ndarray, family: Family) -> None:
    """Disjoint halves combined expect the limit of all events within 5%, better by √2 than a half alone."""
    rng = np.random.default_rng(3)
    whole = rng.poisson(20000 * shape)
    half = rng.binomial(whole, 0.5)
    channels = [
        resonance_channel(Spectrum.from_counts(EDGES, n), family, mass=3500.0, width=0.03, events=0.5, name=name)
        for name, n in (("early", half), ("late", whole - half))
    ]
    both = upper_limit(workspace(channels)).expected[2]
    alone = upper_limit(workspace(channels[:1])).expected[2]
    together = upper_limit(resonance_workspace(Spectrum.from_counts(EDGES, whole), family, mass=3500.0, width=0.03))
    assert both == pytest.approx(together.expected[2], rel=0.05)
    assert alone / both == pytest.approx(np.sqrt(2), rel=0.07)


def test_what_cannot_hold_a_limit_is_refused(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_with(0.0, 0.03, events=20000, shape=shape, seed=7)
    template = gaussian_template(EDGES, 3500.0, width=0.05)
    with pytest.raises(StatisticsError, match="of the signal lies in the window"):
        window_channel(spectrum, family, template=template, window=(3450.0, 3550.0))
    with pytest.raises(StatisticsError, match="weighted"):
        resonance_workspace(
            Spectrum(EDGES, spectrum.counts, 0.5 * spectrum.counts + 0.1), family, mass=3500.0, width=0.03
        )
    sparse = spectrum_with(0.0, 0.03, events=15, shape=shape, seed=8)
    with pytest.raises(StatisticsError, match=r"do not determine|uncertain by"):
        resonance_workspace(sparse, family, mass=3500.0, width=0.10)
    empty = Spectrum.from_counts(EDGES, np.where((EDGES[:-1] > 3100) & (EDGES[:-1] < 3900), spectrum.counts, 0))
    with pytest.raises(StatisticsError, match="no events"):
        resonance_workspace(empty, family, mass=3500.0, width=0.03)
    for wrong in ({}, {"width": 0.03, "shape": Gaussian(0.03)}):
        with pytest.raises(StatisticsError, match="one of the two"):
            resonance_workspace(spectrum, family, mass=3500.0, **wrong)
    with pytest.raises(StatisticsError, match="positive width"):
        resonance_workspace(spectrum, family, mass=3500.0, width=np.nan)
    with pytest.raises(StatisticsError, match="must be a positive number"):
        resonance_workspace(spectrum, family, mass=3500.0, width=0.03, events=np.nan)
    with pytest.raises(StatisticsError, match="one entry for each"):
        resonance_workspace(spectrum, family, mass=3500.0, width=0.03, mask=np.ones(3, dtype=bool))
    few = Spectrum.from_counts(np.linspace(3000, 4000, 9), np.arange(9, 1, -1))
    with pytest.raises(StatisticsError, match="cannot constrain"):
        resonance_workspace(few, dijet(4, sqrt_s=SQRT_S), mass=3500.0, width=0.05)
