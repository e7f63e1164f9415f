"""A batch in four micro-batches is the batch, wherever nothing is shared inside a batch."""

import pytest
import torch
from torch import Tensor

import catalog
import steps
from vidgan.models.discriminator import ProjectionSpec
from vidgan.nn.norm import BatchStatistics, RecordedStatistics, StandingStatistics
from vidgan.run.experiment import Experiment
from vidgan.train.state import TrainState

CLIPS = 4


def unmixed(experiment: Experiment) -> Experiment:
    """With projection heads: mixed projection joins the clips of a micro-batch, by design."""
    levels = tuple(
        level.replace(
            discriminators=tuple(
                discriminator.replace(head=ProjectionSpec()) for discriminator in level.discriminators
            )
        )
        for level in experiment.levels
    )
    return experiment.replace(levels=levels)


def standing_of(experiment: Experiment, index: int) -> StandingStatistics:
    recorded = RecordedStatistics()
    state = steps.level_state(experiment, index)
    for micro in steps.micro_batches(state)[0]:
        state.level.generate_fake(micro.real, micro.z, micro.below(), recorded)
    return StandingStatistics(recorded.averages())


def after_a_step(
    experiment: Experiment, index: int, micro_batch: int, statistics: StandingStatistics | BatchStatistics
) -> tuple[TrainState, dict[str, Tensor]]:
    cut = steps.batched(experiment, CLIPS, micro_batch=micro_batch)
    state = steps.level_state(cut, index, statistics=statistics)
    return state, steps.run_step(state)


NAMES = [
    pytest.param(name, index, marks=() if name == "demo" else pytest.mark.slow, id=f"{name} {index + 1}")
    for name, index in [
        ("demo", 0),
        ("dvd-gan-fp-k600-16x64", 0),
        ("trivd-gan-fp-k600-16x64", 0),
        ("ssw-gan-k600-48x128", 1),
    ]
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "index"), NAMES)
def test_four_micro_batches_are_one_batch_with_standing_statistics(name: str, index: int) -> None:
    experiment = steps.one_discriminator_update(steps.batched(unmixed(catalog.experiments()[name]), CLIPS))
    fixed = standing_of(experiment, index)
    whole, scalars = after_a_step(experiment, index, CLIPS, fixed)
    parts, partial = after_a_step(experiment, index, CLIPS // 4, fixed)
    assert steps.largest_difference(steps.gradients(parts), steps.gradients(whole)) < 1e-6
    assert partial.keys() == scalars.keys()
    for key, value in scalars.items():
        torch.testing.assert_close(partial[key], value, rtol=1e-7, atol=1e-9)
    assert any(g.abs().max() > 1e-6 for g in steps.gradients(whole).values())


@pytest.mark.slow
def test_micro_batches_have_batch_statistics_of_their_own() -> None:
    """The test above could not fail if statistics did not matter: here they are the micro-batches'."""
    experiment = steps.batched(unmixed(catalog.experiments()["demo"]), CLIPS)
    whole, _ = after_a_step(experiment, 0, CLIPS, BatchStatistics())
    parts, _ = after_a_step(experiment, 0, CLIPS // 2, BatchStatistics())
    assert steps.largest_difference(steps.gradients(parts), steps.gradients(whole)) > 1e-3


@pytest.mark.slow
def test_micro_batches_draw_the_numbers_of_the_whole_batch() -> None:
    experiment = steps.batched(catalog.experiments()["demo"], CLIPS)
    state = steps.level_state(experiment, 0)
    state.steps = 3
    (whole,) = steps.micro_batches(state)[1]
    state.experiment = steps.batched(experiment, CLIPS, micro_batch=1)
    cut = steps.micro_batches(state)[1]
    assert len(cut) == CLIPS
    torch.testing.assert_close(torch.cat([m.z for m in cut]), whole.z, rtol=0, atol=0)
    for name in whole.fake_draws:
        torch.testing.assert_close(torch.cat([m.fake_draws[name] for m in cut]), whole.fake_draws[name])
        torch.testing.assert_close(torch.cat([m.real_draws[name] for m in cut]), whole.real_draws[name])
    torch.testing.assert_close(torch.cat([m.real.clip for m in cut]), whole.real.clip, rtol=0, atol=0)
