"""HistFactory likelihoods of pyhf models, with gradient, Hessian and minimum, from the models' analytic structure.

``CompiledModel(pdf).fit(data)`` takes a fraction of the time of one of pyhf's fits and needs no pyhf session.
``stats.minimiser.NewtonOptimizer`` puts it behind pyhf's own interface.
"""

from __future__ import annotations

from stats.histfactory.model import CompiledModel, Fit
from stats.histfactory.specification import UnsupportedModel

__all__ = ["CompiledModel", "Fit", "UnsupportedModel"]
