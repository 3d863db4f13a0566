"""Anomaly detectors: arrays in, scores out. Knows nothing of files, coffea or fits.

Importing this package is cheap: TensorFlow is loaded by the first training or scoring.
"""

from __future__ import annotations

from ml.detector import Detector, History, Progress, Sample, Scores, Window, child_seed
from ml.errors import TrainingError
from ml.folds import CrossFit
from ml.plan import Job, run_jobs
from ml.registry import DETECTORS, detector_class, detector_from_settings

__all__ = [
    "DETECTORS",
    "CrossFit",
    "Detector",
    "History",
    "Job",
    "Progress",
    "Sample",
    "Scores",
    "TrainingError",
    "Window",
    "child_seed",
    "detector_class",
    "detector_from_settings",
    "run_jobs",
]
