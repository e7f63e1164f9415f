"""Updates of a step that share videos of the level below: which, of what classes, for how long, and what it saves."""

import re
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import catalog
import steps
from cascades import GRU, SEPARABLE, frozen_level, level_spec
from vidgan.errors import UserError
from vidgan.models.discriminator import BodySpec
from vidgan.models.known_shapes import operations
from vidgan.models.level import Level
from vidgan.models.losses import RelativeHingeSpec
from vidgan.models.views import DiscriminatorInput
from vidgan.presets import preset
from vidgan.run.batch import BatchSpec, Share
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, TrainingSpec
from vidgan.spec import SpecError
from vidgan.train.levels_below import BelowSource, levels_below
from vidgan.train.lower_videos import LowerVideos
from vidgan.train.memory import short_of_memory
from vidgan.train.plan import (
    META,
    DryRun,
    LiveTensors,
    batched,
    plainly,
    plan_level,
    plan_lower,
    step_flops,
    update_flops,
)
from vidgan.train.state import TrainState
from vidgan.train.step import (
    micro_batches,
    training_step,
    update_discriminators,
    update_generator,
)

CLIPS, MICRO, UPDATES = 4, 2, 2


def cascade(uses: int) -> Experiment:
    body = BodySpec(width=4, channels=(1, 2))
    low, high = (
        level.replace(discriminators=tuple(each.replace(body=body) for each in level.discriminators))
        for level in (level_spec(6, 4, 2, GRU), level_spec(12, 8, 1, SEPARABLE, window=4))
    )
    batch = BatchSpec(global_batch=CLIPS, micro_batch=MICRO)
    training = TrainingSpec(seed=3, batch=batch, bf16=False, discriminator_updates=UPDATES, average=None)
    return Experiment(
        name="x", levels=(low, high.replace(lower_video_uses=uses)), classes=3, training=training
    )


def state_of(uses: int, replicas: Replicas = Replicas()) -> TrainState:
    experiment = cascade(uses)
    state = TrainState(experiment, 1, steps.CPU, replicas)
    low = frozen_level(experiment.levels, 0)
    low.generator.float()
    state.below = levels_below(experiment, [low])
    return state


def reals_of(state: TrainState) -> list[DiscriminatorInput]:
    """Real clips of a step, of other classes in each update; a process's share."""
    reals = []
    for update in range(UPDATES):
        rng = torch.Generator().manual_seed(10 * state.steps + update)
        clip = torch.rand((CLIPS, 4, 3, 16, 16), generator=rng) * 2 - 1
        label = (torch.arange(CLIPS) + update) % 3
        reals.append(steps.share(state.level.real_input(clip, label, False), state.replicas))
    return reals


Seen = list[tuple[Tensor, Tensor, Tensor]]


def fakes_of(state: TrainState, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Class, lower video and noise of every fake micro-batch of a step."""
    seen: Seen = []
    real = Level.generate_fake

    def recorded(self: Level, like: DiscriminatorInput, z: Tensor, below: Tensor, *more: Any) -> Any:
        seen.append((like.label.clone(), below.clone(), z.clone()))
        return real(self, like, z, below, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Level, "generate_fake", recorded)
        training_step(state, reals_of(state))
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("uses", [1, 2, 3])
def test_updates_share_what_the_first_of_them_makes(uses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The video that the source makes of its step, update and real classes; noise is of each update's own."""
    state, source = state_of(uses), state_of(uses).below
    assert source is not None
    groups = {1: (0, 1, 2), 2: (0, 0, 2), 3: (0, 0, 0)}[uses]
    for step in range(2):
        labels = [real.label for real in reals_of(state)]
        labels.append(labels[-1])  # the generator's, of the last real batch
        seen, noises = iter(fakes_of(state, monkeypatch)), set()
        for first in groups:
            for row in range(0, CLIPS, MICRO):
                label, below, z = next(seen)
                expected = labels[first][row : row + MICRO]
                assert torch.equal(label, expected)
                assert torch.equal(below, source(expected, step, first, row))
                noises.add(tuple(z.flatten().tolist()))
        assert next(seen, None) is None
        assert len(noises) == 3 * CLIPS // MICRO


@pytest.mark.slow
def test_one_use_trains_as_updates_apart_do() -> None:
    """Bit for bit."""
    whole, apart = state_of(1), state_of(1)
    for step in range(2):
        training_step(whole, reals_of(whole))
        reals = reals_of(apart)
        apart.set_rates()
        for update, real in enumerate(reals):
            update_discriminators(apart, micro_batches(apart, real, update))
        update_generator(apart, micro_batches(apart, reals[-1], UPDATES))
        apart.steps = step + 1
    require_equal(whole, apart)


def test_a_fake_is_scored_under_its_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    state, seen = state_of(3), list[list[int]]()
    real = Level.score

    def recorded(self: Level, features: Any, label: Tensor) -> Any:
        seen.append(label.tolist())
        return real(self, features, label)

    monkeypatch.setattr(Level, "score", recorded)
    training_step(state, reals_of(state))
    first, second = ([[update, update + 1], [(update + 2) % 3, update]] for update in (0, 1))
    # Real and fake of each micro-batch of both updates of the discriminators, then the generator's fakes.
    assert seen == [first[0], first[0], first[1], first[1], second[0], first[0], second[1], first[1], *first]


@pytest.mark.slow
@pytest.mark.parametrize("done", [1, 2])
def test_resumed_at_any_step_as_if_never_stopped(done: int) -> None:
    """Nothing is shared across steps, so a checkpoint has nothing of it."""
    whole, before, after = (state_of(2) for _ in range(3))
    for _ in range(3):
        training_step(whole, reals_of(whole))
    for _ in range(done):
        training_step(before, reals_of(before))
    after.restore({name: tensor.clone() for name, tensor in before.tensors().items()}, done)
    for _ in range(3 - done):
        training_step(after, reals_of(after))
    require_equal(whole, after)


def require_equal(one: TrainState, other: TrainState) -> None:
    expected, found = one.tensors(), other.tensors()
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_processes_share_the_same_videos() -> None:
    """Two processes see the rows of one, in every update."""

    def rows(replicas: Replicas) -> list[tuple[Tensor, Tensor]]:
        state = state_of(2, replicas)
        assert state.below is not None
        lower = LowerVideos.of_step(state, state.below)
        reals = reals_of(state)
        found = []
        for update, real in enumerate([*reals, reals[-1]]):
            micros = micro_batches(state, real, update, lower)
            videos = [video for micro in micros if (video := micro.below()) is not None]
            found.append((torch.cat([micro.label for micro in micros]), torch.cat(videos)))
        return found

    whole, parts = rows(Replicas()), [rows(Replicas(rank, 2)) for rank in range(2)]
    for (label, video), *shares in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([share[0] for share in shares]), label)
        torch.testing.assert_close(torch.cat([share[1] for share in shares]), video)


def test_a_video_is_gone_after_its_last_use() -> None:
    """Three uses, in a step of five updates, so three and two; a second micro-batch is kept beside the first."""
    made: list[weakref.ref[Tensor]] = []

    class Numbers(BelowSource):
        def __call__(self, label: Tensor, step: int, update: int, first: int) -> Tensor:
            video = torch.full((len(label),), 10.0 * update + first)
            made.append(weakref.ref(video))
            return video

    def living() -> int:
        return sum(video() is not None for video in made)

    lower, label = LowerVideos(Numbers(), step=0, updates=5, uses=3), torch.zeros(2, dtype=torch.int64)
    told: list[tuple[float, int]] = []
    for update in range(5):
        for first in (0, 2):
            told.append((float(lower.video(update, first, label)[0]), living()))
    values, kept = zip(*told, strict=True)
    assert values == (0, 2, 0, 2, 0, 2, 30, 32, 30, 32)
    assert kept == (1, 2, 2, 2, 1, 0, 1, 2, 1, 0)


def test_uses_that_there_are_not() -> None:
    for change, words in (
        (
            {"lower_video_uses": 4},
            r"levels\.1\.lower_video_uses \(of level 2\) is 4, but a step has 3 updates",
        ),
        ({"lower_video_uses": 0}, "at least 1"),
    ):
        low, high = cascade(1).levels
        with pytest.raises(SpecError, match=words):
            cascade(1).replace(levels=(low, high.replace(**change)))
    first, *others = cascade(1).levels
    with pytest.raises(
        SpecError, match=r"levels\.0\.lower_video_uses \(of level 1\) is 2, but that level is not fed"
    ):
        cascade(1).replace(levels=(first.replace(lower_video_uses=2), *others))
    with pytest.raises(
        SpecError, match=r"levels\.1\.lower_video_uses \(of level 2\) is 2, but that level is not fed"
    ):
        cascade(2).replace(joint=True)
    loss = catalog.experiments()["guide-pixel-loss-2-at-50k"].training.pixel_loss
    assert loss is not None
    training = cascade(2).training.replace(pixel_loss=loss)
    with pytest.raises(SpecError, match=r"training\.pixel_loss compares fakes with real clips of the same"):
        cascade(2).replace(training=training)
    first, second, *others = cascade(2).levels
    relative = second.replace(objective=RelativeHingeSpec())
    with pytest.raises(SpecError, match=r"levels\.1\.objective compares fakes with real clips of the same"):
        cascade(2).replace(levels=(first, relative, *others))
    cascade(1).replace(levels=(first, relative.replace(lower_video_uses=1), *others))


def shared(uses: int) -> Experiment:
    experiment = catalog.experiments()["demo-cascade"]
    low, high = experiment.levels
    training = experiment.training.replace(discriminator_updates=UPDATES)
    return experiment.replace(levels=(low, high.replace(lower_video_uses=uses)), training=training)


@pytest.mark.slow
def test_operations_of_a_plan_are_those_of_a_step() -> None:
    counted: list[int] = []
    for uses in (1, 2, 3):
        experiment = shared(uses)
        dry_run = DryRun(batched(plainly(experiment), 1), 1, META)
        with operations() as counter:
            dry_run.step()
        counted.append(counter.get_total_flops())
        assert plan_level(experiment, 1).flops.of(1) == counted[-1]
    first, second, third = counted
    assert first - second == second - third > 0


@pytest.mark.long
@pytest.mark.slow
def test_memory_of_a_plan_grows_by_what_waits() -> None:
    """Three of four clips, in micro-batches of one: measured in steps on a CPU."""
    most, plans = list[int](), [plan_level(shared(uses), 1) for uses in (1, 3)]
    for uses in (1, 3):
        experiment = steps.batched(shared(uses), CLIPS, micro_batch=1)
        with LiveTensors() as live:
            dry_run = DryRun(experiment, 1, steps.CPU)
            for _ in range(2):
                dry_run.step()
        most.append(live.most)
    low, high = shared(1).levels
    one = 4 * 3 * (high.trained_frames * low.frames // high.frames) * low.size**2
    share = Share(CLIPS, 1)
    assert plans[1].memory(share) - plans[0].memory(share) == 3 * one
    # Measured at the second micro-batch of the generator's update, when gradients are there and a video has gone.
    assert most[1] - most[0] == pytest.approx(2 * one, rel=0.1)
    assert plans[1].memory(Share(CLIPS, CLIPS)) == plans[0].memory(Share(CLIPS, CLIPS))


def rows_of_page() -> list[list[str]]:
    """Level, operations of a step, share of the levels below, with two and with three uses."""
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    table = page.split("| | TFLOP | of levels below |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row[0], marks=pytest.mark.long if at else ())
        for at, row in enumerate(rows_of_page())
    ],
)
def test_the_page_says_what_is_saved(row: list[str]) -> None:
    name, number = re.fullmatch(r"`(.*)` level (\d)", row[0]).groups()  # type: ignore[union-attr]
    index, experiment = int(number) - 1, preset(name)
    levels = tuple(
        level.replace(lower_video_uses=3 if at == index else 1) for at, level in enumerate(experiment.levels)
    )
    lower = plan_lower(experiment.replace(levels=levels), index)
    step, saved = step_flops(*update_flops(experiment, index), 2).per_clip, lower.flops
    found = [f"{(step - each * saved) / 1e12:.1f}" for each in range(3)]
    assert row[1:] == [found[0], f"{300 * saved / step:.0f} %", *found[1:]]


def test_the_memory_guard_names_it_where_no_micro_batch_helps() -> None:
    def said(uses: int, micro: int) -> str:
        experiment = cascade(uses)
        batch = experiment.training.batch.replace(micro_batch=micro)
        experiment = experiment.replace(training=experiment.training.replace(batch=batch))
        with pytest.raises(UserError) as caught, short_of_memory(experiment, 1, 1, 5):
            raise MemoryError
        return str(caught.value)

    option = "--levels.1.lower-video-uses 1"
    assert option in said(2, 1)
    assert option not in said(1, 1)
    assert option not in said(2, MICRO)
