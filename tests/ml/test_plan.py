"""Plans of trainings: the same result wherever they run; what is finished stays, whatever happens to the rest."""

from __future__ import annotations

import concurrent.futures
import json
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker
from loky.process_executor import TerminatedWorkerError

from ml import CrossFit, Detector, History, Progress, Sample, Scores, TrainingError, Window, detector_from_settings
from ml.plan import Job, run_jobs
from ml.processes import open_processes
from ml.threads import available, single_thread
from tests.ml.conftest import TINY


@dataclass(frozen=True)
class CounterSettings:
    features: tuple[str, ...] = ("j1_m",)


class Counter(Detector):
    """Fits nothing but its seed; refuses a feature that is NaN; counts how often it was asked."""

    fitted: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.settings = CounterSettings()
        self.draw = 0.0

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        self.role(samples, "data").features(self.settings.features)
        Counter.fitted.append(seeds.spawn_key[-1])
        self.draw = float(np.random.default_rng(seeds).random())
        if progress is not None:
            progress(0.5, "half")
        return History(seconds=1.0)

    def score(self, sample: Sample) -> Scores:
        return Scores(np.full(len(sample), self.draw, np.float32), np.zeros(len(sample), np.float32))

    def save(self, directory: Path) -> None:
        (directory / "draw.json").write_text(json.dumps(self.draw))

    @classmethod
    def load(cls, directory: Path) -> Counter:
        loaded = cls()
        loaded.draw = json.loads((directory / "draw.json").read_text())
        return loaded


WORKER: Any = SimpleNamespace(address="tcp://elsewhere")  # of Dask, lost


class Inline:
    """An executor that calls at once; `lose` of the calls end with the loss of their worker, or another error."""

    def __init__(self, lose: int = 0, work: bool = True, error: Exception | None = None) -> None:
        self.lose, self.work, self.calls, self.shared = lose, work, 0, 0
        self.error = error or TerminatedWorkerError("killed")

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.calls += 1
        if self.lose >= self.calls:
            future.set_exception(self.error)
        else:
            future.set_result(fn(*args) if self.work else None)
        return future

    def share(self, sample: Sample) -> Sample:
        self.shared += 1
        return sample


@pytest.fixture(autouse=True)
def _nothing_fitted() -> None:
    Counter.fitted = []


def counters(sample: Sample, directory: Path | None, *, bad: tuple[int, ...] = ()) -> list[Job]:
    """Three jobs; those in `bad` have a NaN among their features."""
    column = sample.columns["j1_m"].copy()
    column[7] = np.nan
    broken = replace(sample, columns={**sample.columns, "j1_m": column})
    return [
        Job(
            name=f"job {i}",
            detector=Counter(),
            samples={"data": broken if i in bad else sample},
            window=None,
            seeds=np.random.SeedSequence(1, spawn_key=(i,)),
            directory=None if directory is None else directory / f"job-{i}",
        )
        for i in range(3)
    ]


@pytest.fixture(scope="module")
def executors() -> Iterator[dict[str, Any]]:
    """Two processes, and a Dask cluster through `Client.get_executor`."""
    quiet = {"processes": False, "dashboard_address": ":0", "protocol": "tcp://"}
    with (
        open_processes(2) as processes,
        LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster,
        Client(cluster) as client,
    ):
        yield {"here": None, "processes": processes, "dask": client.get_executor(pure=False)}


@pytest.mark.filterwarnings(r"ignore:\s*Port 8787 is already in use")
def test_trees_and_networks_are_the_same_wherever_they_train(
    tiny: tuple[Sample, np.ndarray], window: Window, tmp_path: Path, executors: dict[str, Any]
) -> None:
    sample = tiny[0]
    trees = {"features": TINY["features"], "members": 2, "classifier": "bdt", "bdt": {"iterations": 5}}
    network = {**TINY, "members": 3}
    found = {}
    for name, executor in executors.items():
        folds = CrossFit(lambda: detector_from_settings("cwola", trees), 2, directory=tmp_path / name / "trees")
        asked = {"window": window, "seeds": np.random.SeedSequence(5)}
        networks = Job(
            "networks", detector_from_settings("cwola", network), {"data": sample}, **asked,
            fold=(2, 0), directory=tmp_path / name / "networks",
        )  # fmt: skip
        *of_trees, of_network = run_jobs([*folds.jobs({"data": sample}, **asked), networks], executor=executor)
        folds.detectors = [outcome.load() for outcome in of_trees]
        found[name] = np.hstack([folds.score(sample).members, of_network.load().score(sample).members])  # type: ignore[list-item]
    assert np.std(found["here"]) > 0.01
    for elsewhere in ("processes", "dask"):  # one thread each, while members share the cores of this process
        assert np.array_equal(found[elsewhere][:, :2], found["here"][:, :2])  # of the trees
        assert found[elsewhere] == pytest.approx(found["here"], abs=1e-5)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_one_failure_of_three_keeps_the_others(
    tiny: tuple[Sample, np.ndarray], tmp_path: Path, elsewhere: bool
) -> None:
    executor = Inline() if elsewhere else None
    with pytest.raises(TrainingError) as error:
        run_jobs(counters(tiny[0], tmp_path, bad=(1,)), executor=executor)
    said = str(error.value)
    assert "training job 1: column 'j1_m' is NaN or infinite in 1 of 3060 events" in said
    assert "1 of 3 trainings failed; 2 finished and kept" in said
    assert str(tmp_path / "job-0") in said
    assert "\n" not in said
    assert Counter.fitted == [0, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job-0", "job-2"]
    outcomes = run_jobs(counters(tiny[0], tmp_path), executor=executor)
    assert Counter.fitted == [0, 2, 1]
    expected = [float(np.random.default_rng(np.random.SeedSequence(1, spawn_key=(i,))).random()) for i in range(3)]
    assert [outcome.load().draw for outcome in outcomes] == expected  # type: ignore[attr-defined]
    assert [outcome.history.seconds for outcome in outcomes] == [1, 1, 1]


def test_equal_failures_are_told_once(tiny: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as error:
        run_jobs(counters(tiny[0], tmp_path, bad=(0, 1, 2)))
    assert str(error.value).count("is NaN") == 1
    assert "(the same in job 1, job 2)" in str(error.value)
    assert not Counter.fitted


def test_a_fault_of_the_program_is_named_and_a_full_disk_ends_the_plan(
    tiny: tuple[Sample, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Counter, "save", fault)
    for executor in (None, Inline()):
        with pytest.raises(TrainingError, match="training job 0: unexpected ZeroDivisionError: oh"):
            run_jobs(counters(tiny[0], tmp_path), executor=executor)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Counter, "save", full)
    Counter.fitted = []
    with pytest.raises(OSError, match="No space"):
        run_jobs(counters(tiny[0], tmp_path))
    assert Counter.fitted == [0]


def test_trainings_of_lost_workers_run_once_more(tiny: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    executor = Inline(lose=2)
    assert len(run_jobs(counters(tiny[0], tmp_path / "once"), executor=executor)) == 3
    assert executor.calls == 5
    with pytest.raises(TrainingError, match=r"training job 0: its worker was lost .*killed.*the same in job 1"):
        run_jobs(counters(tiny[0], tmp_path / "twice"), executor=Inline(lose=5))
    assert [path.name for path in (tmp_path / "twice").iterdir()] == ["job-2"]


@pytest.mark.parametrize("error", [KilledWorker("job", WORKER, 3), CommClosedError("gone"), CancelledError()])
def test_dask_loses_workers_in_its_own_ways(tiny: tuple[Sample, np.ndarray], tmp_path: Path, error: Exception) -> None:
    executor = Inline(lose=1, error=error)
    assert len(run_jobs(counters(tiny[0], tmp_path), executor=executor)) == 3
    assert executor.calls == 4


@pytest.mark.parametrize(
    "error",
    [
        pickle.PicklingError("a lambda"),
        ModuleNotFoundError("No module named 'mine'"),
        BrokenProcessPool("A task has failed to un-serialize."),
    ],
)
def test_what_no_worker_can_take_is_not_tried_again(
    tiny: tuple[Sample, np.ndarray], tmp_path: Path, error: Exception
) -> None:
    executor = Inline(lose=1, error=error)
    with pytest.raises(TrainingError) as raised:
        run_jobs(counters(tiny[0], tmp_path), executor=executor)
    said = str(raised.value)
    assert f"training job 0: no worker could take it ({type(error).__name__}: " in said
    assert "at the top of a module, in an environment that workers have" in said
    assert "2 finished and kept" in said
    assert executor.calls == 3


def test_a_sample_that_cannot_travel_is_told(
    tiny: tuple[Sample, np.ndarray], tmp_path: Path, executors: dict[str, Any]
) -> None:
    locked = replace(tiny[0], batch=threading.Lock().__enter__)
    with pytest.raises(TrainingError, match=r"no worker could take it \(.*pickle"):
        run_jobs(counters(locked, tmp_path), executor=executors["processes"])


def test_a_sample_is_shipped_once(tiny: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    executor = Inline()
    run_jobs(counters(tiny[0], tmp_path), executor=executor)
    assert (executor.calls, executor.shared) == (3, 1)
    run_jobs(counters(tiny[0], tmp_path), executor=executor)
    assert (executor.calls, executor.shared) == (3, 1)


def test_workers_must_write_where_this_process_reads(tiny: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="job-0, which is not there: workers must see the same files"):
        run_jobs(counters(tiny[0], tmp_path), executor=Inline(work=False))


def test_plans_that_would_lose_a_training_are_refused(tiny: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="give a directory"):
        run_jobs(counters(tiny[0], None), executor=Inline())
    first, *_ = counters(tiny[0], tmp_path)
    with pytest.raises(TrainingError, match="share a directory"):
        run_jobs([first, first])
    assert run_jobs([]) == []


def test_progress_counts_what_was_finished_before(
    tiny: tuple[Sample, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr("ml.plan.time.perf_counter", lambda: next(clock))
    run_jobs(counters(tiny[0], tmp_path)[:1])
    said: list[tuple[float, str]] = []
    run_jobs(counters(tiny[0], tmp_path), progress=lambda fraction, text: said.append((fraction, text)))
    assert [round(6 * fraction) for fraction, _ in said] == [3, 4, 5, 6]
    # a quarter of the two that are missing took 100 s, half of them 200 s, three quarters 300 s
    assert [text for _, text in said] == [
        "2 of 3: half, 5 min left",
        "2 of 3 done, 3 min left",
        "3 of 3: half, 2 min left",
        "3 of 3 done",
    ]
    said.clear()
    run_jobs(counters(tiny[0], tmp_path), progress=lambda fraction, text: said.append((fraction, text)))
    assert said == [(1.0, "3 of 3 done")]


def test_workers_use_one_thread(tiny: tuple[Sample, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    before = available()
    with single_thread():
        assert available() == 1
    assert available() == before
