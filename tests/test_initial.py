"""Starting from another run's weights: what fits is taken exactly, what does not is named."""

import json
from pathlib import Path

import pytest
import torch

import catalog
from commands import require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.run.checkpoints import checkpoint_path, load, save
from vidgan.run.directory import InitFrom, RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.sample.load import load as load_saved
from vidgan.tensor_file import State
from vidgan.train import begin
from vidgan.train.initial import start_from, take
from vidgan.train.state import TrainState

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")


def state_of(experiment: Experiment, seed: int) -> TrainState:
    return TrainState(experiment.replace(training=experiment.training.replace(seed=seed)), 0, CPU)


def test_the_same_model_takes_everything_but_adam() -> None:
    experiment = catalog.experiments()["demo"]
    one, other = state_of(experiment, 1), state_of(experiment, 2)
    assert one.average is not None
    with torch.no_grad():
        for parameter in one.average.module.parameters():  # an average of its own
            parameter.add_(1)
    transfer = take(other, State(one.tensors(), {}))
    assert transfer.share == 1
    assert transfer.other_shape == transfer.new == transfer.unused == ()
    expected, seen = one.tensors(), other.tensors()
    assert expected.keys() == seen.keys()
    assert all(torch.equal(expected[name], seen[name]) for name in expected)
    assert other.steps == 0


def test_what_does_not_fit_stays_and_is_named() -> None:
    experiment = catalog.experiments()["demo"]
    one, other = state_of(experiment.replace(classes=5), 1), state_of(experiment.replace(classes=2), 2)
    before = {name: tensor.clone() for name, tensor in other.level.state_dict().items()}
    theirs = one.level.state_dict()
    tensors = {f"level/{name}": tensor for name, tensor in theirs.items()}
    lost = next(name for name in before if name.endswith("to_pixels.weight"))
    tensors["level/strange"] = tensors.pop(f"level/{lost}")
    transfer = take(other, State(tensors, {}))
    after = other.level.state_dict()
    misfits = {name for name in before if before[name].shape != theirs[name].shape} | {lost}
    layers = {name.rpartition(".")[0] for name in misfits}  # whole or not at all
    equal = {name for name in before if name.rpartition(".")[0] not in layers}
    assert set(transfer.taken) == equal
    for name in before:
        assert torch.equal(after[name], theirs[name] if name in equal else before[name])
    assert transfer.new == (lost,)
    assert transfer.unused == ("strange",)
    by_classes = [text for text in transfer.other_shape if "(2" in text and "there 5" in text]
    assert len(by_classes) == len(transfer.other_shape) == len(misfits) - 1 > 0
    assert len(equal) < len(before) - len(misfits)  # their layers' other tensors stay too
    numbers = sum(before[name].numel() for name in equal) / sum(tensor.numel() for tensor in before.values())
    assert transfer.share == pytest.approx(numbers)
    words = transfer.words()
    for part in (
        f"{len(equal)} of {len(before)} tensors match",
        "of another shape",
        f"not there, so new: {lost}",
    ):
        assert part in words
    assert "\n" not in words


@pytest.mark.slow
def test_a_run_starts_from_another(tmp_path: Path, capsys: Capture) -> None:
    command = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0)
    one, two = tmp_path / "one", tmp_path / "two"
    frozen = ("--training.adam.generator-rate", 0.0, "--training.adam.discriminator-rate", 0.0)
    require_one_line(vidgan(capsys, *command, "--out", two, "--init-from", one), str(one), "not a run")
    assert vidgan(capsys, *command, "--out", one, "--steps", 1).status == 0
    options = ("--init-from", one, "--seed", 5, "--steps", 1, *frozen)
    answer = vidgan(capsys, *command, "--out", two, *options)
    assert answer.status == 0, answer.err
    assert "level 1 starts from level1-step00000001.safetensors" in answer.out
    assert "(100.0 % of the numbers)" in answer.out
    # At learning rates of 0, the weights after a step are those it started from.
    weights = [load(checkpoint_path(run / "checkpoints", 1, 1)).tensors for run in (one, two)]
    names = [name for name in weights[0] if name.startswith("level/") and name.endswith("weight")]
    assert len(names) > 10
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in names)
    record = json.loads((two / "experiment.json").read_text())
    assert record["init_from"] == {"run": str(one), "checkpoints": ["level1-step00000001.safetensors"]}
    # Killed before its first checkpoint, it starts from there again.
    for path in (two / "checkpoints").iterdir():
        path.unlink()
    again = vidgan(capsys, *command, "--out", two, "--resume", *options[2:])
    assert "level 1 starts from" in again.out
    # From an earlier checkpoint, as after an alarm.
    assert vidgan(capsys, *command, "--out", one, "--steps", 2, "--resume").status == 0
    early = vidgan(capsys, *command, "--out", tmp_path / "early", *options, "--init-checkpoint", 1)
    assert "level 1 starts from level1-step00000001.safetensors" in early.out
    require_one_line(
        vidgan(capsys, *command, "--out", tmp_path / "y", *options, "--init-checkpoint", 7), "step 7", "1, 2"
    )
    require_one_line(vidgan(capsys, *command, "--out", tmp_path / "y", "--init-checkpoint", 1), "--init-from")
    assert not (tmp_path / "y").exists()
    wide = vidgan(capsys, *command, "--out", tmp_path / "x", *options, "--levels.0.generator.width", 4)
    assert "of another shape" in wide.out


@pytest.mark.slow
def test_a_run_starts_from_a_saved_model(tmp_path: Path, capsys: Capture) -> None:
    command = ("train", "demo-cascade", "--tiny", "--data", "synthetic", "--workers", 0, "--steps", 1)
    one, two, saved = tmp_path / "one", tmp_path / "two", tmp_path / "saved"
    assert vidgan(capsys, *command, "--out", one).status == 0
    load_saved(one).save(saved)
    frozen = ("--training.adam.generator-rate", 0.0, "--training.adam.discriminator-rate", 0.0)
    answer = vidgan(capsys, *command, "--out", two, "--init-from", saved, "--seed", 5, *frozen)
    assert answer.status == 0, answer.err
    for level in (1, 2):
        assert f"level {level} starts from weights.safetensors of {saved}" in answer.out
        theirs = load(checkpoint_path(one / "checkpoints", level, 1)).tensors
        own = load(checkpoint_path(two / "checkpoints", level, 1)).tensors
        names = [name.removeprefix("average/") for name in theirs if name.startswith("average/")]
        assert len(names) > 10
        for name in names:  # of the generator, and of its average; singular vectors go on
            if name.endswith(("weight", "bias")):
                assert torch.equal(own[f"level/generator.{name}"], theirs[f"average/{name}"]), name
                assert torch.equal(own[f"average/{name}"], theirs[f"average/{name}"]), name
        heads = [name for name in own if name.startswith("level/discriminators") and name.endswith("weight")]
        assert any(not torch.equal(own[name], theirs[name]) for name in heads)
    other = ("--out", tmp_path / "x", "--init-from", saved)
    require_one_line(vidgan(capsys, *command, *other, "--init-checkpoint", 1), "one set of weights")
    weights = saved / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    require_one_line(vidgan(capsys, *command, *other), "weights.safetensors")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_start_that_is_refused_leaves_the_folder_free(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--steps", 1)
    one, two = tmp_path / "one", tmp_path / "two"
    assert vidgan(capsys, *command, "--out", one).status == 0

    def refuse(*_: object) -> str:
        raise UserError("nothing of it fits")

    with monkeypatch.context() as changed:
        changed.setattr(begin, "start_from", refuse)
        require_one_line(vidgan(capsys, *command, "--out", two, "--init-from", one), "nothing of it fits")
    assert not (two / "experiment.json").exists()
    assert vidgan(capsys, *command, "--out", two).status == 0
    # What has been trained is never taken away.
    before = (two / "experiment.json").read_bytes()
    RunDirectory.open(two).withdraw()
    assert (two / "experiment.json").read_bytes() == before


def test_a_run_without_an_average_gives_its_weights_to_the_average() -> None:
    experiment = catalog.experiments()["demo"]
    plain = experiment.replace(training=experiment.training.replace(average=None))
    one, other = state_of(plain, 1), state_of(experiment, 2)
    take(other, State(one.tensors(), {}))
    assert other.average is not None
    theirs = one.level.generator.state_dict()
    assert all(torch.equal(theirs[name], own) for name, own in other.average.module.state_dict().items())


def test_a_level_starts_from_the_same_level(tmp_path: Path) -> None:
    experiment = catalog.experiments()["demo-cascade"]
    states = [TrainState(experiment, index, CPU) for index in (0, 1)]
    (tmp_path / "checkpoints").mkdir()
    names = tuple(f"level{number}-step00000003.safetensors" for number in (1, 2))
    for state, name in zip(states, names, strict=True):
        save(tmp_path / "checkpoints" / name, State(state.tensors(), {}))
    origin = InitFrom(str(tmp_path), names)
    other = experiment.replace(training=experiment.training.replace(seed=5))
    for index, state in enumerate(states):
        started = TrainState(other, index, CPU)
        said = start_from(started, origin)
        assert said.startswith(f"level {index + 1} starts from {names[index]} of")
        expected = state.level.state_dict()
        assert all(torch.equal(own, expected[name]) for name, own in started.level.state_dict().items())
    before = TrainState(other, 1, CPU)
    assert "at random" in start_from(before, InitFrom(str(tmp_path), names[:1]))
