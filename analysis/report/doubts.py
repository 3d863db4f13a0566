"""What in a report a reader must not trust blindly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.numbers import NONE, format_count, format_mass, format_number, format_p_value, format_z, is_bound
from analysis.report.abcd_doubts import abcd_warnings
from analysis.report.data_tables import skipped_files
from analysis.report.jet_doubts import jet_warnings
from analysis.report.latent_doubts import latent_warnings
from analysis.report.quantities import Quantity, entries, limits, number, part, uses_labels
from analysis.report.salad_doubts import salad_warnings
from analysis.report.stability_tables import stability_warnings
from analysis.report.summary import most_significant
from analysis.report.validation_tables import POOR_FIT, validation_warnings
from stats.limits import FEW

Entry = Mapping[str, Any]

CLEAR = 3.0  # local significance that is worth doubting
PLAUSIBLE = 0.4  # of the significance that a yield over its error should have, at the very least


def warnings(results: Entry, *, missing_figures: Sequence[str] = ()) -> list[str]:
    """What is doubtful: poor or failed fits, skipped files, p-values that are only bounds, lost figures."""
    found = [f"Skipped file, its events are missing: {entry}." for entry in skipped_files(results)]
    for name, entry in entries(results, "selections"):
        if "bump_hunt" in entry and number(part(entry, "bump_hunt").get("local_p0")) is None:
            found.append(f"Selection {name}: the bump hunt found no result.")
        found += _doubts(name, part(entry, "bump_hunt"))
    found += validation_warnings(results)
    best = most_significant(results)
    if best is not None and uses_labels(results, best[1]):
        found.append("Every selection here was made with truth labels: these are references, not a search.")
    for limit in limits(results):
        place = f"{limit.get('selection', NONE)} at {format_mass(number(limit.get('mass')))}"
        place += " in fb" if limit.get("unit") == "fb" else ""
        if number(limit.get("failed_fits")):
            found.append(f"Limit of {place}: {format_count(number(limit['failed_fits']))} fits failed.")
    found += [
        *_missing_limits(results),
        *_few_events(results),
        *_strong_limits(results),
        *_extrapolated(results),
        *_poor_sidebands(results),
        *abcd_warnings(results),
        *salad_warnings(results),
        *jet_warnings(results),
        *latent_warnings(results),
        *stability_warnings(results),
    ]
    found += [f"Figure {name} was not found, it is left out." for name in missing_figures]
    return _together(found)


def _together(sentences: Sequence[str]) -> list[str]:
    """Say once what holds for several selections, or several detectors, in the order of the first of them."""
    subjects: dict[tuple[str, str], list[str]] = {}
    for sentence in sentences:
        subject, separator, rest = sentence.partition(": ")
        kind, _, name = subject.partition(" ")
        if not separator or kind not in ("Selection", "Detector"):
            subjects[sentence, ""] = []
        elif name not in subjects.setdefault((kind, rest), []):
            subjects[kind, rest].append(name)
    return [
        f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names)}: {rest}" if names else kind
        for (kind, rest), names in subjects.items()
    ]


def _missing_limits(results: Entry) -> Iterator[str]:
    """One sentence for each selection and unit in which limits were not found, with the first one's reason."""
    missing: dict[tuple[str, str], tuple[list[str], str]] = {}
    for limit in limits(results):
        if number(limit.get("observed")) is None:
            key = str(limit.get("selection", NONE)), " in fb" if limit.get("unit") == "fb" else ""
            masses, _ = missing.setdefault(key, ([], _why(limit)))
            masses.append(format_mass(number(limit.get("mass"))))
    for (name, unit), (masses, why) in missing.items():
        first = f"At {masses[0]}: {why}" if len(masses) > 1 and why else why
        yield f"Limits of {name}{unit} at {', '.join(masses)}: no observed limit was found. {first}".strip()


def _few_events(results: Entry) -> Iterator[str]:
    """One sentence for each selection with limits where asymptotic formulae are not to be trusted."""
    few: dict[str, list[str]] = {}
    for entry in _in_events(results):
        background, seen = (Quantity.read(entry.get(key)).value for key in ("expected_background", "observed_events"))
        if any(events is not None and events < FEW for events in (background, seen)):
            counts = "" if seen is None else f", {format_number(seen, digits=2)} observed"
            where = f"{format_mass(number(entry.get('mass')))} ({format_number(background, digits=2)} expected{counts})"
            few.setdefault(str(entry.get("selection", NONE)), []).append(where)
    for name, masses in few.items():
        yield (
            f"Limits of {name}: fewer than {FEW:g} events under a resonance at {', '.join(masses)}; the "
            "asymptotic formulae are not reliable there, toys are needed (`limits.toys`)."
        )


def _poor_sidebands(results: Entry) -> Iterator[str]:
    """Limits whose background function does not describe the bins that it is fitted to."""
    found: dict[str, list[str]] = {}
    for entry in _in_events(results):
        if entry.get("doubtful"):
            found.setdefault(str(entry.get("selection", NONE)), []).append(format_mass(number(entry.get("mass"))))
    for name, masses in found.items():
        yield (
            f"Limits of {name} at {', '.join(masses)}: the background function does not describe the sidebands "
            "(p < 0.01), so that its prediction under the peak, and the limit, may be wrong."
        )


def _in_events(results: Entry) -> list[Entry]:
    """The limits in selected events: those in fb rest on the same fits."""
    return [entry for entry in limits(results) if entry.get("unit") != "fb"]


def _why(limit: Entry) -> str:
    notes = limit.get("notes") or ()
    return str(limit.get("reason") or " ".join(str(note) for note in notes))


def _extrapolated(results: Entry) -> Iterator[str]:
    """Limits whose background is an extrapolation of the function."""
    found: dict[str, list[str]] = {}
    for entry in _in_events(results):
        if entry.get("extrapolated"):
            found.setdefault(str(entry.get("selection", NONE)), []).append(format_mass(number(entry.get("mass"))))
    for name, masses in found.items():
        yield (
            f"Limits of {name} at {', '.join(masses)}: the window has a sideband on one side only, so that the "
            "background in it is the function's extrapolation, whose choice no uncertainty covers."
        )


def _strong_limits(results: Entry) -> Iterator[str]:
    """Limits below the −2σ band: more often than by chance, an excess elsewhere lifts the background they rest on."""
    strong: dict[str, list[str]] = {}
    for entry in _in_events(results):
        expected = list(entry.get("expected") or ())
        observed, lowest = number(entry.get("observed")), number(expected[0]) if expected else None
        if observed is not None and lowest is not None and observed <= lowest:
            strong.setdefault(str(entry.get("selection", NONE)), []).append(format_mass(number(entry.get("mass"))))
    for name, masses in strong.items():
        yield (
            f"Limits of {name} at {', '.join(masses)} lie at or below the −2σ band: an excess elsewhere in the "
            "spectrum may lift the background that is expected there, and make them too strong."
        )


def _doubts(name: str, hunt: Entry) -> Iterator[str]:
    background = part(hunt, "background")
    p = number(background.get("p_outside_peak", background.get("p")))
    if p is not None and p < POOR_FIT:
        where = " beside the peak" if "p_outside_peak" in background else ""
        yield (
            f"Selection {name}: the background function does not describe the spectrum{where} "
            f"(p = {format_p_value(p)}), its significances are doubtful."
        )
    z, fitted, error = (number(hunt.get(key)) for key in ("local_z", "yield", "yield_error"))
    if z is not None and fitted is not None and error and z > CLEAR and fitted < PLAUSIBLE * z * error:
        yield (
            f"Selection {name}: the signal fitted at its best mass, {format_mass(number(hunt.get('mass')))}, is "
            f"{format_number(fitted / error, digits=2)} of its error, and the local significance {format_z(z)}: a peak "
            "elsewhere bends the background-only fit, so that neither mass nor significance are to be trusted."
        )
    global_p = part(hunt, "global_p")
    if is_bound(global_p):
        toys = format_count(number(global_p.get("toys")))
        yield (
            f"Selection {name}: none of {toys} toys was as extreme as the data, so the global p-value is only an upper "
            "bound."
        )
    for where, entry in (("the scan", hunt), ("the toys", global_p), ("the background fit", part(hunt, "background"))):
        failed = number(entry.get("failed_fits", entry.get("failed")))
        if failed:
            yield f"Selection {name}: {format_count(failed)} fits of {where} failed."
