"""Tables of latent spaces: what each score is worth, and how well medians are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import format_count, format_number, format_uncertain
from analysis.report.quantities import entries, number, part
from analysis.report.table import Table, build

Entry = Mapping[str, Any]

NAMES = {
    "coordinate": "latent coordinate",
    "kl": "KL divergence",
    "oriented_kl": "KL divergence, oriented",
    "reconstruction": "reconstruction",
    "elbo": "ELBO",
    "oriented_sum": "no network: sum of the oriented features",
    "principal_component": "no network: first principal component",
    "linear_direction": "no network: most powerful linear direction",
}
SCORES_NOTE = (
    "All events, with all signal events, injected or not, from the truth. Ensemble: the score averaged over the "
    "members; members: mean ± standard deviation over them. Turned by labels: each member whose AUC is below 0.5 has "
    "its sign changed first, which no search can do; it shows what that knowledge would be worth. Beside the ensemble "
    "stands the statistical error."
)
PULLS_NOTE = (
    "(Median of what the mass decoder makes of the events − their median)/standard deviation of the events: mean ± "
    "standard deviation over the members."
)
DECODER_NOTE = (
    "Mean squared error of the scaled features on the events that a member does not train on, of the last epoch, and "
    "its relative change since a quarter of the steps was left: mean ± standard deviation over the members. The "
    "learning rate falls over the whole training, so that a change near 0 may also come from the low last rates."
)
_FIGURES = (("auc", "AUC"), ("background_rejection_at_0.5", "1/ε_B"), ("sic_at_0.5", "ε_S/√ε_B"))


def scores_table(results: Entry) -> Table | None:
    """Figures of merit of every score, without and with the labels' choice of its sign."""
    rows = [
        (f"{detector} on {sample}", {"score": NAMES.get(score, score), **entry})
        for sample, detector, found in _pairs(results, "latent_scores")
        for score, entry in entries({"scores": found}, "scores")
    ]
    return build(
        "Scores of the latent space (1/ε_B and ε_S/√ε_B at ε_S = 0.5)",
        rows,
        [
            ("Detector", lambda name, _: name),
            ("Score", lambda _, e: str(e["score"])),
            *((f"{title}, ensemble", _ensemble(key)) for key, title in _FIGURES),
            *((f"{title}, members", _members(key)) for key, title in _FIGURES),
            *((f"{title}, turned by labels", _flipped(key)) for key, title in _FIGURES),
            ("Signal, background events", _counts),
        ],
        known=None,
        notes=(SCORES_NOTE,),
    )


def pulls_table(results: Entry) -> Table | None:
    """How well the medians of the features are decoded, by class."""
    found = list(_pairs(results, "latent"))
    features = list(dict.fromkeys(name for _, _, one in found for name in one.get("features", ())))
    rows = [
        (f"{detector} on {sample}", {"class": name, "pulls": dict(zip(one["features"], _values(entry), strict=True))})
        for sample, detector, one in found
        for name, entry in entries(one, "pulls")
    ]
    return build(
        "Medians decoded from latent coordinate and mass, in standard deviations from those of the events",
        rows,
        [
            ("Detector", lambda name, _: name),
            ("Events", lambda _, e: str(e["class"])),
            *((name, _pull(name)) for name in features),
        ],
        known=None,
        notes=(PULLS_NOTE,),
    )


def decoder_table(results: Entry) -> Table | None:
    """Whether the mass decoders have converged."""
    rows = [
        (f"{detector} on {sample}", part(one, "decoder_validation_loss"))
        for sample, detector, one in _pairs(results, "latent")
        if "decoder_validation_loss" in one
    ]
    return build(
        "Training of the mass decoder",
        rows,
        [
            ("Detector", lambda name, _: name),
            ("Final validation loss", _settled("final")),
            ("Change over the last quarter [%]", _settled("change", scale=100.0)),
        ],
        known=None,
        notes=(DECODER_NOTE,),
    )


def _settled(key: str, *, scale: float = 1.0) -> Any:
    def text(_: str, entry: Entry) -> str:
        own = part(entry, key)
        return format_uncertain(scale * float(own["mean"]), scale * float(own["spread"]))

    return text


def _pairs(results: Entry, key: str) -> Iterator[tuple[str, str, Entry]]:
    for sample, found in entries(results, key):
        yield from ((sample, detector, found[detector]) for detector in found)


def _values(entry: Entry) -> list[tuple[float, float]]:
    return list(zip(entry["mean"], entry["spread"], strict=True))


def _pull(name: str) -> Any:
    return lambda _, e: format_uncertain(*e["pulls"][name])


def _ensemble(key: str) -> Any:
    def text(_: str, entry: Entry) -> str:
        own = part(entry, "ensemble")
        error = own.get(f"{key}_uncertainty")
        return _plain(own.get(key)) if error is None else format_uncertain(number(own.get(key)), number(error))

    return text


def _counts(_: str, entry: Entry) -> str:
    own = part(entry, "ensemble")
    return f"{format_count(number(own.get('n_signal')))}, {format_count(number(own.get('n_background')))}"


def _members(key: str) -> Any:
    def text(_: str, entry: Entry) -> str:
        own = part(entry, "members", key)
        return format_uncertain(number(own.get("mean")), number(own.get("spread")))

    return text


def _flipped(key: str) -> Any:
    return lambda _, e: _plain(part(e, "flipped_by_labels", "ensemble").get(key))


def _plain(value: Any) -> str:
    return format_number(number(value))
