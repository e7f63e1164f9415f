"""A level in training on made-up clips, at another size or with checkpointing switched, and its memory."""

import torch

from vidgan.run.experiment import Experiment
from vidgan.train.plan import DryRun as Trainee
from vidgan.train.plan import LiveTensors
from vidgan.train.plan import batched as with_batch

__all__ = ["Trainee", "peak_of_training", "take_steps", "with_batch", "with_checkpointing", "with_width"]

STEPS = 2
"""training steps whose memory is measured: from the second on, Adam's state is there"""


def with_checkpointing(experiment: Experiment, on: bool) -> Experiment:
    """``experiment`` with the generators' checkpointing switched."""
    levels = tuple(
        level.replace(generator=level.generator.replace(checkpointing=on)) for level in experiment.levels
    )
    return experiment.replace(levels=levels)


def with_width(experiment: Experiment, width: int) -> Experiment:
    """``experiment`` with all networks of every level at one width; ``step_process.py`` asks every checkout for it."""
    return experiment.with_width(width)


def take_steps(experiment: Experiment, index: int, device: torch.device) -> None:
    """A few training steps of a level."""
    trainee = Trainee(experiment, index, device)
    for _ in range(STEPS):
        trainee.step()


def peak_of_training(experiment: Experiment, index: int, device: torch.device) -> int:
    """The most bytes that tensors held at a time, from building the model on; on the meta device, counted alone."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        take_steps(experiment, index, device)
        return torch.cuda.max_memory_allocated(device)
    with LiveTensors() as live:
        take_steps(experiment, index, device)
    return live.most
