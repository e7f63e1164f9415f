"""Lessons of the class margin: which clips they take, and what they change."""

import itertools
from pathlib import Path

import pytest
import torch

from commands import vidgan
from steps import CPU, batched, level_state, real_batch
from vidgan.errors import UserError
from vidgan.models.class_margin import ClassMargin
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path, load
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.train.batches import Randomness, data_indices
from vidgan.train.lessons import give_lesson
from vidgan.train.loop import Meter
from vidgan.train.replicas import Replicas

CLIPS = 4


def with_margin(margin: ClassMargin) -> Experiment:
    experiment = batched(tiny(preset("demo")), CLIPS)
    return experiment.replace(training=experiment.training.replace(class_margin=margin))


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5])
def test_every_clip_is_read_once_and_a_resumed_run_goes_on_with_the_next(step: int) -> None:
    training = with_margin(ClassMargin(weight=1.0, until=3, lessons=2)).training
    read = sum((2 if earlier < 3 else 0) + training.critic_updates for earlier in range(step))
    found = list(itertools.islice(data_indices(training, Replicas(), step), 3))
    assert [list(items) for items in found] == [
        list(range(n * CLIPS, (n + 1) * CLIPS)) for n in range(read, read + 3)
    ]
    assert training.lessons_at(step) == (2 if step < 3 else 0)


def test_a_lesson_is_one_update_of_the_pupil_by_the_margin_alone() -> None:
    margin = ClassMargin(weight=8.0, until=1, lessons=1, pupils=("frames",))
    experiment = with_margin(margin)
    state = level_state(experiment, 0)
    real = real_batch(experiment, state, 0, torch.float64)
    batch = Randomness(experiment.training, 0, state.level, Replicas()).micros(0, 2, real, None, CPU)
    (micro,) = batch
    before = {name: tensor.clone() for name, tensor in state.level.state_dict().items()}

    pupil = state.level.critic("frames")
    (h,) = pupil.features([micro.real], [micro.real_draws["frames"]])
    nearness = h.mean(1) @ pupil.head.embed(torch.arange(experiment.classes)).T
    short = [
        torch.relu(margin.margin - nearness[b, y] + nearness[b, other])
        for b, y in enumerate(micro.real.label.tolist())
        for other in range(experiment.classes)
        if other != y
    ]
    named = dict(pupil.named_parameters())
    gradients = torch.autograd.grad(torch.stack(short).mean(), list(named.values()), allow_unused=True)

    give_lesson(state.level, state.optimisers, experiment.training, batch, Replicas())
    after = state.level.state_dict()
    adam, moved = experiment.training.adam, 0
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        old = before[f"critics.frames.{name}"]
        if gradient is None:  # the class-free score has no part in it
            assert torch.equal(parameter, old), name
            continue
        # Kingma and Ba 2014, algorithm 1: the first step with beta1 = 0 is that of the gradient over its size.
        expected = old - adam.critic_rate * gradient / (gradient.abs() + adam.epsilon)
        torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-9)
        moved += int((parameter != old).any())
    assert moved > 5
    others = [name for name in before if not name.startswith("critics.frames.")]
    assert others
    assert all(torch.equal(after[name], before[name]) for name in others)


def test_lessons_for_a_critic_that_is_not_there_are_refused() -> None:
    margin = ClassMargin(weight=1.0, until=1, lessons=1, pupils=("clips",))
    with pytest.raises(UserError, match="lessons for clips, but level 1 has clip, frames"):
        with_margin(margin)


def test_a_loss_that_ends_between_two_ticks_is_the_mean_of_the_steps_that_had_it() -> None:
    meter = Meter()
    meter.add({"loss/critics": torch.tensor(1.0), "loss/class_margin": torch.tensor(4.0)})
    meter.add({"loss/critics": torch.tensor(2.0)})
    assert meter.take(Replicas()) == {"loss/critics": 1.5, "loss/class_margin": 4.0}
    assert meter.take(Replicas()) == {}


@pytest.mark.slow
def test_a_run_resumed_between_lessons_ends_as_the_uninterrupted_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lessons = ("--training.class-margin.lessons", 2, "--training.class-margin.until", 3)
    train = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, *lessons)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for out, steps, more in ((whole, 4, ()), (broken, 2, ()), (broken, 4, ("--resume",))):
        answer = vidgan(capsys, *train, "--steps", steps, "--out", out, *more)
        assert answer.status == 0, answer.err
    ends = [load(checkpoint_path(out / "checkpoints", 1, 4)).tensors for out in (whole, broken)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())
