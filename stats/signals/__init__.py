"""What a resonance looks like in the bins of a spectrum."""

from stats.signals.base import SignalShape, Width, is_width_scan, normalised, scan_templates
from stats.signals.crystalball import CrystalBall
from stats.signals.gaussian import Gaussian, gaussian_template
from stats.signals.simulated import TemplateShape

__all__ = [
    "CrystalBall",
    "Gaussian",
    "SignalShape",
    "TemplateShape",
    "Width",
    "gaussian_template",
    "is_width_scan",
    "normalised",
    "scan_templates",
]
