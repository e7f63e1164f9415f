"""What training takes: parameters, memory and time, counted or measured before anything is run.

Steps are made without data: every tensor has its size but no content, and the bytes of those that live at a
time are counted. What is not seen: the workspace of kernels, the allocator's rounding, the GPU's own context.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from vidgan.data.loader import Batch
from vidgan.models.cascade import FrozenLevel, below_of
from vidgan.models.costs import Network, joint_networks, named_networks, networks, parts_of
from vidgan.models.known_shapes import call, operations, tensors_in
from vidgan.models.level import AdversarialLevel
from vidgan.nn.layers import NormalSpec, fold_resizing, held_weights
from vidgan.nn.norm import BatchStatistics
from vidgan.run.batch import BatchSpec, Share, evenly
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, window_of
from vidgan.seeds import stream
from vidgan.train.levels_below import levels_below
from vidgan.train.lower_videos import repeats
from vidgan.train.monitor import Monitor
from vidgan.train.operations import Operations, counted
from vidgan.train.state import TrainState
from vidgan.train.step import (
    MicroBatch,
    Scalars,
    micro_batches,
    real_input,
    training_step,
    update_discriminators,
    update_generator,
)


class DryRun:
    """Training steps on made-up clips. On the meta device nothing is computed, only counted."""

    def __init__(
        self, experiment: Experiment, index: int, device: torch.device, replicas: Replicas = Replicas()
    ) -> None:
        # Orthogonal weights would take minutes at full width, and how fast a step is does not depend on them.
        experiment = experiment.replace(training=experiment.training.replace(initial=NormalSpec()))
        self.below = [] if experiment.joint else untrained_levels(experiment, index, device)
        below = levels_below(experiment, self.below, replicas.size)
        self.state = TrainState(experiment, index, device, replicas, below)
        self.batch = made_up_clips(self.state)

    def resize(self, clips: int) -> None:
        """Take ``clips`` clips per update, in one pass, from now on."""
        self.state.experiment = batched(self.state.experiment, clips)
        self.state.below = levels_below(self.state.experiment, self.below)
        self.batch = made_up_clips(self.state)

    def micro_batches(self, update: int) -> list[MicroBatch]:
        """The real clips, sent to the device, and all that is drawn for an update of the next step."""
        return micro_batches(self.state, real_input(self.state, self.batch), update)

    def step(self, monitor: Monitor | None = None) -> Scalars:
        """A whole training step, moving average included."""
        updates = self.state.experiment.training.discriminator_updates
        return training_step(
            self.state, (real_input(self.state, self.batch) for _ in range(updates)), monitor
        )

    def discriminators_step(self) -> Scalars:
        """One update of the discriminators alone, with the weights of generators held as a whole step has them."""
        with held_weights(*self.state.lower_generators, self.state.level.generator):
            return update_discriminators(self.state, self.micro_batches(0))

    def generator_step(self) -> Scalars:
        """The generator's update alone."""
        updates = self.state.experiment.training.discriminator_updates
        with held_weights(*self.state.lower_generators, self.state.level.discriminators):
            return update_generator(self.state, self.micro_batches(updates))


def made_up_clips(state: TrainState) -> Batch:
    """Random bytes as a process's share of a batch, of every class in turn."""
    experiment, side = state.experiment, state.experiment.data_size
    clips = len(evenly(state.batch.global_batch, state.replicas.size)[state.replicas.rank])
    shape = (clips, window_of(experiment, state.index).frames, side, side, 3)
    if state.device.type == "meta":
        video = torch.empty(shape, dtype=torch.uint8, device="meta")
    else:
        video = torch.randint(0, 256, shape, generator=stream(0, "made-up clips"), dtype=torch.uint8)
    return Batch(video, torch.arange(clips) % experiment.classes)


def untrained_levels(experiment: Experiment, count: int, device: torch.device) -> list[FrozenLevel]:
    """The first ``count`` levels as they feed the one above, but untrained and with the statistics of their batch."""
    levels = []
    for index, spec in enumerate(experiment.levels[:count]):
        with torch.device("meta" if device.type == "meta" else "cpu"):
            generator = spec.build_generator(experiment.classes, below_of(experiment.levels, index))
        fold_resizing(generator, experiment.training.folded)
        levels.append(FrozenLevel(spec, generator.requires_grad_(False).to(device), BatchStatistics()))
    return levels


class LiveTensors(TorchDispatchMode):
    """While it holds, counts the storages of the tensors that are made. What kernels use inside is not seen.

    Attributes:
        now: bytes that live.
        most: the most that lived at a time; may be set back to ``now``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        given = {tensor.untyped_storage()._cdata for tensor in tensors_in((*args, *named.values()))}
        made = call(func, args, named)
        for tensor in tensors_in((made,)):
            if tensor.untyped_storage()._cdata not in given | self._known:
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        size, name = storage.nbytes(), storage._cdata
        self._known.add(name)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, name, size)

    def _drop(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.now -= size


META = torch.device("meta")
FEW, MANY = (2, 4), (32, 64)
"""Micro-batches that are counted. Where a pass takes most depends on its clips: with few of them where a large weight
is normalised or its gradient made, with many where maps are large. So there are two straight lines, and memory is the
larger one."""
# Our choice: what a GPU's context, cuDNN's workspace and gaps between blocks take, as a share of its memory.
MARGIN = 0.08


class Line(NamedTuple):
    """Bytes at a peak, weights and Adam apart."""

    fixed: float
    """whatever the micro-batch"""
    per_clip: float
    """of the micro-batch"""


class Update(NamedTuple):
    """An update of the discriminators or of the generator."""

    name: str
    flops: Operations
    """with the levels below, which are made in each"""
    lines: tuple[Line, ...]
    """of its peaks, the highest of which counts"""

    def peak(self, micro: int) -> float:
        """Bytes that a micro-batch needs at the peak, weights and Adam apart."""
        return max(line.fixed + line.per_clip * micro for line in self.lines)


class LowerPlan(NamedTuple):
    """Lower videos that several updates of a step use."""

    repeats: int = 0
    """updates of a step that find theirs made already"""
    flops: int = 0
    """operations of making one, which each of these saves"""
    kept: int = 0
    """bytes of one, while an update to come will use it"""


class LevelPlan(NamedTuple):
    """What a level needs."""

    networks: tuple[Network, ...]
    """generator and discriminators: parameters, forward operations"""
    updates: tuple[Update, ...]
    """of the discriminators (one of them) and of the generator"""
    flops: Operations
    """of a whole step"""
    weights: int
    """bytes of weights and buffers, those of the levels below included"""
    average: int
    """bytes of the moving average"""
    adam: int
    """bytes of both optimisers' state"""
    clip: int
    """bytes of a real clip on the device, as the level sees it"""
    saved: tuple[tuple[str, float], ...]
    """activations kept for the backward pass of the generator's update, bytes per clip by part, largest first"""
    lower: LowerPlan = LowerPlan()

    @property
    def state(self) -> int:
        """Bytes that stay between steps."""
        return self.weights + self.average + self.adam

    def memory(self, share: Share) -> float:
        """Bytes at the peak of a step of a process that does ``share`` of every batch."""
        waiting = share.clips * self.clip  # the real clips of an update
        waiting += (share.clips - share.per_pass) * self.lower.kept
        return self.state + waiting + max(update.peak(share.per_pass) for update in self.updates)

    def fitting(self, share: Share, memory: float) -> Share | None:
        """``share`` in the largest micro-batches, of those that it has at most, that fit into ``memory`` bytes with
        :data:`MARGIN` to spare; None if none do."""
        room = (1 - MARGIN) * memory
        return next((cut for cut in (share, *share.smaller()) if self.memory(cut) <= room), None)


def plan_level(experiment: Experiment, index: int) -> LevelPlan:
    """Count what the updates of a level take, on the meta device."""
    levels, classes = experiment.levels, experiment.classes
    found = joint_networks(levels, classes) if experiment.joint else networks(levels, index, classes)
    with LiveTensors() as live:
        dry_run = DryRun(batched(experiment, FEW[0]), index, META)
        state = dry_run.state
        weights = size_of(state.level) + sum(size_of(level.generator) for level in dry_run.below)
        average = 0 if state.average is None else size_of(state.average.module)
        gradients = sum(p.numel() * p.element_size() for p in state.level.parameters())
        before = live.now
        prime(state)
        adam = live.now - before - gradients
        base = weights + average + adam
        found_at = {clips: peaks(dry_run, clips, live, base) for clips in (*FEW, *MANY)}
    spec = experiment.levels[index]
    clip = 4 * 3 * spec.seen_frames * experiment.data_size**2
    updates = tuple(
        Update(
            name,
            flops,
            tuple(line((low, high), found_at[low][i], found_at[high][i], clip) for low, high in (FEW, MANY)),
        )
        for i, (name, flops) in enumerate(
            zip(("discriminators", "generator"), update_flops(experiment, index), strict=True)
        )
    )
    discriminators, generator = updates
    lower = plan_lower(experiment, index)
    flops = step_flops(
        discriminators.flops, generator.flops, experiment.training.discriminator_updates, lower
    )
    return LevelPlan(found, updates, flops, weights, average, adam, clip, saved_by_part(dry_run), lower)


def plan_lower(experiment: Experiment, index: int) -> LowerPlan:
    """What sharing lower videos saves and holds."""
    uses = experiment.levels[index].lower_video_uses
    count = repeats(uses, experiment.training.discriminator_updates + 1)
    if not count:
        return LowerPlan()
    below = DryRun(batched(plainly(experiment), 1), index, META).state.below
    assert below is not None, "an experiment refuses several uses where no level is below"
    with operations() as counter:
        video = below(torch.zeros(1, dtype=torch.int64, device=META), 0, 0, 0)
    return LowerPlan(count, counter.get_total_flops(), video.numel() * video.element_size())


def prime(state: TrainState) -> None:
    """Give Adam its state and all weights their gradients, as they are between two steps."""
    for parameter in state.level.parameters():
        parameter.requires_grad_(True).grad = torch.empty_like(parameter)
    for optimiser in state.optimisers:
        optimiser.step()


def peaks(dry_run: DryRun, clips: int, live: LiveTensors, base: int) -> tuple[int, int]:
    """Bytes above ``base`` at the peaks of the discriminators' and of the generator's update."""
    dry_run.resize(clips)
    found = []
    for update in (dry_run.discriminators_step, dry_run.generator_step):
        live.most = live.now
        update()
        found.append(live.most - base)
    return found[0], found[1]


def line(sizes: tuple[int, int], low: int, high: int, clip: int) -> Line:
    """The line through the peaks at two micro-batches; its real clips are counted with those of the step."""
    per_clip = (high - low) / (sizes[1] - sizes[0])
    return Line(low - per_clip * sizes[0], per_clip - clip)


def update_flops(experiment: Experiment, index: int) -> tuple[Operations, Operations]:
    """Of an update of the discriminators and of the generator's."""
    dry_run = DryRun(batched(plainly(experiment), 1), index, META)

    def of(update: Callable[[], object]) -> Operations:
        def work(clips: int) -> None:
            dry_run.resize(clips)
            update()

        return counted(work)

    return of(dry_run.discriminators_step), of(dry_run.generator_step)


def step_operations(experiment: Experiment, index: int) -> Operations:
    """Of a training step of a level, with what sharing lower videos saves."""
    updates = experiment.training.discriminator_updates
    return step_flops(*update_flops(experiment, index), updates, plan_lower(experiment, index))


def step_flops(
    discriminators: Operations, generator: Operations, updates: int, lower: LowerPlan = LowerPlan()
) -> Operations:
    """Of a step of ``updates`` updates of the discriminators and one of the generator."""
    saved = lower.repeats * lower.flops
    return Operations(
        updates * discriminators.per_clip + generator.per_clip - saved,
        updates * discriminators.fixed + generator.fixed,
    )


def plainly(experiment: Experiment) -> Experiment:
    """``experiment`` without what makes steps smaller or faster by other operations."""
    levels = tuple(
        level.replace(generator=level.generator.replace(checkpointing=False)) for level in experiment.levels
    )
    return experiment.replace(levels=levels, training=experiment.training.replace(folded=False))


def batched(experiment: Experiment, clips: int) -> Experiment:
    """``experiment`` with ``clips`` clips per update, in one process and one pass."""
    batch = BatchSpec(global_batch=clips, micro_batch=clips)
    levels = tuple(level.replace(global_batch=None, micro_batch=None) for level in experiment.levels)
    return experiment.replace(levels=levels, training=experiment.training.replace(batch=batch))


def size_of(module: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def saved_by_part(dry_run: DryRun) -> tuple[tuple[str, float], ...]:
    """Bytes per clip that the forward pass of the generator's update keeps, by part; the largest first."""
    low, high = (saved(dry_run, clips) for clips in FEW)
    per_clip = {name: (high[name] - low.get(name, 0)) / (FEW[1] - FEW[0]) for name in high}
    return tuple(sorted(per_clip.items(), key=lambda entry: -entry[1]))


def saved(dry_run: DryRun, clips: int) -> dict[str, int]:
    """Bytes that the forward pass of the generator's update keeps, by part of generator and discriminators."""
    state, level = dry_run.state, dry_run.state.level
    dry_run.resize(clips)
    level.discriminators.requires_grad_(False)
    (micro,) = dry_run.micro_batches(state.experiment.training.discriminator_updates)
    with tally(level) as table:
        fake = level.generate_fake(micro.real, micro.z, micro.below(), state.statistics, state.dtype)
        level.discriminate([fake], [micro.fake_draws], state.dtype)
    level.discriminators.requires_grad_(True)
    return table


@contextmanager
def tally(level: AdversarialLevel) -> Iterator[dict[str, int]]:
    """While it holds, adds up the bytes that autograd keeps, under the part that runs; weights are left out."""
    table: dict[str, int] = {}
    running = ["between parts"]
    known = {tensor.untyped_storage()._cdata for tensor in (*level.parameters(), *level.buffers())}
    kept: list[Tensor] = []  # so that no storage is mistaken for one that took its place

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            known.add(storage._cdata)
            kept.append(tensor)
            table[running[-1]] = table.get(running[-1], 0) + storage.nbytes()
        return tensor

    def enter(name: str) -> Callable[[nn.Module, object], None]:
        return lambda module, args: running.append(name)

    hooks = []
    for network, module in named_networks(level):
        for path, inner in parts_of(module):
            hooks.append(inner.register_forward_pre_hook(enter(f"{network}.{path}")))
            hooks.append(inner.register_forward_hook(lambda module, args, made: running.pop() and None))
    try:
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            yield table
    finally:
        for hook in hooks:
            hook.remove()
