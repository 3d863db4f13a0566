"""May an ABCD likelihood claim a discovery? Not where a control region holds next to nothing.

With an empty region the fitted background rests on its bound, of the order of 10⁻¹⁰ events: any event in A is then five
standard deviations, although the counts allow a background of a tenth of an event. Toys drawn from that fit have no
event in A either, so they do not help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stats.errors import StatisticsError
from stats.limits import UpperLimit, upper_limit

FEW = 5.0  # events in a control region below which its asymptotic error is not to be trusted


@dataclass(frozen=True)
class AbcdDiscovery:
    """Discovery p-value of an ABCD likelihood.

    Attributes:
        p0, z: of q₀ (asymptotic), None where ``reason`` says why there is none.
        reason: None where there is a p-value.
    """

    p0: float | None
    z: float | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data under the names of a limit's: update its dictionary with this."""
        return {"local_p0": self.p0, "local_z": self.z, "local_p0_reason": self.reason}


def abcd_discovery(workspace: Mapping[str, Any], *, limit: UpperLimit | None = None) -> AbcdDiscovery:
    """The discovery p-value of a workspace of ``abcd_workspace``, where its control regions allow one.

    Args:
        limit: of the same workspace, if it is known already.

    Raises:
        StatisticsError: for a blinded workspace, and where it cannot be fitted.
    """
    counts = {entry["name"]: float(sum(entry["data"])) for entry in workspace["observations"]}
    if "A" not in counts:
        raise StatisticsError("A blinded ABCD workspace leaves region A out: there is nothing to discover in it.")
    small = [f"{name} holds {count:g}" for name, count in counts.items() if name != "A" and count < FEW]
    if small:
        return AbcdDiscovery(
            None,
            None,
            f"{', '.join(small)}: with fewer than {FEW:g} events in a control region the background's likelihood is "
            "not that of the asymptotic formula, and toys from its fit do not help. Take a looser selection.",
        )
    found = upper_limit(workspace) if limit is None else limit
    return AbcdDiscovery(found.local_p0, found.local_z, None)
