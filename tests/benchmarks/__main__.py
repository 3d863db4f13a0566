"""Run the benchmarks one after another, each in a process of its own: `python -m tests.benchmarks [NAME …]`."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "features", "generation", "memory", "fits", "bumphunt", "validation", "abcd", "limits", "coverage", "training",
    "adversarial", "images", "constituents", "latent_ensemble", "jet_vae",
)  # fmt: skip


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return 1 if one failed."""
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or BENCHMARKS:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
