"""Doubting a background model: does it fit, does it invent a signal, does it give an injected one back."""

from stats.validation.bias import BiasMatrix, BiasPair, bias_matrix
from stats.validation.injection import InjectionTest, injection_test
from stats.validation.pulls import PullPoint
from stats.validation.saturated import SaturatedTest, ToyP, saturated_test
from stats.validation.spurious import SpuriousSignal, spurious_signal

__all__ = [
    "BiasMatrix",
    "BiasPair",
    "InjectionTest",
    "PullPoint",
    "SaturatedTest",
    "SpuriousSignal",
    "ToyP",
    "bias_matrix",
    "injection_test",
    "saturated_test",
    "spurious_signal",
]
