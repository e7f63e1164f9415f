"""Videos made at a time: the same whatever their number, which is what an error names where memory does not suffice."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

import catalog
import vidgan as library
from commands import require_one_line, vidgan
from runs import untrained
from steps import batched
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.evaluation.features.network import RandomConv3d
from vidgan.models.generator import Generator
from vidgan.run.experiment import Experiment, whole_window
from vidgan.sample import sampler, standing
from vidgan.sample.model import Model

Capture = pytest.CaptureFixture[str]
MEASURED = ("--protocol", "frechet-random", "--data", "synthetic")
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def experiment_of(name: str) -> Experiment:
    """In float32, with few passes for statistics."""
    experiment = catalog.experiments()[name]
    training = experiment.training
    few = training.standing_statistics.replace(batches=1, clips=6)
    return experiment.replace(training=training.replace(standing_statistics=few, bf16=False))


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("cascade") / "run", experiment_of("demo-cascade")).path


@pytest.fixture
def cascade(untouched: Path, tmp_path: Path) -> Path:
    """A run without standing statistics."""
    return shutil.copytree(untouched, tmp_path / "run")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Clips of every pass of a generator."""
    seen: list[int] = []
    begin = Generator.begin

    def noted(self: Generator, condition: Tensor, steps: int, dtype: torch.dtype | None = None) -> Tensor:
        seen.append(len(condition))
        return begin(self, condition, steps, dtype)

    monkeypatch.setattr(Generator, "begin", noted)
    return seen


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Clips for which a pass has memory: the last number of this list; with none, for any."""
    fits: list[int] = []
    begin = Generator.begin

    def limited(self: Generator, condition: Tensor, steps: int, dtype: torch.dtype | None = None) -> Tensor:
        if fits and len(condition) > fits[-1]:
            raise FULL
        return begin(self, condition, steps, dtype)

    monkeypatch.setattr(Generator, "begin", limited)
    return fits


def exact(model: Model) -> Model:
    """The model in float64, as nothing has been made of it yet."""
    for generator in model.generators:
        generator.double()
    return model


def made(model: Model, kind: str) -> Tensor:
    """Five videos, for which the model takes its statistics."""
    if kind == "windows":
        return model.sample(5, seed=3, window=4)
    if kind == "levels":
        return torch.cat([video.flatten() for video in model.levels(5, seed=3)])
    if kind == "interpolated":
        return model.interpolate(points=5, seed=3)
    return model.sample(5, seed=3)


def last_line(capsys: Capture, *command: object) -> str:
    """Of a measurement that fails, behind what it says of its progress."""
    answer = vidgan(capsys, *command)
    assert answer.status == 2
    return answer.err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sampled", "windows", "levels", "interpolated"])
def test_videos_do_not_depend_on_how_many_are_made_at_a_time(
    untouched: Path, kind: str, passes: list[int]
) -> None:
    """Nor do standing statistics, which each model takes for itself."""
    expected = made(exact(library.load(untouched)), kind)
    for micro_batch in (1, 3, 5):
        model = exact(library.load(untouched, micro_batch=micro_batch))
        for _ in range(2):  # of which the first takes statistics
            passes.clear()
            torch.testing.assert_close(made(model, kind), expected, rtol=0, atol=1e-10)
            assert max(passes) == micro_batch
    assert float(expected.std()) > 0.01


@pytest.mark.slow
def test_continuations_do_not_depend_on_it(tmp_path: Path, passes: list[int]) -> None:
    experiment = experiment_of("trivd-gan-fp-k600-16x64")
    run = untrained(tmp_path / "run", experiment).path
    window, (level,) = whole_window(experiment), experiment.levels
    data = SyntheticDataset(SyntheticSpec(size=window.size, frames=window.span, clips=6))
    given = torch.from_numpy(data.read(0, 0, level.context_frames * level.stride, level.stride).copy())
    given = given.permute(0, 3, 1, 2).double() / 127.5 - 1
    expected = exact(library.load(run, data=data)).predict(given, 5, seed=3, length=2 * level.frames)
    for micro_batch in (1, 3, 5):
        passes.clear()
        model = exact(library.load(run, data=data, micro_batch=micro_batch))
        found = model.predict(given, 5, seed=3, length=2 * level.frames)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
        assert max(passes) == micro_batch
    assert float(expected.std()) > 0.01


@pytest.mark.slow
def test_a_measurement_does_not_depend_on_it(
    untouched: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which the network, too, takes no more at a time."""
    seen: list[int] = []
    forward = RandomConv3d.forward

    def noted(self: RandomConv3d, x: Tensor) -> Tensor:
        seen.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(RandomConv3d, "forward", noted)
    values = []
    for most in (6, 1, 3):
        run, option = shutil.copytree(untouched, tmp_path / f"{most}"), ("--micro-batch", most)
        clips = ("--clips", 6, "--real-clips", 6, "--cache", tmp_path / f"rows-{most}")
        seen.clear()
        answer = vidgan(capsys, "evaluate", run, *MEASURED, *clips, *(option if most < 6 else ()))
        assert answer.status == 0, answer.err
        assert max(seen) == most
        values.append(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["value"])
    assert values == pytest.approx([values[0]] * 3, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("statistics", ["standing", "batch"])
def test_what_an_error_names_helps(
    cascade: Path, tmp_path: Path, capsys: Capture, room: list[int], statistics: str
) -> None:
    """First in standing statistics, then in samples: where passes of two clips fit, its advice leads there."""
    command = ("sample", cascade, "--out", tmp_path / "out", "--clips", 5, "--statistics", statistics)
    asked = [99]
    room.append(2)
    answer = vidgan(capsys, *command)
    while answer.status:
        require_one_line(answer, "out of memory with", " at a time", "--micro-batch")
        found = re.search(r"--micro-batch (\d+) ", answer.err)
        assert found is not None, answer.err
        assert int(found[1]) < asked[-1]
        asked.append(int(found[1]))
        answer = vidgan(capsys, *command, "--micro-batch", asked[-1])
    assert 1 <= asked[-1] <= 2
    assert len(list((tmp_path / "out").iterdir())) == 5


@pytest.mark.slow
def test_where_one_video_does_not_fit_it_is_said_what_helps(
    cascade: Path, tmp_path: Path, capsys: Capture, room: list[int]
) -> None:
    room.append(0)
    command = ("sample", cascade, "--out", tmp_path / "x", "--micro-batch", 1)
    require_one_line(vidgan(capsys, *command), "standing statistics", "no smaller pass", "--chunk")
    assert not (tmp_path / "x").exists()
    room.append(6)
    assert vidgan(capsys, *command, "--clips", 1).status == 0  # now they are kept
    room.append(0)
    require_one_line(
        vidgan(capsys, *command), "one video of", "no smaller pass", "--chunk makes levels above"
    )
    require_one_line(vidgan(capsys, *command, "--chunk", 2), "2 frames of one video", "smaller --chunk")
    measured = ("evaluate", cascade, *MEASURED, "--clips", 2, "--real-clips", 2, "--cache", tmp_path)
    assert "one video of 8 frames: there is no smaller pass; vidgan sample --chunk" in last_line(
        capsys, *measured
    )
    room.append(1)
    assert "2 videos of 8 frames made at a time" in last_line(capsys, *measured, "--micro-batch", 2)
    room.append(0)
    below = ("sample", cascade, "--level", 1, "--out", tmp_path / "y", "--micro-batch", 1)
    require_one_line(vidgan(capsys, *below), "one video of", "--device (cpu)")


def test_a_network_that_measures_names_it(
    cascade: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(self: RandomConv3d, x: Tensor) -> Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(RandomConv3d, "forward", short)
    command = ("evaluate", cascade, *MEASURED, "--clips", 4, "--real-clips", 4, "--cache", tmp_path)
    require_one_line(vidgan(capsys, *command), "4 clips of", "network that measures", "--micro-batch 2 ")
    require_one_line(vidgan(capsys, *command, "--micro-batch", 1), "no smaller pass", "--frames", "--device")


def test_at_least_one_is_made(cascade: Path, tmp_path: Path, capsys: Capture) -> None:
    words = "--micro-batch must be at least 1"
    for value in (0, -2):
        command = ("sample", cascade, "--out", tmp_path / "x", "--micro-batch", value)
        require_one_line(vidgan(capsys, *command), words)
        require_one_line(vidgan(capsys, "evaluate", cascade, *MEASURED, "--micro-batch", value), words)
        with pytest.raises(UserError, match="at least one video"):
            library.load(cascade, micro_batch=value).sample(1)
    with pytest.raises(UserError, match="set its micro_batch"):
        library.evaluate(library.load(cascade), "synthetic", micro_batch=2)


@pytest.mark.slow
def test_training_names_what_helps_besides_a_step(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples need fewer clips at a time, or are left out; the statistics of a finished model are not."""
    fits, makes = [1], sampler.sample_window

    def limited(levels: object, noise: object, embed: object, start: Tensor, *more: object) -> Tensor:
        if len(start) > fits[-1]:
            raise FULL
        return makes(levels, noise, embed, start, *more)  # type: ignore[arg-type]

    def short(*args: object) -> None:
        raise FULL

    monkeypatch.setattr(sampler, "sample_window", limited)
    run, fewer = tmp_path / "run", "--training.standing-statistics.at-once"
    command = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--out", run)
    answer = vidgan(capsys, *command, "--steps", 1)
    require_one_line(
        answer, "out of memory in samples or an evaluation", f"resume with {fewer} 1,", "1 is saved"
    )
    fits.append(0)
    command += ("--resume", fewer, 1)
    answer = vidgan(capsys, *command, "--steps", 2)
    require_one_line(answer, "resume with --reporting.samples none", "2 is saved")
    monkeypatch.setattr(standing, "pass_in_pieces", short)
    answer = vidgan(capsys, *command, "--steps", 3, "--reporting.samples", "none")
    require_one_line(answer, "out of memory in standing statistics", "fewer frames")
    monkeypatch.undo()
    before = sorted(path.name for path in (run / "samples").rglob("level1-*"))
    answer = vidgan(capsys, *command, "--steps", 3, "--reporting.samples", "none")
    assert answer.status == 0, answer.err
    assert sorted(path.name for path in (run / "samples").rglob("level1-*")) == before == []


@pytest.mark.slow
def test_a_finished_run_is_sampled_as_its_processes_had_room(tmp_path: Path) -> None:
    """By those of its latest start, of which a saved model knows."""
    experiment = batched(experiment_of("demo"), 16)
    run = untrained(tmp_path / "run", experiment)
    assert library.load(run.path).at_once() == 16
    for processes, clips in ((8, 2), (4, 4)):
        run.resume(run.experiment, [], processes)
        model = library.load(run.path)
        assert model.sampler().at_once == model.at_once() == clips
    model.save(tmp_path / "saved")
    assert library.load(tmp_path / "saved").at_once() == 4
    assert library.load(tmp_path / "saved", micro_batch=9).at_once() == 9
