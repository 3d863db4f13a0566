"""Finished trainings on disk: a folder each, whole or not at all, with the key of everything that decided it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ml.detector import Detector, History
from ml.sample import Sample
from ml.window import Window

MARKER = "fold.json"


def training_key(
    detector: Detector, training: Mapping[str, Sample], window: Window | None, seeds: np.random.SeedSequence
) -> str:
    """What decides the result of a training, hashed: detector, settings, window, seeds and every training value."""
    content = {
        "detector": detector.describe(),
        "window": None if window is None else asdict(window),
        "seeds": [str(seeds.entropy), [int(k) for k in seeds.spawn_key]],
        "samples": {role: s.digest(labels=detector.reads_category) for role, s in sorted(training.items())},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_kept(folder: Path, key: str) -> bool:
    """Whether a training with this key is finished in `folder`."""
    file = folder / MARKER
    return file.is_file() and json.loads(file.read_text())["key"] == key


def kept_history(folder: Path) -> History:
    """The history of a finished training."""
    return History.from_dict(json.loads((folder / MARKER).read_text())["history"])


def keep(detector: Detector, history: History, folder: Path, key: str) -> None:
    """Write a training beside its place, then rename: a folder with the final name is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left_over)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    temporary.chmod(0o755)
    detector.save(temporary)
    (temporary / MARKER).write_text(json.dumps({"key": key, "history": history.to_dict()}))
    if folder.exists():
        (folder / MARKER).unlink(missing_ok=True)  # first: a removal that is cut short must not look whole
        shutil.rmtree(folder)
    temporary.rename(folder)
