"""What a step's operations grow with, against formulas of the layers and steps that really compute."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import catalog
from vidgan.models.costs import named_networks
from vidgan.nn.layers import Embedding, WeightLayer
from vidgan.nn.recurrent.unit import every_step_anew
from vidgan.presets import preset
from vidgan.run.experiment import Experiment
from vidgan.train.operations import Operations, counted
from vidgan.train.plan import META, DryRun, batched, plainly, plan_level, update_flops

CPU = torch.device("cpu")
CLIPS = 5


def penalty(experiment: Experiment, index: int) -> int:
    """||W W^T||^2 of every weight (out, rest), by its smaller Gram matrix, and its gradient: two products with it."""
    if not experiment.training.orthogonal_penalty:
        return 0
    total = 0
    for name, network in named_networks(DryRun(batched(experiment, 1), index, META).state.level):
        for layer in network.modules():
            if name == "generator" and isinstance(layer, WeightLayer) and not isinstance(layer, Embedding):
                rows = layer.weight.shape[0]
                small, large = sorted((rows, layer.weight.numel() // rows))
                total += 2 * (2 * small * small * large)
    return total


def computed(experiment: Experiment, index: int, clips: int) -> int:
    """Operations of a step on the CPU, counted as they are done without folding or sharing."""
    dry_run = DryRun(batched(plainly(experiment), clips), index, CPU)
    with every_step_anew(), FlopCounterMode(display=False) as counter:
        dry_run.step()
    return counter.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("dvd-gan-k600-12x64", 0),
        ("trivd-gan-fp-k600-16x64", 0),
        pytest.param("ssw-gan-k600-48x128", 1, marks=pytest.mark.long),
    ],
)
def test_a_step_does_what_is_counted(name: str, index: int) -> None:
    """The penalty once for all clips, everything else for each."""
    experiment = catalog.experiments()[name]
    plan = plan_level(experiment, index)
    assert plan.flops.fixed == penalty(experiment, index)
    assert plan.flops.of(CLIPS) == computed(experiment, index, CLIPS)
    assert [update.flops.fixed for update in plan.updates] == [0, plan.flops.fixed]


@pytest.mark.slow
def test_the_penalty_at_full_size() -> None:
    experiment = preset("dvd-gan-k600-12x64")
    discriminators, generator = update_flops(experiment, 0)
    assert discriminators.fixed == 0
    assert generator.fixed == penalty(experiment, 0) == 675_998_680_064


def test_processes_share_clips_and_each_does_what_is_fixed() -> None:
    assert Operations(per_clip=7, fixed=100).of(8) == 156
    assert Operations(per_clip=7, fixed=100).of(8, processes=4) == 456
    weight = torch.zeros(3, 5, device="meta")

    def work(clips: int) -> None:
        torch.zeros(clips, 3, device="meta") @ weight
        weight @ weight.t()

    assert counted(work) == Operations(per_clip=2 * 3 * 5, fixed=2 * 3 * 5 * 3)
