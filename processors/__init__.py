"""coffea processors: events to columns and histograms."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processors.columns import OutputError, read_parts
    from processors.constituents import JetConstituents
    from processors.dijet import DijetProcessor
    from processors.errors import InputError
    from processors.executors import open_executor
    from processors.failures import describe_failure
    from processors.hdf5_runner import HDF5Runner
    from processors.histograms import DEFAULT_HISTOGRAMS, AxisSpec
    from processors.images import ImageSettings, ImageStack, JetImages, average_image
    from processors.jet import JetProcessor
    from processors.jet_columns import SINGLE_JET_HISTOGRAMS
    from processors.run import Output, run_files
    from processors.schemas import FORMATS, schema_for
    from processors.sources import standardise
    from processors.ttbar import TTbarProcessor
    from processors.ttbar_columns import TTBAR_HISTOGRAMS

# coffea, FastJet and Numba take seconds to import: each name brings only its own module
_MODULES = {
    "AxisSpec": "histograms",
    "DEFAULT_HISTOGRAMS": "histograms",
    "DijetProcessor": "dijet",
    "FORMATS": "schemas",
    "HDF5Runner": "hdf5_runner",
    "ImageSettings": "images",
    "ImageStack": "images",
    "InputError": "errors",
    "JetConstituents": "constituents",
    "JetImages": "images",
    "JetProcessor": "jet",
    "Output": "run",
    "OutputError": "columns",
    "SINGLE_JET_HISTOGRAMS": "jet_columns",
    "TTBAR_HISTOGRAMS": "ttbar_columns",
    "TTbarProcessor": "ttbar",
    "average_image": "images",
    "describe_failure": "failures",
    "open_executor": "executors",
    "read_parts": "columns",
    "run_files": "run",
    "schema_for": "schemas",
    "standardise": "sources",
}

__all__ = [
    "DEFAULT_HISTOGRAMS",
    "FORMATS",
    "SINGLE_JET_HISTOGRAMS",
    "TTBAR_HISTOGRAMS",
    "AxisSpec",
    "DijetProcessor",
    "HDF5Runner",
    "ImageSettings",
    "ImageStack",
    "InputError",
    "JetConstituents",
    "JetImages",
    "JetProcessor",
    "Output",
    "OutputError",
    "TTbarProcessor",
    "average_image",
    "describe_failure",
    "open_executor",
    "read_parts",
    "run_files",
    "schema_for",
    "standardise",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
