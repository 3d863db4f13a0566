"""What in the latent space of an ensemble of autoencoders a reader must not trust blindly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import format_count, format_number
from analysis.report.quantities import entries, number, part
from ml.latent_vae import ALIGNED

Entry = Mapping[str, Any]


def latent_warnings(results: Entry) -> Iterator[str]:
    """Members that stopped at no whole peak, and members whose coordinate follows other features than the rest."""
    for name, entry in entries(results, "detectors"):
        whole, members = (number(part(entry, "kl_peaks").get(key)) for key in ("whole", "members"))
        if whole is not None and members is not None and whole < members:
            yield (
                f"Detector {name}: the KL divergence of {format_count(members - whole)} of {format_count(members)} "
                "members did not rise and fall within the training, so that they were not stopped at a peak; more "
                "steps show it (`steps`)."
            )
    for sample, detectors in entries(results, "latent"):
        for name, entry in detectors.items():
            followed = [number(one) for one in entry.get("alignment") or ()]
            loose = sum(1 for one in followed if one is None or abs(one) < ALIGNED)
            if loose:
                yield (
                    f"Detector {name} on {sample}: the latent coordinate of {loose} of {len(followed)} members hardly "
                    f"follows the features that point to anomalies (correlation below {format_number(ALIGNED)}, or "
                    "none): its direction is nearly arbitrary, and members may contradict one another."
                )
