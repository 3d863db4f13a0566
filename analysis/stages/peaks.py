"""Whether the KL divergences of an ensemble of autoencoders peaked, from the history of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def peaks_of(history: Mapping[str, Any]) -> dict[str, int]:
    """Return how many of the `members` have a `whole` peak, see `ml.stopping.PeakStopping`; empty without that rule.

    `history` is that of the folds (`ml.History.to_dict`), over which members are counted.
    """
    peaked = [bool(one) for fold in history["parts"].values() for one in fold.get("facts", {}).get("peaked", ())]
    return {"whole": sum(peaked), "members": len(peaked)} if peaked else {}
