"""Recomputed activations equal kept ones: outputs, gradients, and statistics that are counted once."""

import pytest
import torch
from torch import Tensor

import catalog
import steps
from vidgan.models.generator import Generator
from vidgan.nn.layers import Conv2d
from vidgan.nn.norm import BatchStatistics, RecordedStatistics, Statistics
from vidgan.run.experiment import Experiment

LEVELS = {f"{name} level {index + 1}": (name, index) for name, index, _ in catalog.each_level()}


def with_checkpointing(experiment: Experiment, on: bool) -> Experiment:
    levels = tuple(
        level.replace(generator=level.generator.replace(checkpointing=on)) for level in experiment.levels
    )
    return experiment.replace(levels=levels)


class Pass:
    """One forward and backward pass of a level's generator on fixed inputs."""

    def __init__(self, name: str, index: int, checkpointing: bool, statistics: Statistics) -> None:
        experiment = steps.batched(with_checkpointing(catalog.experiments()[name], checkpointing), 3)
        state = steps.level_state(experiment, index)
        micro = steps.micro_batches(state)[0][0]
        generator = state.level.generator
        assert generator.spec.checkpointing is checkpointing
        self.convolutions = count_convolutions(generator)
        z = micro.z.requires_grad_()
        fake = state.level.generate_fake(micro.real, z, micro.below(), statistics)
        self.video = fake.clip.detach()
        weights = torch.randn(fake.clip.shape, generator=torch.Generator().manual_seed(3))
        self.forward_calls = len(self.convolutions)
        (fake.clip * weights).sum().backward()
        assert z.grad is not None
        self.gradients: dict[str, Tensor] = {"z": z.grad} | {
            name: p.grad for name, p in generator.named_parameters() if p.grad is not None
        }


def count_convolutions(generator: Generator) -> list[int]:
    """A list that grows with every run of a convolution inside the stages."""
    calls: list[int] = []
    for module in generator.stages.modules():
        if isinstance(module, Conv2d):
            module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("level", catalog.few_first(LEVELS))
def test_recomputation_equals_keeping(level: str) -> None:
    name, index = LEVELS[level]
    plain = Pass(name, index, False, BatchStatistics())
    again = Pass(name, index, True, BatchStatistics())
    assert torch.equal(again.video, plain.video)
    assert again.gradients.keys() == plain.gradients.keys()
    for key, gradient in plain.gradients.items():
        torch.testing.assert_close(again.gradients[key], gradient, rtol=1e-9, atol=1e-10)
    # It did recompute: most convolutions ran again (each stage stops where it has all that is needed).
    assert plain.forward_calls == again.forward_calls == len(plain.convolutions) > 0
    assert 1.5 * again.forward_calls < len(again.convolutions) <= 2 * again.forward_calls


@pytest.mark.parametrize(("name", "index"), [("demo-prediction-variety", 0), ("demo-cascade", 1)])
def test_recomputation_does_not_move_singular_vectors(name: str, index: int) -> None:
    """What changed in ``forward`` would differ in the second forward pass."""
    experiment = steps.batched(with_checkpointing(catalog.experiments()[name], True), 3)
    state = steps.level_state(experiment, index)
    before = {n: b.clone() for n, b in state.level.named_buffers()}
    micro = steps.micro_batches(state)[0][0]
    state.level.generate_fake(micro.real, micro.z, micro.below(), BatchStatistics()).clip.sum().backward()
    for n, buffer in state.level.named_buffers():
        assert torch.equal(buffer, before[n]), n


@pytest.mark.parametrize("checkpointing", [False, True])
def test_standing_statistics_record_every_pass_once(checkpointing: bool) -> None:
    """They are taken without gradients, where nothing is recomputed; averages are those of the passes."""
    experiment = steps.batched(with_checkpointing(catalog.experiments()["demo"], checkpointing), 3)
    state = steps.level_state(experiment, 0)
    generator = state.level.generator
    joint, parts = RecordedStatistics(), []
    with torch.no_grad():
        for n in range(3):
            z = torch.randn((3, generator.spec.latent), generator=torch.Generator().manual_seed(n)).double()
            e = generator.embed_label(torch.arange(3))
            alone = RecordedStatistics()
            generator.generate(z * (1 + n), e, 4, joint)
            generator.generate(z * (1 + n), e, 4, alone)
            parts.append(alone.averages())
    averages = joint.averages()
    assert len(averages) > 0
    for key, value in averages.items():
        torch.testing.assert_close(value, torch.stack([part[key] for part in parts]).mean(0))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_recording_with_gradients_counts_a_pass_once(checkpointing: bool) -> None:
    """Two unlike passes, both with a backward pass: a pass that counted twice would pull the average."""
    experiment = steps.batched(with_checkpointing(catalog.experiments()["demo"], checkpointing), 3)
    state = steps.level_state(experiment, 0)
    generator = state.level.generator
    recorded = RecordedStatistics()
    expected: list[dict[str, Tensor]] = []
    for n, backward in enumerate((True, False)):
        z = torch.randn((3, generator.spec.latent), generator=torch.Generator().manual_seed(n)).double()
        z = (z * (1 + 3 * n)).requires_grad_()
        e = generator.embed_label(torch.arange(3))
        made = generator.generate(z, e, 4, recorded)
        if backward:
            made.sum().backward()
        alone = RecordedStatistics()
        with torch.no_grad():
            generator.generate(z, e, 4, alone)
        expected.append(alone.averages())
    for key, value in recorded.averages().items():
        torch.testing.assert_close(value, (expected[0][key] + expected[1][key]) / 2)
