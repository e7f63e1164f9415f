"""Training with compiled networks is training; what compiles them here only checks that each is one graph."""

import copy
from functools import partial
from pathlib import Path

import pytest
import torch

import steps
import vidgan
from commands import vidgan as command
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.train import compiled

KINDS = {
    "frames, TSRU": (vidgan.preset("trivd-gan-fp-k600-16x64"), 0),
    "an upper level": (vidgan.preset("ssw-gan-k600-48x128"), 1),
}


@pytest.fixture(autouse=True)
def graphs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are traced and run by PyTorch, with no compiler behind them."""
    torch.compiler.reset()
    monkeypatch.setattr(compiled.torch, "compile", partial(torch.compile, backend="aot_eager"))


def switched(experiment: Experiment, on: bool) -> Experiment:
    return experiment.replace(training=experiment.training.replace(compile=on))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("experiment", "index"), KINDS.values(), ids=KINDS)
def test_compiled_steps_are_the_steps(experiment: Experiment, index: int) -> None:
    experiment = steps.one_discriminator_update(tiny(experiment).for_classes(2))
    states = [steps.level_state(switched(experiment, on), index) for on in (False, True)]
    states[1].level.load_state_dict(copy.deepcopy(states[0].level.state_dict()))
    for _ in range(2):
        plain, ours = map(steps.run_step, states)
        for name, value in plain.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=1e-10)
    for name, value in states[0].level.state_dict().items():
        torch.testing.assert_close(states[1].level.state_dict()[name], value, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.slow
def test_a_run_may_be_resumed_compiled_and_plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words: list[object] = [
        "train",
        "demo",
        "--tiny",
        "--data",
        "synthetic",
        "--workers",
        0,
        "--out",
        tmp_path / "run",
    ]
    for number, on in enumerate(("False", "True"), 1):
        resume = ["--resume"] if number > 1 else []
        answer = command(capsys, *words, "--steps", number, "--training.compile", on, *resume)
        assert answer.status == 0, answer.err
        assert ("networks are compiled" in answer.out + answer.err) == (on == "True")


def test_without_a_compiler_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = switched(vidgan.preset("demo"), True)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(vidgan.UserError, match=r"needs a C\+\+ compiler"):
        vidgan.Trainer(tiny(experiment), "synthetic", workers=0)
