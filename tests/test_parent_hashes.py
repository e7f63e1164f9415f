"""A level of a cascade is resumed only upon the weights it was trained upon."""

import json
from pathlib import Path

import pytest
import torch

from commands import require_one_line, snapshot, vidgan
from runs import cascade
from vidgan.errors import UserError
from vidgan.models.generator import Generator
from vidgan.presets import preset
from vidgan.run.checkpoints import (
    LoadedCheckpoint,
    State,
    checkpoint_path,
    load,
    parent_hashes,
    require_below_stays,
    require_same_below,
    save,
)
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny

Capture = pytest.CaptureFixture[str]


def of_steps(experiment: Experiment, steps: int) -> Experiment:
    return experiment.replace(training=experiment.training.replace(steps=steps))


def lower_level() -> Generator:
    level = tiny(preset("ssw-gan-k600-48x128")).levels[0]
    generator = level.build_generator(3)
    for parameter in generator.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    return generator


def found(below: list[str]) -> LoadedCheckpoint:
    return LoadedCheckpoint(Path("level2-step00000004.safetensors"), State({}, {"below": below}), [])


def test_weights_are_compared_bit_by_bit() -> None:
    lower = lower_level()
    then = found(parent_hashes([lower]))
    require_same_below(then, [lower])
    require_same_below(LoadedCheckpoint(then.path, State({}, {}), []), [])  # a first level has nothing below
    weight = next(lower.parameters())
    with torch.no_grad():
        weight.view(-1)[-1] = torch.nextafter(torch.tensor(0.5), torch.tensor(1.0))
    with pytest.raises(UserError, match="other weights of level 1"):
        require_same_below(then, [lower])
    with torch.no_grad():
        weight.view(-1)[-1] = 0.5
    require_same_below(then, [lower])


def test_the_level_that_changed_is_named() -> None:
    levels = [lower_level(), lower_level()]
    then = found([parent_hashes(levels)[0], "something else"])
    with pytest.raises(UserError, match=r"level 3: .* other weights of level 2"):
        require_same_below(then, levels)
    with pytest.raises(UserError, match="other weights of level 1"):
        require_same_below(found([]), levels)


def test_singular_vectors_are_not_compared() -> None:
    """They follow from the weights, and round differently on another device."""
    lower = lower_level()
    then = found(parent_hashes([lower]))
    buffers = dict(lower.named_buffers())
    assert any(name.endswith(".u") for name in buffers)
    for buffer in buffers.values():
        buffer.add_(1)
    require_same_below(then, [lower])


def test_steps_are_fixed_once_a_level_has_fed_another(tmp_path: Path) -> None:
    begun, not_begun = cascade(tmp_path / "a", 6, 4), cascade(tmp_path / "b", 6)
    for run in (begun, not_begun):
        require_below_stays(run, run.experiment)
    more = of_steps(begun.experiment, begun.experiment.training.steps + 1)
    require_below_stays(not_begun, more)
    with pytest.raises(
        UserError, match=f"resume with --levels.0.steps {begun.experiment.training.steps}, or remove"
    ):
        require_below_stays(begun, more)


@pytest.mark.slow
def test_a_cascade_resumes_upon_the_same_weights_only(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    train = ("train", "ssw-gan-k600-48x128", "--tiny", "--data", "synthetic", "--out", out, "--workers", 0)
    assert vidgan(capsys, *train, "--steps", 3).status == 0
    low, high = (checkpoint_path(out / "checkpoints", level, 3) for level in (1, 2))
    whole = load(high)
    manifest = json.loads((out / "manifest.json").read_text())
    assert len(whole.facts["below"]) == 1
    assert load(low).facts["below"] == []
    high.unlink()
    answer = vidgan(capsys, *train, "--steps", 3, "--resume")
    assert answer.status == 0, answer.err
    again = load(high)
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in whole.tensors.items())
    assert again.facts == whole.facts
    assert json.loads((out / "manifest.json").read_text()) == manifest

    before = snapshot(out)
    require_one_line(vidgan(capsys, *train, "--steps", 4, "--resume"), "--levels.0.steps 3", "level 2")
    assert snapshot(out) == before

    state = load(low)
    state.tensors["level/generator.start.weight"].view(-1)[0] += 1
    save(low, state)
    high.unlink()
    answer = vidgan(capsys, *train, "--steps", 3, "--resume")
    require_one_line(answer, "cannot resume level 2", "other weights of level 1")
    assert not high.exists()
