"""Training with compiled networks is training; what compiles them here only checks that each is one graph."""

import copy
import inspect
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import catalog
import runs
import steps
import vidgan
from commands import TINY, require_one_line
from commands import vidgan as command
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment
from vidgan.run.graphs import APART
from vidgan.run.tiny import tiny
from vidgan.sample.folded import FoldedModel
from vidgan.train import compiled

BRIEF = "demo-prediction-variety"


def kinds() -> list[object]:
    """Every kind of preset, level by level, or all levels together; in `make test` one, forward alone."""
    rounds = [(each, index) for each in catalog.structures().values() for index in each.rounds]
    traced = [
        pytest.param(each, index, "aot_eager", id=f"{each.name} {index + 1}", marks=pytest.mark.long)
        for each, index in rounds
    ]
    return [*traced, pytest.param(catalog.structures()[BRIEF], 0, "eager", id="forward alone")]


def compile_by(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are traced and run by PyTorch, with no compiler behind them: "aot_eager" traces backward passes, too."""
    torch.compiler.reset()
    monkeypatch.setattr(compiled.torch, "compile", partial(torch.compile, backend=backend))


def switched(experiment: Experiment, on: bool) -> Experiment:
    return experiment.replace(training=experiment.training.replace(compile=on))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("experiment", "index", "backend"), kinds())
def test_compiled_steps_are_the_steps(
    experiment: Experiment, index: int, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In passes of two clips and of one; statistics would be shared, if there were other processes."""
    compile_by(backend, monkeypatch)
    experiment = steps.one_discriminator_update(experiment.for_classes(2))
    batch = BatchSpec(global_batch=3, micro_batch=2, sync_batch_norm=True)
    experiment = experiment.replace(training=experiment.training.replace(batch=batch))
    states = [steps.level_state(switched(experiment, on), index) for on in (False, True)]
    states[1].level.load_state_dict(copy.deepcopy(states[0].level.state_dict()))
    for _ in range(2):
        plain, ours = map(steps.run_step, states)
        for name, value in plain.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=1e-10)
    for name, value in states[0].level.state_dict().items():
        torch.testing.assert_close(states[1].level.state_dict()[name], value, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("traced", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_run_may_be_resumed_compiled_and_plain(
    traced: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    if traced:
        compile_by("aot_eager", monkeypatch)
    else:  # tracing takes most of a minute
        stand_in = lambda function, **options: called.append(function.__name__) or function  # noqa: E731
        monkeypatch.setattr(compiled.torch, "compile", stand_in)
    words = ("train", "demo", *TINY, "--out", tmp_path / "run")
    for number, on in enumerate(("False", "True"), 1):
        resume = ["--resume"] if number > 1 else []
        answer = command(capsys, *words, "--steps", number, "--training.compile", on, *resume)
        assert answer.status == 0, answer.err
        assert ("networks are compiled" in answer.out + answer.err) == (on == "True")
    assert traced or called == ["generate_fake", "features"]


class Passes(nn.Module):
    """What is compiled of a level, in small."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def generate_fake(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def features(self, x: Tensor) -> Tensor:
        return self.layer(x).relu()


@pytest.mark.slow
@pytest.mark.skipif(APART not in inspect.signature(torch.compile).parameters, reason="torch before 2.13")
def test_levels_and_runs_of_a_process_count_their_graphs_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three levels with passes of two sizes make twelve graphs of one method; torch allows eight."""
    compile_by("eager", monkeypatch)
    for width in range(2, 12):
        level = Passes(width)
        compiled.compile_passes(level, shared=False)  # type: ignore[arg-type]
        x = torch.ones(2, width)
        with torch.no_grad():
            fake = level.generate_fake(x)
        torch.testing.assert_close(level.features(fake), level.layer(level.layer(x)).relu())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["demo-cascade", pytest.param("trivd-gan-fp-k600-16x64", marks=pytest.mark.long)],
    ids=["a cascade", "units that warp, given frames"],
)
def test_compiled_samples_are_the_samples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole graphs of every level; seven clips are two passes of three, and one of a clip."""
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    data = SyntheticDataset(SyntheticSpec(size=64, frames=24))
    runs.untrained(tmp_path / "run", tiny(vidgan.preset(name)).for_classes(len(data.classes)))
    models = [vidgan.load(tmp_path / "run", data=data) for _ in range(2)]
    made = []
    for model in models:
        model.micro_batch, model.compile = 3, model is models[1]
        (level, *_) = model.experiment.levels
        if level.context_frames:
            made.append(model.predict(torch.zeros(level.context_frames, 3, level.size, level.size), 7))
        else:
            made.append(model.sample(7))
    torch.testing.assert_close(*made, rtol=1e-5, atol=1e-5)
    assert all("generate" not in vars(level.generator) for level in models[1].sampler().levels)


@pytest.mark.long
@pytest.mark.slow
def test_a_compiled_sampler_takes_many_numbers_of_clips_and_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More graphs than the eight that torch allows; constants are folded into the plain generator."""
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    runs.untrained(tmp_path / "run", tiny(vidgan.preset("demo")))
    plain, model = (vidgan.load(tmp_path / "run") for _ in range(2))
    model.micro_batch, model.compile = 16, True
    for count in range(1, 11 if APART in inspect.signature(torch.compile).parameters else 8):
        made = model.sample(count)
        torch.testing.assert_close(made, plain.sample(count), rtol=1e-5, atol=1e-5)
    folded = [FoldedModel(each.sampler().levels) for each in (plain, model)]
    for ours, theirs in zip(folded[1].state_dict().items(), folded[0].state_dict().items(), strict=True):
        assert ours[0] == theirs[0]
        torch.testing.assert_close(ours[1], theirs[1])


@pytest.mark.slow
def test_the_command_compiles_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    stand_in = lambda function, **options: called.append(function.__name__) or function  # noqa: E731
    monkeypatch.setattr(torch, "compile", stand_in)
    runs.untrained(tmp_path / "run", tiny(vidgan.preset("demo")))
    words = ("sample", tmp_path / "run", "--out", tmp_path / "made", "--clips", 1, "--format", "gif")
    assert command(capsys, *words).status == 0
    assert called == []
    assert command(capsys, *words, "--compile").status == 0
    assert called == ["generate"]
    require_one_line(command(capsys, *words[:4], "--compile", "--chunk", 4, "--format", "mp4"), "--chunk")


def test_without_a_compiler_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = switched(vidgan.preset("demo"), True)
    runs.untrained(tmp_path / "run", tiny(vidgan.preset("demo")))
    model = vidgan.load(tmp_path / "run")
    model.compile = True
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(vidgan.UserError, match=r"needs a C\+\+ compiler"):
        vidgan.Trainer(tiny(experiment), "synthetic", workers=0)
    with pytest.raises(vidgan.UserError, match=r"generators needs a C\+\+ compiler"):
        model.sample(1)
