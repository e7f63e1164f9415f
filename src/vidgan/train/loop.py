"""The training loop of one level: steps, ticks, samples and checkpoints, until it is done or told to stop."""

import errno
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.data.loader import Batch, Loader, to_float
from vidgan.errors import UserError
from vidgan.models.level import AdversarialLevel
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.norm import BatchStatistics
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, Share, window_of
from vidgan.seeds import derive
from vidgan.train.monitor import HeldOut, Monitor
from vidgan.train.trainer import BelowSource, LevelState, Randomness, data_indices, training_step
from vidgan.train.validate import Validation

FULL = (errno.ENOSPC, errno.EDQUOT)
"""system errors of a disk that takes no more"""


@contextmanager
def full_disk() -> Iterator[None]:
    """Turns the error of a full disk into a :class:`UserError`; checkpoints are whole whenever it strikes."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"the disk is full ({error.filename or 'while writing'}): training stopped, its checkpoints are intact; "
            "free some space and go on with --resume"
        ) from error


@contextmanager
def short_of_memory(share: Share, step: int) -> Iterator[None]:
    """Turns "out of memory" inside a training step into a :class:`UserError` that names a smaller micro-batch."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(advice(share, step)) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator, of a GPU or of the CPU, had nothing left to give."""
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def advice(share: Share, step: int) -> str:
    """What to do when a step does not fit."""
    start = f"out of memory in step {step} with micro-batches of {share.per_pass} clips: "
    smaller = smaller_micro_batch(share)
    if smaller is None:
        return (
            f"{start}there is no smaller one; recompute activations with --levels.0.generator.checkpointing True, or "
            "choose smaller widths or fewer frames"
        )
    return (
        f"{start}start a new run with --training.batch.micro-batch {smaller}, which should fit (half, or the next "
        f"number below that divides {share.clips} clips: activations take most of the memory and shrink with it, "
        "weights do not); vidgan plan tells more"
    )


def smaller_micro_batch(share: Share) -> int | None:
    """The largest micro-batch of at most half the size that divides a replica's share; None where it is 1."""
    return next((size for size in range(share.per_pass // 2, 0, -1) if share.clips % size == 0), None)


class Callback(Protocol):
    """What happens around the steps of a level: the run directory's side of training."""

    def tick(self, index: int, step: int, clips: int, scalars: Mapping[str, float]) -> None:
        """Means of the scalars since the last tick."""

    def checkpoint(self, state: LevelState, finished: bool) -> None:
        """Save everything; ``finished`` where the level ends here and wants no more steps."""

    def samples(self, state: LevelState) -> None:
        """Show samples from fixed latents."""

    def judge(self, state: LevelState) -> Validation:
        """Measure what the run would publish now, where it looks for its best checkpoint."""

    def collapsed(self) -> bool:
        """Whether the last tick showed a collapse at which the run is to stop."""

    def interrupted(self) -> bool:
        """Whether this process was asked to stop, so that training goes on another time."""

    def over(self) -> bool:
        """Whether this process has used up the level's time, which finishes the level."""


def train_level(
    experiment: Experiment,
    state: LevelState,
    dataset: Dataset,
    source: BelowSource | None,
    replicas: Replicas,
    callback: Callback,
    workers: int,
    device: torch.device,
    held_out: HeldOut | None = None,
) -> None:
    """Train a level from ``state.step`` to the last step, or until the callback of some replica ends it.

    Args:
        source: makes the lower level's videos; None on the first level.
        workers: processes that read clips.
        held_out: real clips that the discriminators judge in watched steps.

    Raises:
        UserError: if a loss is not finite or memory does not suffice; nothing is saved then, so the last checkpoint
            is a good one. Or if clips cannot be read; then everything is saved before.
    """
    training, reporting = experiment.training, experiment.reporting
    level = state.level
    statistics = BatchStatistics(replicas.group if training.batch.sync_batch_norm else None)
    randomness = Randomness(training, state.index, level, replicas)
    seed = derive(training.seed, "data", state.index)
    clips_per_step = training.discriminator_updates * training.batch.global_batch
    meter, first, steps = Meter(), state.step, experiment.steps_of(state.index)
    pin = device.type == "cuda"
    with Loader(dataset, window_of(experiment, state.index), seed, workers, pin) as loader:
        batches = loader.batches(data_indices(training, replicas, state.step))
        while state.step < steps:
            read = read_batches(batches, training.discriminator_updates)
            lost = read if isinstance(read, UserError) else None
            if replicas.any(lost is not None):
                raise save_and_stop(lost, state, first, meter, clips_per_step, replicas, callback)
            assert not isinstance(read, UserError)
            monitor = Monitor() if (state.step + 1) % reporting.tick == 0 else None
            with short_of_memory(training.batch.share(replicas.size), state.step + 1):
                reals = [real_inputs(experiment, level, batch, device) for batch in read]
                # Our choice: all fakes take labels (and conditioning frames) of real clips, the
                # discriminators' of the batch that they are set against, the generator's of the last one: so
                # they are as frequent as in the data.
                updates = [
                    randomness.micro_batches(state.step, update, real, source, device)
                    for update, real in enumerate([*reals, reals[-1]])
                ]
                scalars = training_step(
                    level,
                    state.optimisers,
                    training,
                    state.step,
                    updates[:-1],
                    updates[-1],
                    statistics,
                    replicas,
                    monitor,
                )
                if monitor is not None and held_out is not None:
                    held_out.judge(level, state.index, state.step, monitor, replicas)
            state.step += 1
            if state.average is not None:
                state.average.update(level.generator, state.step)
            meter.add(scalars)
            # Decided once, by all replicas together: what is saved must be what happens, whatever time samples take.
            interrupted, over = replicas.any(callback.interrupted()), replicas.any(callback.over())
            finished = state.step == steps or (over and not interrupted)
            ending = finished or interrupted
            if state.step % reporting.tick == 0 or ending or state.step % reporting.checkpoint == 0:
                means = meter.take(replicas) | ({} if monitor is None else monitor.take(level, replicas))
                if means:
                    callback.tick(state.index, state.step, state.step * clips_per_step, means)
                check_finite(means, state.step)
                if replicas.any(callback.collapsed()):
                    callback.checkpoint(state, False)
                    raise UserError(
                        f"the collapse detector stopped training at step {state.step}, all saved; its words stand "
                        f"above "
                        "and in log.jsonl. --resume goes on, with --reporting.collapse.stop False to its end"
                    )
            if state.step % reporting.samples == 0 or ending:
                callback.samples(state)
            verdict = callback.judge(state)
            finished, ending = finished or verdict.enough, ending or verdict.enough
            if state.step % reporting.checkpoint == 0 or ending or verdict.better:
                callback.checkpoint(state, finished)
            if ending:
                return


def read_batches(batches: Iterator[Batch], number: int) -> list[Batch] | UserError:
    """The next batches, or what kept them from being read."""
    try:
        return [next(batches) for _ in range(number)]
    except UserError as error:
        return error


def real_inputs(
    experiment: Experiment, level: AdversarialLevel, batch: Batch, device: torch.device
) -> DiscriminatorInput:
    """Real clips and their labels on the device, as the level's discriminators see them."""
    clip = to_float(batch.video.to(device, non_blocking=True))
    label = batch.label.to(device) if experiment.conditional else torch.zeros_like(batch.label).to(device)
    return level.real_input(clip, label, experiment.smooth_views)


def save_and_stop(
    lost: UserError | None,
    state: LevelState,
    first: int,
    meter: "Meter",
    clips_per_step: int,
    replicas: Replicas,
    callback: Callback,
) -> UserError:
    """Between two steps, where clips cannot be read: save all, and say so; ``lost`` on the replica that noticed."""
    cause = lost or UserError("another process could not read its clips")
    if state.step == first:  # nothing has been learnt since the last checkpoint
        return cause
    means = meter.take(replicas)
    check_finite(means, state.step)
    if means:
        callback.tick(state.index, state.step, state.step * clips_per_step, means)
    callback.checkpoint(state, False)
    return UserError(f"{cause}. Training stopped at step {state.step}, all saved: then go on with --resume")


class Meter:
    """Sums of scalars on the device; looked at only at a tick, so that no step waits."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}

    def add(self, scalars: Mapping[str, Tensor]) -> None:
        """Add one step's scalars; a loss that begins in mid-training is not in all of them."""
        for name, value in scalars.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._steps[name] = self._steps.get(name, 0) + 1

    def take(self, replicas: Replicas) -> dict[str, float]:
        """Means over the steps since the last call that had each scalar, and over replicas."""
        means = {name: total / self._steps[name] for name, total in replicas.average(self._sums).items()}
        self._sums, self._steps = {}, {}
        return means


def check_finite(scalars: Mapping[str, float], step: int) -> None:
    """Raise :class:`UserError` for the first scalar that is NaN or infinite."""
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise UserError(
                f"training diverged: {name} is {value} at step {step}; the checkpoints before it are kept and can "
                "be sampled. Start a new run with lower learning rates or another --seed: resumed, this one would "
                "diverge again"
            )
