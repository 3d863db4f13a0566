"""The bump hunt: one spectrum, one background family, a scan over mass and width, local and global significance."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Sequence

import numpy as np

from stats.bumphunter import BumpHunter, BumpHunterScan
from stats.errors import StatisticsError
from stats.fits import BackgroundFits, effective, fit_background
from stats.functions import BinnedFamily, Family
from stats.goodness import Goodness, OrderChoice, chi2_test, choose_order
from stats.huntresult import BumpHunt
from stats.inputs import check_generator, check_number, check_spectrum
from stats.lookelsewhere import GlobalP, ToyScans, gross_vitells_p, run_toys, toy_p
from stats.ordered import OrderedProcedure, chosen_order
from stats.procedures import LikelihoodScan, Procedure
from stats.scan import LEAST_VISIBLE, Scan, scan, visible_share
from stats.signals import Gaussian, SignalShape, Width, is_width_scan, scan_templates
from stats.spectrum import Spectrum

STATISTICS = ("likelihood", "bumphunter")

logger = logging.getLogger(__name__)


def bump_hunt(
    spectrum: Spectrum,
    family: Family | Sequence[Family],
    *,
    masses: Sequence[float] | np.ndarray,
    widths: Sequence[float] | np.ndarray = (0.03,),
    relative: bool = True,
    shapes: Sequence[SignalShape] | None = None,
    mask: np.ndarray | None = None,
    statistic: str = "likelihood",
    windows: BumpHunter | None = None,
    threshold: float = 0.05,
    toys: int = 0,
    rng: np.random.Generator | None = None,
    workers: int = 1,
) -> BumpHunt:
    """Search a spectrum for a resonance of any of the masses and widths.

    Args:
        spectrum: events per bin; weighted ones are fitted as effective events.
        family: background family, its order fixed beforehand (``choose_order`` on a control selection). Several
            nested ones, from few to many parameters, are chosen from by F-test on this spectrum; the toys then choose,
            too, which a toy scan with a fixed order would get wrong.
        masses: GeV, rising, inside the spectrum.
        widths: standard deviations of a Gaussian peak, rising: over its mass (``relative``) or in GeV.
        shapes: other signal shapes to scan, in place of ``widths``.
        mask: bins to use, True keeps; all by default. Peaks with less than 5% in these are refused.
        statistic: what the global p-value is of: "likelihood", the largest local significance of the scan, or
            "bumphunter", the most significant window of bins. The scan of yields and local p0 is made for both.
        windows: of the BumpHunter.
        threshold: of the F-test: probability below which the richer family is taken.
        toys: pseudo-experiments for the global p-value, each repeating the whole procedure; 0 for none.
        rng: random numbers for them.
        workers: threads for them.

    Raises:
        StatisticsError: for a spectrum that does not determine the background, masses outside it or hidden by the
            mask, unknown statistics, toys without ``rng`` or of which many fail, and anything that is not of the kind
            asked for.
    """
    check_spectrum(spectrum)
    _check_families(family)
    _check_options(statistic, windows, threshold)
    _check_toys(toys, rng, workers)
    masses = _grid(masses, "masses")
    shapes = _listed(shapes) if shapes is not None else _gaussians(widths, relative)
    widths, unit = _width_axis(shapes, masses)
    templates = scan_templates(spectrum.edges, masses, shapes)
    _check_visible(templates, masses, effective(spectrum, mask)[1])
    settings = (windows or BumpHunter()) if statistic == "bumphunter" else None
    procedure, order = _procedure(spectrum, family, mask, templates, settings, threshold)
    background = procedure.background
    points = _scan_data(background, templates)
    bump = None if settings is None else BumpHunterScan(background, settings).best(spectrum.edges)
    observed = float(points.largest[0]) if bump is None else bump.statistic
    pseudo = run_toys(procedure, toys=toys, rng=rng, workers=workers) if toys and rng is not None else None
    surface = len(shapes) > 1
    continuous = bump is None and (not surface or is_width_scan(shapes))
    return BumpHunt(
        spectrum=spectrum,
        family=background.model.family,
        background=background,
        goodness=chi2_test(background.counts[0], background.seen[0], n_parameters=background.model.n_parameters),
        masses=masses,
        widths=widths,
        shapes=shapes,
        yields=points.yields[0],
        yield_errors=points.errors[0],
        significance=points.significance[0],
        failed_fits=int(points.failed[0]),
        procedure=procedure,
        statistic=statistic,
        width_unit=unit,
        order=order,
        bump=bump,
        global_p=None if pseudo is None else toy_p(observed, pseudo),
        gross_vitells=_extrapolated(observed, pseudo, surface) if pseudo is not None and continuous else None,
        toys=pseudo,
    )


def goodness_outside(
    spectrum: Spectrum, family: Family, *, mass: float, width: float, reach: float = 3.0, relative: bool = True
) -> Goodness:
    """χ² of a background fit to the bins away from a peak at ``mass`` (GeV) of ``width``, relative or in GeV.

    A strong signal spoils the fit of a background alone; whether the function describes the background is then seen
    beside the peak. Bins within ``reach`` standard deviations are left out. Raises StatisticsError if too few remain.
    """
    check_spectrum(spectrum)
    away = reach * width * (mass if relative else 1.0)
    mask = spectrum.outside(mass - away, mass + away)
    counts, exposure = effective(spectrum, mask)
    background = fit_background(BinnedFamily(family, spectrum.edges), counts, exposure=exposure)
    return chi2_test(counts[0][mask], background.seen[0][mask], n_parameters=family.n_parameters)


def _procedure(
    spectrum: Spectrum,
    family: Family | Sequence[Family],
    mask: np.ndarray | None,
    templates: np.ndarray,
    windows: BumpHunter | None,
    threshold: float,
) -> tuple[Procedure, OrderChoice | None]:
    """What data and toys go through, the data's fits inside; and the choice of the family, if there was one."""
    counts, exposure = effective(spectrum, mask)

    def fitted(one: Family) -> BackgroundFits:
        return fit_background(BinnedFamily(one, spectrum.edges), counts, exposure=exposure)

    def searched(background: BackgroundFits) -> Procedure:
        return LikelihoodScan(background, templates) if windows is None else BumpHunterScan(background, windows)

    if isinstance(family, Family):
        return searched(fitted(family)), None
    choice = choose_order(spectrum, family, mask=mask, threshold=threshold)
    fits = [fitted(one) for one in family]
    chosen = int(chosen_order(fits, threshold=threshold)[0])
    if chosen < 0 or family[chosen].name != choice.family.name:
        raise StatisticsError(
            f"The F-test takes {choice.family.name}, but toys would not repeat that choice: some of the families "
            "do not fit this spectrum. Leave them out, or fix the order beforehand."
        )
    return OrderedProcedure(tuple(searched(fit) for fit in fits), chosen, threshold), choice


def _scan_data(background: BackgroundFits, templates: np.ndarray) -> Scan:
    points = scan(background, templates)
    if not np.isfinite(points.largest[0]):
        raise StatisticsError(
            "Not one signal fit of the scan converged: the spectrum is too sparse for this background function."
        )
    if points.failed[0]:
        size = points.significance[0].size
        logger.warning("%d of %d signal fits did not converge and are left out", int(points.failed[0]), size)
    return points


def _extrapolated(observed: float, pseudo: ToyScans, surface: bool) -> GlobalP | None:
    if np.isfinite(pseudo.largest).sum() < 2:
        logger.warning("fewer than two toys have a fit: nothing to extrapolate from")
        return None
    return gross_vitells_p(observed, pseudo, two_dimensional=surface)


def _check_families(family: Family | Sequence[Family]) -> None:
    listed = [family] if isinstance(family, Family) or not isinstance(family, Sequence) else family
    if isinstance(family, str) or not all(isinstance(one, Family) for one in listed):
        raise StatisticsError(f"The background is a Family or several (stats.family, stats.dijet), got {family!r}.")


def _check_options(statistic: str, windows: BumpHunter | None, threshold: float) -> None:
    if statistic not in STATISTICS:
        raise StatisticsError(f"The statistic of a bump hunt is one of {', '.join(STATISTICS)}, not {statistic!r}.")
    if windows is not None and statistic != "bumphunter":
        raise StatisticsError("windows are those of statistic='bumphunter'; the likelihood scan has none.")
    if windows is not None and not isinstance(windows, BumpHunter):
        raise StatisticsError(f"windows is a BumpHunter, as BumpHunter(widths=range(2, 7)), got {windows!r}.")
    if not isinstance(threshold, numbers.Real) or not 0 < threshold < 1:
        raise StatisticsError(f"The threshold of an F-test is a probability between 0 and 1, got {threshold!r}.")


def _check_visible(templates: np.ndarray, masses: np.ndarray, exposure: np.ndarray | None) -> None:
    """StatisticsError that names the masses whose peaks, of whatever width, the mask hides."""
    hidden = masses[(visible_share(templates, exposure) < LEAST_VISIBLE).any(axis=0)]
    if hidden.size:
        raise StatisticsError(
            f"The mask hides all but less than {LEAST_VISIBLE:.0%} of a peak at {', '.join(f'{m:g}' for m in hidden)} "
            "GeV: what is left does not tell its yield. Leave these masses out of the scan, or unmask their bins."
        )


def _check_toys(toys: int, rng: np.random.Generator | None, workers: int) -> None:
    check_number(toys, "toys", least=0)
    check_number(workers, "workers", least=1)
    if toys or rng is not None:
        check_generator(rng)


def _listed(shapes: Sequence[SignalShape]) -> tuple[SignalShape, ...]:
    if not isinstance(shapes, Sequence) or not all(
        hasattr(one, "template") and hasattr(one, "width") for one in shapes
    ):
        raise StatisticsError(f"Signal shapes are given in a row, as [Gaussian(0.03)], got {shapes!r}.")
    return tuple(shapes)


def _gaussians(widths: Sequence[float] | np.ndarray, relative: bool) -> tuple[SignalShape, ...]:
    return tuple(Gaussian(float(width), relative=relative) for width in _grid(widths, "widths"))


def _width_axis(shapes: tuple[SignalShape, ...], masses: np.ndarray) -> tuple[np.ndarray, str]:
    """The widths of the shapes in a common unit, shape (n_shapes,), and the unit."""
    if not shapes:
        raise StatisticsError("A scan needs at least one signal shape.")
    declared = [getattr(shape, "sigma", None) for shape in shapes]
    units = {width.unit if isinstance(width, Width) else "" for width in declared}
    if len(units) == 1 and units != {""}:
        return np.array([width.value for width in declared if isinstance(width, Width)]), units.pop()
    middle = float(0.5 * (masses[0] + masses[-1]))
    return np.array([shape.width(middle) / middle for shape in shapes]), "relative"


def _grid(values: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    try:
        grid = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        grid = np.empty(0)
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)) or (np.diff(grid) <= 0).any() or grid[0] <= 0:
        raise StatisticsError(f"The {name} of a scan must be positive, finite and rising, got {values!r}.")
    return grid
