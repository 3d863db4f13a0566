"""Systematic uncertainties do in pyhf what their names say, and workspaces with them are pyhf's."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyhf
import pytest

from stats import (
    CrystalBall,
    EnergyScale,
    Family,
    Gaussian,
    Luminosity,
    Normalisation,
    Resolution,
    ShapeVariation,
    Spectrum,
    StatisticsError,
    TemplateStatistics,
    resonance_channel,
    resonance_workspace,
    upper_limit,
    window_channel,
    workspace,
)
from stats.asymptotics import AsymptoticTest, open_workspace
from stats.minimiser import pyhf_session
from tests.stats.conftest import EDGES

MASS = 3500.0
FINE = np.linspace(2000.0, 7000.0, 501)
ALL = (
    Normalisation.relative("signal_efficiency", 0.1),
    EnergyScale(0.01),
    Resolution(0.1),
    Luminosity(0.02),
    TemplateStatistics(events=400.0),
)


@pytest.fixture(scope="module")
def spectrum(shape: np.ndarray) -> Spectrum:
    return Spectrum.from_counts(EDGES, np.random.default_rng(11).poisson(20000 * shape))


def signal_at(spec: dict, **values: float) -> np.ndarray:
    """Signal per bin for mu = 1 with some nuisance parameters moved."""
    model, _ = open_workspace(spec)
    parameters = np.array(model.config.suggested_init())
    for name, value in values.items():
        parameters[model.config.par_slice(name)] = value
    parameters[model.config.poi_index] = 1.0
    with_signal = np.asarray(model.expected_actualdata(parameters))
    parameters[model.config.poi_index] = 0.0
    return with_signal - np.asarray(model.expected_actualdata(parameters))


def moments(signal: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    centres = 0.5 * (edges[1:] + edges[:-1])
    mean = np.average(centres, weights=signal)
    return float(mean), float(np.sqrt(np.average((centres - mean) ** 2, weights=signal)))


@pytest.mark.parametrize("width", [0.03, 0.06])
def test_energy_scale_moves_and_resolution_widens_the_peak(width: float, family: Family) -> None:
    """By as much as asked, at ±1 standard deviation, in 10 GeV bins and a window of ±5 standard deviations."""
    counts = np.random.default_rng(1).poisson(2e6 * (FINE[:-1] / 2000) ** -6.0)
    channel = resonance_channel(
        Spectrum.from_counts(FINE, counts),
        family,
        mass=MASS,
        width=width,
        window=(MASS * (1 - 5 * width), MASS * (1 + 5 * width)),
        systematics=[EnergyScale(0.01), Resolution(0.2)],
    )
    spec = workspace([channel])
    for sign in (1.0, -1.0):
        mean, deviation = moments(signal_at(spec, jet_energy_scale=sign), channel.edges)
        assert mean == pytest.approx(MASS * (1 + 0.01 * sign), rel=5e-4)
        mean, deviation = moments(signal_at(spec, jet_energy_resolution=sign), channel.edges)
        assert mean == pytest.approx(MASS, rel=5e-4)
        assert deviation == pytest.approx(width * MASS * 1.2**sign, rel=0.02)


def test_normalisation_and_luminosity_scale_the_signal_alone(spectrum: Spectrum, family: Family) -> None:
    spec = resonance_workspace(
        spectrum, family, mass=MASS, width=0.03, systematics=[Normalisation("eff", 1.3, 0.8), Luminosity(0.02)]
    )
    nominal = signal_at(spec)
    np.testing.assert_allclose(signal_at(spec, eff=1.0), 1.3 * nominal, rtol=1e-6)
    np.testing.assert_allclose(signal_at(spec, eff=-1.0), 0.8 * nominal, rtol=1e-6)
    np.testing.assert_allclose(signal_at(spec, lumi=1.02), 1.02 * nominal, rtol=1e-6)
    config = open_workspace(spec)[0].config
    assert config.param_set("lumi").sigmas == [0.02]
    assert config.param_set("lumi").auxdata == [1.0]


def test_statistical_errors_are_those_of_the_template(spectrum: Spectrum, family: Family) -> None:
    channel = resonance_channel(spectrum, family, mass=MASS, width=0.03, systematics=[TemplateStatistics(events=400.0)])
    config = open_workspace(workspace([channel]))[0].config
    expected = 1.0 / np.sqrt(400.0 * channel.signal)  # one over the root of the simulated events in the bin
    np.testing.assert_allclose(config.param_set("staterror_spectrum").sigmas, expected, rtol=0.02)


def test_variations_of_the_pipeline_are_templates(spectrum: Spectrum, family: Family) -> None:
    nominal = 1e5 * Gaussian(0.03).template(EDGES, MASS)
    up = 1.1e5 * Gaussian(0.03).template(EDGES, 1.01 * MASS)
    one = ShapeVariation.from_histograms("scale", nominal, up)
    np.testing.assert_allclose(one.down, np.maximum(2 * nominal - up, 0) / nominal.sum())
    spec = resonance_workspace(spectrum, family, mass=MASS, width=0.03, systematics=[one])
    assert signal_at(spec, scale=1.0).sum() == pytest.approx(1.1 * signal_at(spec).sum(), rel=0.01)


def test_uncertainties_of_one_name_are_one_parameter(shape: np.ndarray, family: Family) -> None:
    channels = []
    for seed, name in ((1, "early"), (2, "late")):
        spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(seed).poisson(9000 * shape))
        own = Normalisation.relative(f"efficiency_{name}", 0.1)
        channels.append(
            resonance_channel(
                spectrum,
                family,
                mass=MASS,
                width=0.03,
                name=name,
                systematics=[EnergyScale(0.01), Luminosity(0.02), own],
            )
        )
    model, _ = open_workspace(workspace(channels))
    backgrounds = [f"{name}_background_{k}" for name in ("early", "late") for k in range(3)]
    common = ["mu", "lumi", "jet_energy_scale", "efficiency_early", "efficiency_late"]
    assert sorted(model.config.parameters) == sorted(common + backgrounds)


def test_uncertainties_weaken_the_limit(spectrum: Spectrum, family: Family) -> None:
    plain = upper_limit(resonance_workspace(spectrum, family, mass=MASS, width=0.03))
    for one in ALL:
        limit = upper_limit(resonance_workspace(spectrum, family, mass=MASS, width=0.03, systematics=[one]))
        assert limit.expected[2] > 0.999 * plain.expected[2]
    whole = upper_limit(resonance_workspace(spectrum, family, mass=MASS, width=0.03, systematics=ALL))
    assert plain.expected[2] < whole.expected[2] < 1.2 * plain.expected[2]
    assert whole.failed_fits == 0


def test_pyhfs_command_line_finds_the_same_cls(spectrum: Spectrum, family: Family, tmp_path: Path) -> None:
    """Observed and all expected ones, within 0.001, for every kind of modifier and a Crystal Ball."""
    peak = CrystalBall(0.03, alpha_low=1.5, n_low=4.0, alpha_high=2.0, n_high=6.0)
    spec = resonance_workspace(spectrum, family, mass=MASS, shape=peak, systematics=ALL)
    assert json.loads(json.dumps(spec)) == spec
    with pyhf_session():
        ours = AsymptoticTest(*open_workspace(spec)).log_cls(45.0)
    file = tmp_path / "workspace.json"
    file.write_text(json.dumps(spec))
    code = "from pyhf.cli import cli; cli()"
    command = [sys.executable, "-W", "ignore", "-c", code, "cls", str(file), "--test-poi", "45"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert ours is not None
    np.testing.assert_allclose([told["CLs_obs"], *told["CLs_exp"]], np.exp(ours), atol=1e-3)


def test_windows_away_from_the_edge_and_at_it_can_be_moved(spectrum: Spectrum, family: Family) -> None:
    """The moved peak may leave the spectrum."""
    spec = resonance_workspace(
        spectrum, family, mass=EDGES[0] + 5.0, width=0.03, systematics=[EnergyScale(0.02), Resolution(0.2)]
    )
    assert signal_at(spec, jet_energy_scale=-1.0).sum() < signal_at(spec).sum()


def test_what_makes_no_sense_is_refused(spectrum: Spectrum, family: Family) -> None:
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(StatisticsError, match="must be positive"):
            Normalisation("eff", wrong, 0.9)
    with pytest.raises(StatisticsError, match="0 or more"):
        Normalisation.relative("eff", -0.1)
    with pytest.raises(StatisticsError, match="between 0 and a third"):
        Luminosity(0.5)
    with pytest.raises(StatisticsError, match=r"0 and 0\.5"):
        EnergyScale(np.nan)
    with pytest.raises(StatisticsError, match="0 and 1"):
        Resolution(1.5)
    with pytest.raises(StatisticsError, match="non-negative"):
        ShapeVariation("jes", np.array([1.0, -0.1]), np.array([1.0, 0.1]))
    with pytest.raises(StatisticsError, match="must be filled"):
        ShapeVariation.from_histograms("jes", np.zeros(3), np.ones(3))
    with pytest.raises(StatisticsError, match="or the number"):
        TemplateStatistics()
    with pytest.raises(StatisticsError, match="positive number of simulated"):
        TemplateStatistics(events=0.0)

    def made(*systematics: object) -> None:
        resonance_workspace(spectrum, family, mass=MASS, width=0.03, systematics=systematics)  # type: ignore[arg-type]

    with pytest.raises(StatisticsError, match="one number per bin"):
        made(ShapeVariation("jes", np.ones(3), np.ones(3)))
    with pytest.raises(StatisticsError, match="3 template errors"):
        made(TemplateStatistics(errors=np.ones(3)))
    for taken in ("mu", "lumi", "spectrum_background_0", "other_background_12", "abcd_closure", "staterror_other"):
        with pytest.raises(StatisticsError, match="names of their own"):
            made(Normalisation(taken, 1.1, 0.9))
    with pytest.raises(StatisticsError, match="names of their own"):
        made(EnergyScale(0.01), EnergyScale(0.02))
    template = Gaussian(0.03).template(EDGES, MASS)
    with pytest.raises(StatisticsError, match="needs the signal's shape"):
        window_channel(spectrum, family, template=template, window=(3100.0, 3900.0), systematics=[EnergyScale(0.01)])


def test_no_channel_pulls_on_the_background_of_another(spectrum: Spectrum, family: Family) -> None:
    """Nor one that was made by hand."""
    plain, late = (resonance_channel(spectrum, family, mass=MASS, width=0.03, name=name) for name in ("early", "late"))
    effect = {"name": "late_background_0", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    with pytest.raises(StatisticsError, match="late_background_0"):
        workspace([replace(plain, modifiers=(effect,)), replace(late, observed=late.observed + 1)])


def test_two_luminosities_are_refused(spectrum: Spectrum, family: Family) -> None:
    channels = [
        resonance_channel(spectrum, family, mass=MASS, width=0.03, name=name, systematics=[Luminosity(size)])
        for name, size in (("early", 0.01), ("late", 0.02))
    ]
    with pytest.raises(StatisticsError, match="pyhf knows one"):
        workspace(channels)


def test_the_schema_is_pyhfs(spectrum: Spectrum, family: Family) -> None:
    """`open_workspace` trusts what this package made: pyhf's own validation has to agree."""
    spec = resonance_workspace(spectrum, family, mass=MASS, width=0.03, systematics=ALL)
    with pytest.warns(DeprecationWarning, match="RefResolver"):
        pyhf.Workspace(json.loads(json.dumps(spec))).model()
