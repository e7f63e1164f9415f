"""Levels that are trained together: windows by index, gradients and losses against the levels put together by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import steps
from catalog import random
from commands import require_one_line, vidgan
from vidgan.models.generator import from_below
from vidgan.models.joint import JointLevels, joint_name, levels_of
from vidgan.models.level import LevelSpec
from vidgan.models.views import DiscriminatorInput, FramesSpec
from vidgan.nn.norm import BatchStatistics
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path, load
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.sample.load import load_run
from vidgan.spec import SpecError
from vidgan.train.state import Optimisers, TrainState
from vidgan.train.step import update_generator

F64 = torch.float64
Capture = pytest.CaptureFixture[str]
JOINT = "ssw-gan-joint-12x64"
CLIPS = 3


def on_every_level(experiment: Experiment) -> Experiment:
    """Discriminators on both levels, and pairs on the second."""
    return experiment.replace(joint=True)


def three_levels() -> JointLevels:
    """Tiny levels of 4, 8 and 16 frames, 8 to 32 pixels; windows of 4 frames above the first."""
    experiment = tiny(preset("ssw-gan-bdd100k-100x128"))
    return JointLevels(experiment.levels, experiment.classes)


def numbered(level: JointLevels) -> DiscriminatorInput:
    """Real clips whose frames have the value 100 clip + frame everywhere."""
    top = level.spec
    values = 100.0 * torch.arange(CLIPS)[:, None] + torch.arange(top.frames)
    clip = values[:, :, None, None, None].expand(-1, -1, 3, top.size, top.size)
    return level.real_input(clip, torch.zeros(CLIPS, dtype=torch.int64), False)


def shown(clip: Tensor) -> list[list[int]]:
    assert (clip == clip[:, :, :1, :1, :1]).all()
    return clip[:, :, 0, 0, 0].int().tolist()


@pytest.mark.slow
def test_each_level_has_noise_of_its_own_dimension() -> None:
    levels = tiny(preset(JOINT)).levels
    sized = [
        level.replace(generator=level.generator.replace(latent=latent))
        for level, latent in zip(levels, (3, 5), strict=True)
    ]
    level = JointLevels(sized, 1)
    assert level.latent == 8
    real = level.at(numbered(level), level.places(CLIPS, torch.Generator()))
    fake = level.generate_fake(real, torch.zeros(CLIPS, 8), None, BatchStatistics())
    assert fake.clip.shape == real.clip.shape


def test_windows_of_real_clips_lie_within_each_other() -> None:
    level = three_levels()
    places = torch.tensor([[0, 0], [1, 2], [2, 1]])
    first, second, third = levels_of(level.at(numbered(level), places))
    assert [seen.clip.shape[-1] for seen in (first, second, third)] == [8, 16, 32]
    for clip, (low, high) in enumerate(places.tolist()):
        base = 100 * clip
        assert shown(first.clip)[clip] == [base + 4 * t for t in range(4)]
        assert shown(second.clip)[clip] == [base + 4 * low + 2 * t for t in range(4)]
        assert second.below is not None
        assert shown(second.below)[clip] == [base + 4 * (low + t) for t in range(2)]
        assert shown(third.clip)[clip] == [base + 4 * low + 2 * high + t for t in range(4)]
        assert third.below is not None
        assert shown(third.below)[clip] == [base + 4 * low + 2 * (high + t) for t in range(2)]


def test_places_are_all_that_there_are() -> None:
    """Windows of 2 frames in the 4 that are made below."""
    level = three_levels()
    places = level.places(400, torch.Generator().manual_seed(1))
    assert places.shape == (400, 2)
    assert [sorted(set(column.tolist())) for column in places.T] == [[0, 1, 2], [0, 1, 2]]
    assert not torch.equal(places[:, 0], places[:, 1])


def together(experiment: Experiment) -> tuple[TrainState, JointLevels, DiscriminatorInput, Tensor]:
    """The levels in float64 with windows of real clips and noise."""
    state = steps.level_state(experiment, len(experiment.levels) - 1)
    level = state.level
    assert isinstance(level, JointLevels)
    top: LevelSpec = level.spec
    clip = torch.tanh(random(CLIPS, top.frames, 3, top.size, top.size))
    whole = level.real_input(clip, torch.arange(CLIPS) % experiment.classes, False)
    real = level.at(whole, torch.tensor([[0], [2], [1]]))
    return state, level, real, random(CLIPS, level.latent, seed=5)


def by_hand(level: JointLevels, real: DiscriminatorInput, z: Tensor) -> list[Tensor]:
    """Both videos without the class: level 1 whole, level 2 from two frames of it."""
    low, high = level.levels
    first, second = z.split([low.latent, high.latent], dim=1)
    video = low.generator.generate(
        first, low.generator.embed_label(real.label), low.spec.frames, BatchStatistics()
    )
    assert real.start is not None
    given = torch.stack([video[b, s : s + 2] for b, s in enumerate(real.start.tolist())])
    made = high.generator.generate(
        second, high.generator.embed_label(real.label), 4, BatchStatistics(), from_below(given)
    )
    return [video, made]


def test_fakes_are_the_levels_in_a_row() -> None:
    _, level, real, z = together(tiny(preset(JOINT)))
    with torch.no_grad():
        fake = level.generate_fake(real, z, None, BatchStatistics())
        videos = by_hand(level, real, z)
    for seen, video in zip(levels_of(fake), videos, strict=True):
        torch.testing.assert_close(seen.clip, video, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_the_last_output_trains_both_generators() -> None:
    """SSW-GAN, H: discriminators on the second stage alone; the gradient passes through it, as autograd has
    it by hand."""
    experiment = steps.batched(tiny(preset(JOINT)), CLIPS)
    state, level, real, z = together(experiment)
    assert list(level.discriminators) == ["level2_frames", "level2_clip"]
    draws = level.draws(CLIPS, torch.Generator().manual_seed(2))
    clip = by_hand(level, real, z)[1]
    top = level.levels[1]
    own = {name: draws[joint_name(1, name)] for name in top.discriminators}
    (scores,) = top.discriminate([DiscriminatorInput(clip, None, real.label)], [own])
    loss = -torch.cat([s.flatten(1) for s in scores], dim=1).mean()
    expected = torch.autograd.grad(loss, list(level.generator.parameters()), allow_unused=True)
    adam = torch.optim.SGD(level.generator.parameters(), lr=0.0)
    state.optimisers = Optimisers(adam, torch.optim.SGD(level.discriminators.parameters(), lr=0.0))
    micro = steps.MicroBatch(real, z, real.label, lambda: None, draws, draws)
    scalars = update_generator(state, [micro])
    torch.testing.assert_close(scalars["loss/generator"], loss.detach())
    below = [name for name, _ in level.levels[0].generator.named_parameters()]
    for (name, parameter), gradient in zip(level.generator.named_parameters(), expected, strict=True):
        assert gradient is not None, name
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in expected[: len(below)])


def test_discriminators_on_every_level_join_their_outputs() -> None:
    experiment = on_every_level(tiny(preset("ssw-gan-k600-48x128")))
    _, level, real, z = together(experiment)
    names = ["level1_frames", "level1_clip", "level2_frames", "level2_clip", "level2_matching"]
    assert list(level.discriminators) == names
    draws = level.draws(CLIPS, torch.Generator().manual_seed(3))
    with torch.no_grad():
        fake = level.generate_fake(real, z, None, BatchStatistics())
        on_real, on_fake = level.discriminate([real, fake], [draws, draws])
        assert len(on_real) == len(on_fake) == len(names)
        for seen, scores in ((real, on_real), (fake, on_fake)):
            for name, score in zip(names, scores, strict=True):
                index = int(name[len("level")]) - 1
                of_level = levels_of(seen)[index]
                (alone,) = level.discriminator(name).scores([of_level], [draws[name]])
                torch.testing.assert_close(score, alone)
        widths = [score.shape[1] for score in on_real]
        joined = torch.cat([s.flatten(1) for s in on_fake], dim=1)
        assert joined.shape == (CLIPS, sum(widths))
        torch.testing.assert_close(level.spec.objective.generator_loss(on_fake), -joined.mean())


def test_what_cannot_be_trained_together_is_refused() -> None:
    cascade = preset("ssw-gan-k600-48x128")
    first, second = cascade.levels
    bare = first.replace(discriminators=())
    with pytest.raises(SpecError, match="level 1 needs at least one discriminator"):
        cascade.replace(levels=(bare, second))
    with pytest.raises(SpecError, match="level 2 needs at least one discriminator"):
        preset(JOINT).replace(levels=(bare, second.replace(discriminators=())))
    with pytest.raises(SpecError, match="same number of steps"):
        cascade.replace(levels=(first.replace(steps=3), second), joint=True)
    with pytest.raises(SpecError, match="two levels or more"):
        preset("demo").replace(joint=True)


def test_the_preset_of_h() -> None:
    """32x32/6, then 64x64/6 from windows of 3, on two discriminators of the second stage; 64x64/12 when unrolled."""
    experiment = preset(JOINT)
    low, high = experiment.levels
    assert experiment.joint
    assert (low.frames, low.size, low.discriminators) == (6, 32, ())
    assert (high.frames, high.size, high.window) == (12, 64, 6)
    assert [discriminator.name for discriminator in high.discriminators] == ["frames", "clip"]
    assert high.discriminators[0].view == FramesSpec(k=6)


@pytest.mark.slow
def test_joint_training_resumes_samples_and_evaluates(tmp_path: Path, capsys: Capture) -> None:
    train = ("train", JOINT, "--tiny", "--data", "synthetic", "--workers", 0, "--reporting.samples", 9)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert vidgan(capsys, *train, "--out", whole, "--steps", 2).status == 0
    assert vidgan(capsys, *train, "--out", broken, "--steps", 1).status == 0
    answer = vidgan(capsys, *train, "--out", broken, "--steps", 2, "--resume")
    assert answer.status == 0, answer.err
    assert "resumes at step 1" in answer.out
    expected, found = (load(checkpoint_path(run / "checkpoints", 2, 2)) for run in (whole, broken))
    assert found.facts == expected.facts
    assert all(torch.equal(tensor, expected.tensors[name]) for name, tensor in found.tensors.items())
    assert (whole / "manifest.json").read_text() == (broken / "manifest.json").read_text()
    assert not list((whole / "checkpoints").glob("level1-*"))
    out = tmp_path / "clips"
    assert vidgan(capsys, "sample", whole, "--out", out, "--clips", 2, "--checkpoint", 1).status == 0
    model = load_run(RunDirectory.open(whole))
    (video,) = model.sample(1, [1], seed=3)
    parts = list(model.stream(0, 3, [1], seed=3))
    assert len(parts) > 2
    torch.testing.assert_close(torch.cat(parts), video, rtol=0, atol=1e-5)
    args = ("--out", tmp_path / "long", "--clips", 1, "--frames", 2 * len(video), "--chunk", 3)
    answer = vidgan(capsys, "sample", whole, *args)
    assert answer.status == 0, answer.err
    answer = vidgan(capsys, "evaluate", whole, "--protocol", "pixel-statistics", "--clips", 3)
    assert answer.status == 0, answer.err
    assert vidgan(capsys, "report", whole).status == 0
    answer = vidgan(capsys, *train, "--out", whole, "--steps", 2, "--level", 1, "--resume")
    require_one_line(answer, "trained together", "--level")
