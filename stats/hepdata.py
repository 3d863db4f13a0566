"""HEPData tables of a search: selected spectra, local p-values and upper limits.

Numbers go in as arrays and come out as ``hepdata_lib`` tables; ``stats.submission`` writes those to files. What has no
value (a fit that failed, a limit that could not be set) is "-", counted in the table's description and logged.
"""

from __future__ import annotations

import logging
import re
import warnings
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.published import PublishedLimit, PublishedSelection

with warnings.catch_warnings():
    # its validator imports a name that jsonschema deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from hepdata_lib import Table, Uncertainty, Variable

logger = logging.getLogger(__name__)

MISSING = "-"
DIGITS = 6  # significant digits of fitted numbers
EXACT_DIGITS = 15  # of counts, edges and masses, which are not measured
LONGEST_NAME = 64  # of a table
REACTION = "P P --> JET JET X"
PHRASES = ("Proton-Proton Scattering", "Dijet Production", "Resonance Search", "Anomaly Detection")


def spectrum_table(selection: PublishedSelection, *, location: str = "") -> Table:
    """The selected m_jj spectrum: observed events and fitted background per bin, edges in GeV."""
    spectrum = selection.spectrum
    table = _table(f"Spectrum {selection.name}", [selection], "N", location)
    edges = Variable("$m_{jj}$", is_independent=True, is_binned=True, units="GeV")
    edges.values = list(zip(spectrum.edges[:-1].tolist(), spectrum.edges[1:].tolist(), strict=True))
    edges.digits = EXACT_DIGITS
    counts = spectrum.counts.tolist()
    observed = _column(
        "Observed events", [round(n) for n in counts] if spectrum.is_counts else counts, selection, digits=EXACT_DIGITS
    )
    if not spectrum.is_counts:
        observed.add_uncertainty(_symmetric("stat", np.sqrt(spectrum.variances)))
    fitted = _column("Fitted background", selection.background, selection)
    fitted.add_uncertainty(_symmetric("fit", selection.background_error))
    for variable in (edges, observed, fitted):
        table.add_variable(variable)
    where = f"selection {selection.name} of {selection.sample}"
    table.description = _sentences(
        f"Observed events per bin of the dijet mass in the {where}, and the background-only fit to all bins with its "
        "standard deviation",
        selection.note,
        _missing(f"fitted background, {where}, in bins", spectrum.edges[:-1], selection.background),
        _missing(f"background's error, {where}, in bins", spectrum.edges[:-1], selection.background_error),
    )
    return table


def p0_table(selections: Sequence[PublishedSelection], *, location: str = "") -> Table:
    """Local p0 and significance against mass, two columns per selection and width."""
    _some(selections)
    table = _table("Local p-values", selections, "P-value", location)
    masses = _masses([mass for selection in selections for mass in np.asarray(selection.masses).tolist()])
    table.add_variable(_mass_axis(masses))
    notes = []
    for selection in selections:
        for row, width in enumerate(np.asarray(selection.widths).tolist()):
            for name, values in (("Local $p_0$", selection.local_p0), ("Local significance", selection.local_z)):
                known = dict(zip(np.asarray(selection.masses).tolist(), np.asarray(values)[row].tolist(), strict=True))
                column = [known.get(mass) for mass in masses]
                table.add_variable(_column(name, column, selection, width=(width, selection.width_unit)))
            notes.append(_missing(f"p-value, {selection.name}, width {width:g},", masses, column))
        notes.append(f"{selection.name}: {selection.scan_note}" if selection.scan_note else "")
    table.description = _sentences(
        f"Local p-value of a {_signals(one.scan_signal for one in selections)} above the fitted background, "
        "$p_0 = \\Phi(-Z)$ with the signed significance $Z$: uncapped, above 0.5 for deficits. Relative width: "
        "standard deviation over mass",
        *notes,
    )
    return table


def limits_table(selections: Sequence[PublishedSelection], *, level: float = 0.05, location: str = "") -> Table:
    """Observed and expected CLs limits against mass; the expected one carries its ±1σ and ±2σ band as errors.

    Raises:
        StatisticsError: when no selection has limits, or one has two at the same mass.
    """
    selections = [selection for selection in selections if selection.limits]
    _some(selections)
    table = _table("Upper limits", selections, "CLS", location)
    masses = _masses([limit.mass for selection in selections for limit in selection.limits])
    table.add_variable(_mass_axis(masses))
    notes = []
    for selection in selections:
        known = {limit.mass: limit for limit in selection.limits}
        if len(known) < len(selection.limits):
            raise StatisticsError(f"{selection.name} has several limits at the same mass: give each mass one.")
        for variable in _limit_columns(selection, [known.get(mass) for mass in masses]):
            table.add_variable(variable)
        notes += _limit_notes(selection, masses, known)
    table.description = _sentences(
        f"Upper limits at {100 * (1 - level):g}% CLs on a {_signals(one.limit_signal for one in selections)}, observed "
        "and expected without a signal; the errors of the expected limit are its 68% (1 sigma) and 95% (2 sigma) bands",
        *notes,
    )
    return table


def _limit_columns(selection: PublishedSelection, limits: Sequence[PublishedLimit | None]) -> list[Variable]:
    bands = np.array([_expected(limit) for limit in limits], dtype=float).reshape(-1, 5)  # None becomes NaN
    units = "events" if selection.limit_unit == "selected events" else selection.limit_unit
    quantity = "selected signal events" if units == "events" else "the cross section"
    width = None if selection.limit_width is None else (selection.limit_width, selection.limit_width_unit)
    observed = _column(
        f"Observed limit on {quantity}",
        [limit.observed if limit is not None else None for limit in limits],
        selection,
        units=units,
        width=width,
    )
    median = _column(f"Expected limit on {quantity}", bands[:, 2], selection, units=units, width=width)
    for sigma, low, high in ((1, 1, 3), (2, 0, 4)):
        band = Uncertainty(f"{sigma} sigma", is_symmetric=False)
        differences = bands[:, [low, high]] - bands[:, [2]]
        band.values = [(float(minus), float(plus)) for minus, plus in np.nan_to_num(differences)]
        for place in np.flatnonzero(np.isnan(differences).any(axis=1)):
            band.values[place] = None  # HEPData's schema asks for both ends of an error
        median.add_uncertainty(band)
    return [observed, median]


def _limit_notes(
    selection: PublishedSelection, masses: Sequence[float], limits: dict[float, PublishedLimit]
) -> list[str]:
    known = [limits.get(mass) for mass in masses]
    reasons = [
        f"{selection.name} at {limit.mass:g} GeV: {limit.reason}"
        for limit in known
        if limit is not None and limit.reason
    ]
    return [
        _missing(f"observed limit, {selection.name},", masses, [one.observed if one else None for one in known]),
        _missing(f"expected limit, {selection.name},", masses, [_expected(one)[2] for one in known]),
        *(_incomplete(selection, masses, known, sigma) for sigma in (1, 2)),
        *reasons,
    ]


def _expected(limit: PublishedLimit | None) -> tuple[float | None, ...]:
    return (None,) * 5 if limit is None or limit.expected is None else limit.expected


def _incomplete(
    selection: PublishedSelection, masses: Sequence[float], limits: Sequence[PublishedLimit | None], sigma: int
) -> str:
    """Say where the expected limit is known, one end of its band is not, and the other is left out with it."""
    ends = [
        (mass, band[2 - sigma], band[2 + sigma], band[2])
        for mass, band in zip(masses, map(_expected, limits), strict=True)
    ]
    lost = [f"{mass:g}" for mass, low, high, median in ends if median is not None and (low is None or high is None)]
    if not lost:
        return ""
    return f"No {sigma} sigma band of the expected limit, {selection.name}, at {', '.join(lost)} GeV: an end is unknown"


def _table(name: str, selections: Sequence[PublishedSelection], observable: str, location: str) -> Table:
    table = Table(_table_name(name))
    table.location = location
    table.keywords = {
        "reactions": [REACTION],
        "observables": [observable],
        "cmenergies": sorted({float(selection.sqrt_s) for selection in selections}),
        "phrases": list(PHRASES),
    }
    return table


def _table_name(name: str) -> str:
    """A name that is a file name too; one that is too long ends in a checksum of the whole."""
    name = re.sub(r"[^A-Za-z0-9_. -]+", "-", name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 9]}-{zlib.crc32(name.encode()):08x}"


def _column(
    name: str,
    values: Iterable[Any],
    selection: PublishedSelection,
    *,
    units: str = "",
    width: tuple[float, str] | None = None,
    digits: int = DIGITS,
) -> Variable:
    column = Variable(name, is_independent=False, is_binned=False, units=units, zero_uncertainties_warning=False)
    column.values = [value if _is_number(value) else MISSING for value in values]
    column.digits = digits
    for qualifier, value, unit in selection.qualifiers:
        column.add_qualifier(qualifier, value, units=unit)
    if width is not None:
        size, unit = width
        name, units = ("Relative width", "") if unit == "relative" else ("Width", unit)
        column.add_qualifier(name, float(size), units=units)
    return column


def _signals(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def _symmetric(label: str, errors: np.ndarray) -> Uncertainty:
    uncertainty = Uncertainty(label)
    uncertainty.values = [error if _is_number(error) else None for error in np.asarray(errors).tolist()]
    return uncertainty


def _mass_axis(masses: Sequence[float]) -> Variable:
    axis = Variable("Resonance mass", is_independent=True, is_binned=False, units="GeV")
    axis.values = list(masses)
    axis.digits = EXACT_DIGITS
    return axis


def _masses(masses: Iterable[float]) -> list[float]:
    return sorted({float(mass) for mass in masses})


def _is_number(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _missing(what: str, places: Iterable[float], values: Iterable[float | None]) -> str:
    """Say (and log) where a column holds no value; nothing where it is complete."""
    gaps = [f"{place:g}" for place, value in zip(places, values, strict=True) if not _is_number(value)]
    if not gaps:
        return ""
    text = f"No value ('{MISSING}') of the {what} at {', '.join(gaps)} GeV"
    logger.warning("HEPData: %s", text)
    return text


def _sentences(*texts: str) -> str:
    return " ".join(f"{text.rstrip('.')}." for text in texts if text)


def _some(selections: Sequence[PublishedSelection]) -> None:
    if not selections:
        raise StatisticsError("There is no selection with such results: a HEPData table needs at least one column.")
