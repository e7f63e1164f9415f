"""How a level ends: what its last checkpoint says is what happened, on every replica alike."""

import os
import signal
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

import catalog
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.run.batch import BatchSpec
from vidgan.run.checkpoints import checkpoint_path, load, steps_of
from vidgan.run.distributed import Replicas, end_process_group
from vidgan.run.experiment import Experiment
from vidgan.train import callbacks, loop
from vidgan.train.callbacks import Callback, TrainContext
from vidgan.train.trainer import Trainer

STEPS = 5


def experiment() -> Experiment:
    """A checkpoint at every step, samples at every second."""
    tiny = catalog.experiments()["demo"]
    batch = BatchSpec(global_batch=2, sync_batch_norm=True)
    return tiny.replace(
        classes=2,
        training=tiny.training.replace(steps=STEPS, batch=batch),
        reporting=tiny.reporting.replace(keep=STEPS, samples=2),
    )


def data(asked: Experiment) -> SyntheticDataset:
    (level,) = asked.levels
    return SyntheticDataset(
        SyntheticSpec(
            shapes=("disc",), motions=("right", "left"), size=level.size, frames=level.frames, clips=8
        )
    )


def trainer_of(path: Path, replicas: Replicas = Replicas()) -> Trainer:
    """Trains the run at ``path``."""
    asked = experiment()
    return Trainer(asked, data(asked), path, device="cpu", workers=0, replicas=replicas)


def finished(run: Path) -> dict[int, bool]:
    """What every checkpoint of the level says of it."""
    folder = run / "checkpoints"
    return {
        step: bool(load(checkpoint_path(folder, 1, step)).facts["finished"]) for step in steps_of(folder, 1)
    }


class Clock:
    """Time that stands still until it is told to pass."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.slow
def test_time_that_runs_out_during_samples_ends_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute: samples take 45 seconds, at steps 2 and 4. They are of the averaged weights."""
    clock, shown = Clock(), list[object]()

    def slow_samples(run: object, index: int, generators: tuple[object, ...], *_: object) -> None:
        clock.now += 45.0
        shown.extend(generators)

    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(callbacks, "write_previews", slow_samples)
    trainer = trainer_of(tmp_path / "run")
    assert trainer.fit(steps=STEPS + 3, minutes=1.0)
    assert finished(tmp_path / "run") == {1: False, 2: False, 3: False, 4: False, 5: True}
    assert trainer.state.average is not None
    assert shown == [trainer.state.average.module] * 3


@pytest.mark.slow
def test_what_stops_a_level_finds_its_step_saved_before_anything_is_shown(tmp_path: Path) -> None:
    """Samples may take minutes, in which whoever sent a signal sends another; the checkpoint is there by then."""
    experiment = catalog.experiments()["demo"]
    seen: list[list[int]] = []

    class Watches(Callback):
        def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
            assert trainer.run is not None
            seen.append(steps_of(trainer.run.checkpoints, 1))
            if len(seen) == 1:
                trainer.stop("SIGINT")
            elif trainer.state.steps == 2:
                raise KeyboardInterrupt

    with (
        Trainer(
            experiment, "synthetic", tmp_path / "run", workers=0, callbacks=[Watches()], progress=False
        ) as trainer,
        pytest.raises(KeyboardInterrupt),
    ):
        trainer.fit(steps=9)
    assert seen == [[1], [1, 2]]
    real = sorted((tmp_path / "run" / "samples" / "real").rglob("*.webp"))
    assert len(real) == 8 * 4


@pytest.mark.slow
def test_a_level_that_ends_with_its_steps_is_finished(tmp_path: Path) -> None:
    assert trainer_of(tmp_path / "run").fit()
    assert finished(tmp_path / "run") == {1: False, 2: False, 3: False, 4: False, STEPS: True}
    previews = sorted(path.name for path in (tmp_path / "run" / "samples" / "fixed").iterdir())
    assert previews == [f"level1-step{step:08d}.webp" for step in (2, 4, STEPS)]


class Refusing(Callback):
    """Finds at the last step that something is wrong."""

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        if trainer.state.steps == 2:
            raise UserError("no")


@pytest.mark.slow
def test_a_level_whose_last_step_is_refused_is_not_finished(tmp_path: Path) -> None:
    """So that it resumes where the fault was, and does not begin the next level on it."""
    trainer = trainer_of(tmp_path / "run")
    trainer.callbacks.append(Refusing())
    with pytest.raises(UserError, match="no"):
        trainer.fit(steps=2)
    assert finished(tmp_path / "run") == {1: False, 2: False}


class Case(NamedTuple):
    """What happens to the second of two processes."""

    name: str
    signalled: bool
    """it gets SIGTERM in its second step"""
    minutes: float | None
    """its own time budget; the first process has none"""


SIGNAL = Case("signal", True, None)
TIME = Case("time", False, 0.0)


class Signalled(Callback):
    """Gets SIGTERM in its second step."""

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        if trainer.state.steps == 2:
            os.kill(os.getpid(), signal.SIGTERM)


def replica(rank: int, folder: str, case: Case) -> None:
    """One of two processes; they meet through a file, so no port is taken."""
    place = Path(folder)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    signalled = [Signalled()] if rank == 1 and case.signalled else []
    try:
        trainer = trainer_of(place / "run", Replicas(rank, 2, dist.group.WORLD))
        trainer.callbacks += signalled
        answer = trainer.fit(minutes=case.minutes if rank == 1 else None)
        (place / f"answer-{rank}").write_text(str(answer))
    finally:
        end_process_group()


def two_processes(folder: Path, case: Case) -> list[str]:
    """What both said when asked whether the run is finished."""
    spawn(replica, (str(folder), case), nprocs=2)
    return [(folder / f"answer-{rank}").read_text() for rank in (0, 1)]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert two_processes(tmp_path, SIGNAL) == ["False", "False"]
    assert finished(tmp_path / "run") == {1: False, 2: False, 3: False}
    assert "at step 3, all saved" in capfd.readouterr().out


@pytest.mark.slow
def test_time_that_runs_out_on_one_process_finishes_the_level_on_all(tmp_path: Path) -> None:
    assert two_processes(tmp_path, TIME) == ["True", "True"]
    assert finished(tmp_path / "run") == {1: True}


@pytest.mark.slow
def test_a_level_that_time_has_ended_stays_finished(tmp_path: Path) -> None:
    """Its own number of steps counts, not that of the other levels; more steps continue it."""
    asked = experiment()
    (level,) = asked.levels
    asked = asked.replace(levels=(level.replace(steps=3),))
    for steps, minutes, reached in ((3, 0.0, 1), (3, None, 1), (4, None, 4)):
        (level,) = asked.levels
        longer = asked.replace(levels=(level.replace(steps=steps),))
        trainer = Trainer(longer, data(asked), tmp_path / "run", device="cpu", workers=0, progress=False)
        assert trainer.fit(minutes=minutes)
        assert trainer.state.steps == reached


def test_a_level_that_is_told_to_stop_as_its_time_runs_out_is_not_finished(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "run")
    trainer.stop("a test")
    assert not trainer.fit(minutes=0.0)
    assert finished(tmp_path / "run") == {1: False}
