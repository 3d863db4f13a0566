"""Data sets of outliers that detectors are shown while they train."""

from __future__ import annotations

from analysis.config import DetectorSettings, Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.stages.inputs import batch_wanted, detector_sample
from analysis.stages.searched import columns_of
from analysis.stages.simulated import simulated_events
from ml import Sample, detector_from_settings


def needs_exposure(settings: DetectorSettings) -> bool:
    """Return whether a detector with these settings is shown outliers."""
    return "exposure" in detector_from_settings(settings.type, settings.settings).roles


def exposure_sample(run: SearchRun, detector: str) -> Sample | None:
    """Return the outliers as a detector takes them, weights as loaded; None for a detector that is shown none."""
    settings = run.search.detectors[detector]
    if not needs_exposure(settings):
        return None
    check_exposure(run.search, detector)
    assert settings.exposure is not None
    what = f"exposure {settings.exposure} {columns_of(settings)} {batch_wanted(settings)}"
    sample: Sample = run.once(what, lambda: detector_sample(simulated_events(run, str(settings.exposure)), settings))
    return sample


def check_exposure(search: Search, detector: str) -> None:
    """Raise ConfigurationError where a detector lacks the outliers that it needs, or has some that it would ignore.

    Also where they are what is searched, or part of a searched mixture: what is exposed is no longer to be discovered.
    """
    settings = search.detectors[detector]
    key, name = f"detectors.{detector}.exposure", settings.exposure
    if not needs_exposure(settings):
        if name is not None:
            raise ConfigurationError(
                f"`{key}: {name}` has no effect: a detector of type {settings.type!r} with these settings is shown no "
                "outliers. Leave it out, or let its `decorrelation` be mse_oe or kl_oe."
            )
        return
    if name is None:
        raise ConfigurationError(
            f"The detector {detector!r} is shown outliers while it trains, and has none: add `{key}: DATASET`, of jets "
            "that are not searched for."
        )
    if name in search.mixtures:
        raise ConfigurationError(f"`{key}: {name}` names a mixture; name a data set of the catalogue.")
    for sample in search.data:
        mixture = search.mixtures.get(sample)
        searched = (sample,) if mixture is None else (mixture.background, mixture.signal)
        if name in searched:
            raise ConfigurationError(
                f"`{key}: {name}` is part of what is searched ({sample!r}): a detector that was shown it cannot "
                "discover it. Name other jets."
            )
