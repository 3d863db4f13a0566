"""The hard processes of top pairs: decays, transverse momenta, cross-sections, colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from analysis.samples import GenerationError, Recipe
from analysis.samples.generator import add_tops, make_pythia
from analysis.samples.tops import TopPairs, is_semileptonic, top_momenta

HARD_ONLY = ("PartonLevel:all = off",)
KINDS = ("zprime", "scalar", "octet")


class Recording(TopPairs):
    """Keep of each accepted process what the tests ask for, as plain numbers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.records: list[list[tuple[int, int, int]]] = []
        self.pt: list[list[float]] = []
        self.cosine: list[float] = []  # of the top to the beam in the rest frame of the pair, over its maximum
        self.mass: list[float] = []

    def doVetoProcessLevel(self, process: Any) -> bool:
        veto = super().doVetoProcessLevel(process)
        if not veto:
            particles = [process[i] for i in range(process.size())]
            self.records.append([(p.id(), p.col(), p.acol()) for p in particles])
            self.pt.append(top_momenta(process))
            first, second = [p for p in particles[5:8] if abs(p.id()) == 6]
            energy, pz = first.e() + second.e(), first.pz() + second.pz()
            self.mass.append(math.sqrt(energy**2 - pz**2))
            along = (first.pz() * energy - first.e() * pz) / self.mass[-1]
            size = math.hypot(first.pT(), along)
            self.cosine.append(abs(along) / size / math.sqrt(1 - (self.min_pt / size) ** 2))
        return veto


def run(hook: TopPairs | None, n: int, *, settings: tuple[str, ...] = (), **recipe: Any) -> Any:
    """Generate `n` hard processes and return Pythia."""
    recipe = {"process": "ttbar", "events": 1, "seed": 1} | recipe
    pythia = make_pythia(Recipe(**recipe, settings=HARD_ONLY + settings), seed=5)
    if hook is not None:
        pythia.addUserHooksPtr(hook)
    assert pythia.init()
    for _ in range(n):
        assert pythia.next()
    return pythia


@pytest.fixture(scope="module")
def hooks() -> Mapping[str, Recording]:
    made = {"ttbar": Recording(500.0)}
    run(made["ttbar"], 500)
    for kind in KINDS:
        made[kind] = Recording(500.0, octet=np.random.default_rng(3) if kind == "octet" else None)
        run(made[kind], 500, process="resonance_ttbar", top_resonance={"kind": kind})
    return made


@pytest.mark.parametrize("name", ["ttbar", *KINDS])
def test_one_top_decays_to_a_lepton_and_both_are_hard(hooks, name):
    hook = hooks[name]
    assert np.min(hook.pt) >= 500
    np.testing.assert_allclose(*np.transpose(hook.pt), rtol=1e-6)
    leptons = [[code for code, _, _ in record if abs(code) in (11, 13, 15)] for record in hook.records]
    assert {len(one) for one in leptons} == {1}
    codes = np.ravel(leptons)
    for code in (11, -11, 13, -13):  # a quarter each
        assert np.sum(codes == code) == pytest.approx(125, abs=4 * np.sqrt(500 * 0.25 * 0.75))


@pytest.mark.parametrize(("name", "incoming"), [("zprime", {1, 2, 3, 4, 5}), ("scalar", {21}), ("octet", {21})])
def test_who_makes_a_resonance(hooks, name, incoming):
    assert {abs(record[3][0]) for record in hooks[name].records} <= incoming
    assert np.median(hooks[name].mass) == pytest.approx(2000, abs=40)
    assert 1552 <= np.min(hooks[name].mass) < np.max(hooks[name].mass) <= 2448


def test_angles_of_a_scalar_are_uniform_and_those_of_a_vector_are_not(hooks):
    scatter = 4 / math.sqrt(12 * 500)
    assert np.mean(hooks["scalar"].cosine) == pytest.approx(0.5, abs=scatter)
    # 1 + cos² θ up to the largest |cos θ| at 2 TeV, c: mean of |cos θ|/c
    c = math.sqrt(1 - 500**2 / (1000**2 - 172**2))
    expected = (c / 2 + c**3 / 4) / (c + c**3 / 3)
    assert np.mean(hooks["zprime"].cosine) == pytest.approx(expected, abs=scatter)
    assert expected - 0.5 > 0.04


def test_colours_of_an_octet_flow_from_the_gluons_to_the_tops(hooks):
    first = 0
    for record, singlet in zip(hooks["octet"].records, hooks["scalar"].records, strict=True):
        gluons, (code, colour, anticolour), top, antitop = record[3:5], record[5], record[6], record[7]
        assert code == 9900103
        assert (top, antitop) == ((6, colour, 0), (-6, 0, anticolour))
        assert colour != anticolour
        # what comes in and does not go out is one line between the gluons
        assert {g[1] for g in gluons} - {colour} == {g[2] for g in gluons} - {anticolour}
        assert len({tag for g in gluons for tag in g[1:]}) == 3
        assert (record[8], record[10]) == ((24, 0, 0), (-24, 0, 0))
        assert (record[9][1:], record[11][1:]) == ((colour, 0), (0, anticolour))
        first += gluons[0][1] == colour
        assert singlet[5] == (35, 0, 0)
    assert first == pytest.approx(250, abs=4 * math.sqrt(500) / 2)


def test_octet_differs_from_the_scalar_by_its_colours_alone(hooks):
    np.testing.assert_array_equal(hooks["octet"].pt, hooks["scalar"].pt)


def cross_section(pythia: Any) -> tuple[float, float]:
    info = pythia.infoPython()
    return 1e9 * info.sigmaGen(), 1e9 * info.sigmaErr()


def test_cross_section_is_that_of_what_the_hook_accepts():
    """Both ways to have tops above 600 GeV: Pythia's own cut, and the hook on softer pairs."""
    cut, hooked = TopPairs(1.0), TopPairs(600.0)
    own, own_error = cross_section(run(cut, 2000, min_top_pt=600.0))
    value, error = cross_section(run(hooked, 1000, min_top_pt=500.0))
    assert value == pytest.approx(own, abs=4 * math.hypot(own_error, error))
    assert error < 0.05 * value
    assert hooked.accepted / hooked.looked < 0.5


def test_cross_section_holds_the_branching_ratio():
    hook = TopPairs(1.0)
    value, error = cross_section(run(hook, 2000))
    inclusive, inclusive_error = cross_section(run(None, 2000, settings=("24:onMode = on",)))
    # W → e or μ: 10.71% + 10.63%, W → hadrons: 67.41% (Particle Data Group)
    expected = 2 * 0.2134 * 0.6741
    assert value / inclusive == pytest.approx(expected, rel=4 * math.hypot(error / value, inclusive_error / inclusive))


def test_decays_that_are_not_semileptonic():
    seen = []

    class Watching(TopPairs):
        def doVetoProcessLevel(self, process: Any) -> bool:
            codes = [abs(process[i].id()) for i in range(5, process.size())]
            seen.append((sum(code in (11, 13) for code in codes), 15 in codes, is_semileptonic(process)))
            return False

    run(Watching(500.0), 300, settings=("24:onMode = on",))
    assert {(leptons, tau) for leptons, tau, _ in seen} >= {(0, False), (1, False), (2, False), (0, True), (1, True)}
    assert all(passed == (leptons == 1 and not tau) for leptons, tau, passed in seen)


def test_pairs_that_never_pass_are_an_error(monkeypatch):
    monkeypatch.setattr("analysis.samples.tops.HOPELESS_PROCESSES", 50)
    recipe = Recipe(process="ttbar", events=1, seed=1, settings=("24:onMode = off", "24:onIfAny = 1 2 3 4 5"))
    pythia = make_pythia(recipe, seed=1)
    hook = add_tops(pythia, recipe, generator=np.random.default_rng(1))
    pythia.init()
    with pytest.raises(GenerationError, match="None of 50 hard processes in a row"):
        pythia.next()
    assert hook is not None
    assert hook.accepted == 0
