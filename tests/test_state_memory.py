"""Too little memory for all state of a level - made, read or written - is one line that names what helps."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from commands import require_one_line, vidgan
from vidgan import tensor_file
from vidgan.errors import UserError
from vidgan.run.checkpoints import checkpoint_path, latest, save, steps_of
from vidgan.run.distributed import Replicas
from vidgan.tensor_file import State
from vidgan.train import begin, callbacks, trainer
from vidgan.train.memory import saved_if_short_of_memory, state_in_memory

ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
ON_CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"
)
OF_A_FILE = RuntimeError("unable to mmap 400000080 bytes from file </a>: Cannot allocate memory (12)")
"""safetensors' words, under a limit of addresses"""


def failing(error: Exception) -> Any:
    def fail(*args: object, **named: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("module", "name", "error", "doing", "helps"),
    [
        (trainer, "TrainState", ON_GPU, "making level 1", "a device with more memory"),
        (trainer, "TrainState", ON_CPU, "making level 1", "--workers 0 and --cache no"),
        (begin, "latest", OF_A_FILE, "reading the weights of level 1", "--workers 0 and --cache no"),
        (begin, "latest", MemoryError(), "reading the weights of level 1", "--levels.0.generator.width"),
    ],
)
def test_a_level_that_does_not_fit(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    error: Exception,
    doing: str,
    helps: str,
) -> None:
    monkeypatch.setattr(module, name, failing(error))
    command = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--out", tmp_path / "run")
    require_one_line(vidgan(capsys, *command), f"out of memory in {doing}", helps, "vidgan plan")
    assert not (tmp_path / "run" / "experiment.json").exists()


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, error = tmp_path / "run", ON_CPU
    kept = callbacks.save

    def second(path: Path, state: State) -> None:
        if state.facts["step"] == 2:
            raise error
        kept(path, state)

    monkeypatch.setattr(callbacks, "save", second)
    options = ("--reporting.checkpoint", 1, "--reporting.samples", "none", "--workers", 0, "--steps", 2)
    command = ("train", "demo", "--tiny", "--data", "synthetic", "--out", run, *options)
    answer = vidgan(capsys, *command)
    require_one_line(
        answer, "out of memory in writing the checkpoint of step 2", "--workers 0", "earlier ones"
    )
    assert steps_of(run / "checkpoints", 1) == [1]
    monkeypatch.undo()
    assert vidgan(capsys, *command, "--resume").status == 0


def test_processes_of_a_machine_may_be_fewer() -> None:
    for processes, said in ((1, False), (8, True)):
        with pytest.raises(UserError) as caught, state_in_memory("making level 3", 2, processes):
            raise ON_CPU
        assert ("fewer processes on this machine" in str(caught.value)) == said
        assert "--levels.2.generator.width" in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("other"), UserError("out of memory in something else")])
def test_other_faults_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, state_in_memory("making level 1", 0, 1):
        raise error
    assert caught.value is error


def test_a_checkpoint_that_cannot_be_read_for_lack_of_memory_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training would go on from an earlier one."""
    for step in (1, 2):
        save(checkpoint_path(tmp_path, 1, step), State({"a": torch.ones(2)}, {"level": 1, "step": step}))
    found = latest(tmp_path, 1)
    assert found is not None
    assert found.state.facts["step"] == 2
    whole = tensor_file.safe_open

    def short(path: Path, framework: str) -> Any:
        if path == checkpoint_path(tmp_path, 1, 2):
            raise OF_A_FILE
        return whole(path, framework=framework)

    monkeypatch.setattr(tensor_file, "safe_open", short)
    with pytest.raises(RuntimeError, match="Cannot allocate memory"):
        latest(tmp_path, 1)


@pytest.mark.parametrize(
    ("rank", "saved", "said", "saves"),
    [
        (0, False, "Step 7 is saved", 1),
        (0, True, "Step 7 is saved", 0),
        (1, True, "Step 7 is saved", 0),
        (1, False, "Step 7 is not saved, as another process writes; earlier checkpoints stay", 0),
    ],
)
def test_what_is_said_to_be_saved_is(rank: int, saved: bool, said: str, saves: int) -> None:
    done: list[int] = []
    training: Any = SimpleNamespace(
        run=object(), state=SimpleNamespace(steps=7), replicas=Replicas(rank, 2), save=lambda: done.append(7)
    )
    with pytest.raises(UserError) as caught, saved_if_short_of_memory(training, saved):
        raise ON_CPU
    assert str(caught.value).endswith(said)
    assert len(done) == saves
    training.run = None
    with pytest.raises(UserError) as caught, saved_if_short_of_memory(training, saved):
        raise ON_CPU
    assert "saved" not in str(caught.value)
