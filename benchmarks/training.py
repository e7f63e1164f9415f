"""A level in training on made-up clips, with another batch or with checkpointing switched."""

from vidgan.run.experiment import BatchSpec, Experiment
from vidgan.train.rehearsal import Rehearsal as Trainee

__all__ = ["Trainee", "with_batch", "with_checkpointing"]


def with_batch(experiment: Experiment, clips: int) -> Experiment:
    """``experiment`` with ``clips`` clips per update and per pass."""
    batch = BatchSpec(global_batch=clips, micro_batch=clips)
    return experiment.replace(training=experiment.training.replace(batch=batch))


def with_checkpointing(experiment: Experiment, on: bool) -> Experiment:
    """``experiment`` with the generators' checkpointing switched."""
    levels = tuple(
        level.replace(generator=level.generator.replace(checkpointing=on)) for level in experiment.levels
    )
    return experiment.replace(levels=levels)


def with_width(experiment: Experiment, width: int) -> Experiment:
    """``experiment`` with all networks of every level at one width."""
    levels = []
    for level in experiment.levels:
        generator = level.generator.replace(width=width)
        if generator.encoder is not None:
            body = generator.encoder.body.replace(width=width)
            generator = generator.replace(encoder=generator.encoder.replace(body=body))
        critics = tuple(critic.replace(body=critic.body.replace(width=width)) for critic in level.critics)
        levels.append(level.replace(generator=generator, critics=critics))
    return experiment.replace(levels=tuple(levels))
