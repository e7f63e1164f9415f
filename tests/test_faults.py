"""What happens overnight: each fault either lets a run continue or stops it with everything saved, and says which."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import miniatures
from commands import ENVIRONMENT, require_one_line, snapshot, start, vidgan
from kills import final
from vidgan.cli import UNEXPECTED
from vidgan.run import logs
from vidgan.run.batch import Share
from vidgan.run.checkpoints import steps_of
from vidgan.run.logs import read_lines
from vidgan.sample import standing
from vidgan.train import callbacks, trainer
from vidgan.train.callbacks import RunWriter, TrainContext
from vidgan.train.memory import smaller_micro_batch

Capture = pytest.CaptureFixture[str]
STEPS = 6
EVERY = ("--reporting.tick", 1, "--reporting.checkpoint", 100, "--reporting.samples", 100)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moving MNIST in miniature, prepared."""
    from vidgan.cli import main

    folder = tmp_path_factory.mktemp("faults")
    source = miniatures.moving_mnist(folder / "source")
    args = ("prepare", source, folder / "data", "--layout", "moving-mnist", "--size", 24, "--workers", 0)
    assert main([str(arg) for arg in args]) == 0
    return folder / "data"


def command(data: object, out: Path, *more: object) -> tuple[object, ...]:
    return ("train", "demo", "--tiny", "--data", data, "--steps", STEPS, *EVERY, "--out", out, *more)


@pytest.fixture(scope="module")
def whole(data: Path) -> dict[str, torch.Tensor]:
    """The end of a run that nothing disturbed."""
    from vidgan.cli import main

    out = data.parent / "whole"
    assert main([str(arg) for arg in command(data, out, "--workers", 0)]) == 0
    return final(out)


def require_equal(out: Path, whole: dict[str, torch.Tensor]) -> None:
    """The run ended with the same state, bit for bit, and logged every step once."""
    seen = final(out)
    assert all(torch.equal(seen[name], whole[name]) for name in whole)
    assert [line["step"] for line in read_lines(out / "log.jsonl")] == list(range(1, STEPS + 1))


def wait_for_lines(process: "subprocess.Popen[str]", out: Path, number: int) -> None:
    while len(read_lines(out / "log.jsonl")) < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
def test_a_schedulers_sigterm_and_the_queue_again(
    data: Path, whole: dict[str, torch.Tensor], tmp_path: Path, capsys: Capture
) -> None:
    """All processes of the job get the signal, workers too, and the training process twice."""
    out = tmp_path / "run"
    args = [*map(str, command(data, out, "--resume", "auto", "--workers", 2, "--steps", 10**6))]
    process = subprocess.Popen(
        [sys.executable, "-m", "vidgan", *args],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_lines(process, out, 2)
    os.killpg(process.pid, signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    said, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM" in said
    assert "all saved" in said
    reached = steps_of(out / "checkpoints", 1)[-1]
    assert reached == read_lines(out / "log.jsonl")[-1]["step"]
    again = vidgan(capsys, *command(data, out, "--resume", "auto", "--workers", 0, "--steps", reached + 2))
    assert f"resumes at step {reached}" in again.out
    assert [line["step"] for line in read_lines(out / "log.jsonl")] == list(range(1, reached + 3))


@pytest.mark.slow
def test_a_killed_worker_is_replaced(data: Path, whole: dict[str, torch.Tensor], tmp_path: Path) -> None:
    out = tmp_path / "run"
    # Workers are forked from a child of the process that trains. Slow enough that some steps are still to be read.
    process = start(*command(data, out, "--workers", 1))
    while not (workers := [pid for child in children(process.pid) for pid in children(child)]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.kill(workers[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "a data worker died (signal 9)" in err
    assert "another resumes there" in err
    require_equal(out, whole)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_vanish_stop_the_run_with_all_saved(
    workers: int,
    data: Path,
    whole: dict[str, torch.Tensor],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(data, mine)
    tick = RunWriter.on_tick

    def vanishing(self: RunWriter, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        tick(self, trainer, scalars)
        if trainer.state.steps == 2:
            for shard in mine.glob("shard-*"):
                shard.rename(tmp_path / shard.name)

    monkeypatch.setattr(RunWriter, "on_tick", vanishing)
    # More steps than workers read ahead.
    answer = vidgan(capsys, *command(mine, out, "--workers", workers, "--steps", 30))
    require_one_line(answer, "mnist_test_seq.npy#", "shard-0000", "all saved", "--resume")
    (reached,) = steps_of(out / "checkpoints", 1)
    assert f"stopped at step {reached}" in answer.err
    assert read_lines(out / "log.jsonl")[-1]["step"] == reached
    for shard in tmp_path.glob("shard-*"):
        shard.rename(mine / shard.name)
    if workers == 0:
        assert reached == 2
        assert vidgan(capsys, *command(mine, out, "--workers", 0, "--resume")).status == 0
        require_equal(out, whole)


def full(*args: object, **more: object) -> None:
    raise OSError(28, "No space left on device", "somewhere")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["log", "samples", "statistics"])
def test_a_full_disk_stops_the_run_and_says_what_is_kept(
    what: str,
    data: Path,
    whole: dict[str, torch.Tensor],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`test_bad_input.py` has the checkpoint itself."""
    out = tmp_path / "run"
    first = command(data, out, "--workers", 0, "--steps", 2)
    assert vidgan(capsys, *first).status == 0
    before = snapshot(out / "checkpoints")
    place = {
        "log": (logs.Log, "append"),
        "samples": (callbacks, "write_previews"),
        "statistics": (standing, "save_statistics"),
    }[what]
    monkeypatch.setattr(*place, full)
    on = command(data, out, "--workers", 0, "--resume")
    require_one_line(
        vidgan(capsys, *on), "the disk is full (somewhere)", "checkpoints are intact", "--resume"
    )
    assert before.items() <= snapshot(out / "checkpoints").items()
    monkeypatch.undo()
    assert vidgan(capsys, *on).status == 0
    require_equal(out, whole)


FULL_DISK = """
mount -t tmpfs -o size=1000k tmpfs "$DISK"
"$@"; echo "status $?"
ls -a "$DISK/run/checkpoints"
mount -o remount,size=40m "$DISK"
"$@" && cp -r "$DISK/run" "$KEPT"
"""


@pytest.mark.slow
def test_a_disk_that_really_fills_up(data: Path, whole: dict[str, torch.Tensor], tmp_path: Path) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    namespace = ["unshare", "--mount", "--map-root-user", "--user"]
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"]).returncode:
        pytest.skip("needs unshare to mount a small disk")
    train = [sys.executable, "-m", "vidgan", *map(str, command(data, disk / "run", "--workers", 0))]
    answer = subprocess.run(
        [*namespace, "sh", "-c", FULL_DISK, "sh", *train, "--reporting.checkpoint", "1", "--resume", "auto"],
        env=ENVIRONMENT | {"DISK": str(disk), "KEPT": str(kept)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, (answer.stdout, answer.stderr)
    assert "status 2" in answer.stdout, (answer.stdout, answer.stderr)
    assert "vidgan: error: the disk is full" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert ".part" not in answer.stdout  # nothing half-written beside the whole checkpoints
    assert "level1-step00000001.safetensors" in answer.stdout
    require_equal(kept, whole)


@pytest.mark.slow
def test_out_of_memory_names_a_micro_batch(
    data: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
    )
    batch = ("--training.batch.global-batch", 12, "--training.batch.micro-batch", 6)
    for number, error in enumerate(errors):

        def short(*args: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(trainer, "training_step", short)
        answer = vidgan(capsys, *command(data, tmp_path / f"{number}", "--workers", 0, *batch))
        require_one_line(
            answer, "out of memory in step 1", "micro-batches of 6", "--training.batch.micro-batch 3", "half"
        )
    monkeypatch.setattr(
        trainer, "training_step", lambda *args: (_ for _ in ()).throw(RuntimeError("something else"))
    )
    other = vidgan(capsys, *command(data, tmp_path / "other", "--workers", 0, *batch))
    assert other.status == UNEXPECTED
    assert "RuntimeError: something else" in other.err


def test_smaller_micro_batches_are_of_passes_as_equal_as_can_be() -> None:
    sizes = {(512, 512): 256, (108, 108): 54, (15, 15): 5, (12, 1): None, (16, 4): 2, (12, 4): 2, (24, 8): 4}
    sizes |= {(14, 7): 3}  # four passes of 3 and one of 2; 4 is more than half
    for (share, micro), expected in sizes.items():
        assert smaller_micro_batch(Share(share, micro)) == expected
    # Where some processes have a clip less, none can go clip by clip.
    for micro, least in ((4, 2), (3, 2), (2, None)):
        assert smaller_micro_batch(Share(14, micro, uneven=True)) == least
