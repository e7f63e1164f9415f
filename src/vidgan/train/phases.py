"""The life of a run besides its training steps, rehearsed on the meta device: what each phase takes at its peak.

The passes are those of the run itself, and so are the numbers of clips that are made at once.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel, by_label, require_chunks, sample_window, stream_chunks
from vidgan.models.costs import meta
from vidgan.models.generator import NOTHING, Conditioning, from_below
from vidgan.models.known_shapes import operations
from vidgan.nn.norm import Clock, Context
from vidgan.run.batch import Share, evenly
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, window_of
from vidgan.sample.model import unrolled
from vidgan.sample.pieces import Piece, PiecewiseStatistics, pass_in_pieces
from vidgan.sample.previews import COLUMNS, ROWS, brief_statistics
from vidgan.sample.sampler import at_once, clips_in_memory
from vidgan.train.plan import META, LevelPlan, LiveTensors, size_of, untrained_levels

STEP: Final = "training step"
"""the name of that phase"""


class Phase(NamedTuple):
    """What one phase takes."""

    name: str
    clips: int
    """in memory at a time; 0 where there are none"""
    device: float
    """bytes on the device at its peak, all that stays there included"""
    host: float
    """bytes in the host's memory; on a CPU they come on top of the device's"""
    flops: float
    """operations each time that it comes, of all processes"""
    alone: float = 0
    """those of them that one process does, while the others wait; all share the rest"""


class Pass(NamedTuple):
    """A forward pass without gradients."""

    fixed: float
    """bytes at its peak whatever the number of clips"""
    per_clip: float
    """bytes at its peak per clip"""
    flops: int
    """operations per clip"""
    waiting: float = 0
    """bytes per clip that wait between two parts"""
    given: float = 0
    """bytes per clip that it is made from, which stay on the device meanwhile"""

    def peak(self, clips: int) -> float:
        """Bytes at its peak, weights apart."""
        return self.fixed + self.per_clip * clips


def phases(
    experiment: Experiment, index: int, plan: LevelPlan, share: Share, processes: int = 1
) -> tuple[Phase, ...]:
    """All phases of training level ``index``, in micro-batches of ``share``; where levels are trained together, of all.

    Args:
        plan: of that level.
        processes: that share every batch.
    """
    training = experiment.training
    experiment = experiment.with_micro_batch(index, share.per_pass).up_to(index + 1)
    levels = untrained_levels(experiment, index + 1, META)
    sampled, most = sample_pass(experiment, levels), at_once(experiment)
    own = [
        (statistics_pass(experiment, i, levels[i]), clips_in_memory(experiment, i, levels[i].spec.frames))
        for i in range(0 if experiment.joint else index, index + 1)
    ]
    taken = [statistics_phase(*each, training.standing_statistics, plan.state, processes) for each in own]
    brief = [
        statistics_phase(*each, brief_statistics(experiment, index), plan.state, processes) for each in own
    ]
    previews = ROWS * COLUMNS
    video = window_of(experiment, index)
    read = 3 * share.clips * video.frames * video.size**2 * (training.discriminator_updates + 1)
    looks = plan.state + sampled.peak(min(most, previews))
    return (
        Phase("reading data", share.clips, 0, read, 0),
        Phase(
            STEP,
            share.per_pass,
            plan.memory(share),
            0,
            plan.flops * experiment.batch_of(index).global_batch,
        ),
        Phase("checkpoint", 0, plan.state, plan.state, 0),
        Phase(
            "previews",
            max(min(most, previews), *(phase.clips for phase in brief)),
            max(looks, *(phase.device for phase in brief)),
            max(phase.host for phase in brief),
            sum(phase.flops for phase in brief) + previews * sampled.flops,
            alone=previews * sampled.flops,
        ),
        Phase(
            "standing statistics",
            max(phase.clips for phase in taken),
            max(phase.device for phase in taken),
            max(phase.host for phase in taken),
            sum(phase.flops for phase in taken),
        ),
        Phase("evaluation, 1000 clips", most, plan.state + sampled.peak(most), 0, 1000 * sampled.flops),
        sampling(experiment, levels, sampled),
    )


def sampling(
    experiment: Experiment,
    levels: list[FrozenLevel],
    sampled: Pass,
    trained: Experiment | None = None,
    chunk: int | None = None,
) -> Phase:
    """Making one pass of videos with a finished model.

    Args:
        trained: as in :func:`vidgan.sample.sampler.at_once`.
        chunk: frames that levels above the first make at a time, of one clip.
    """
    clips = 1 if chunk else at_once(experiment, trained)
    weights = sum(size_of(level.generator) for level in levels)
    frames = f"{levels[-1].spec.frames} frames" + (f" in chunks of {chunk}" if chunk else "")
    return Phase(f"sampling {frames}", clips, weights + sampled.peak(clips), 0, clips * sampled.flops)


def longer_sampling(experiment: Experiment, frames: int, chunk: int | None = None) -> Phase:
    """Making videos of ``frames`` frames with the finished model, one pass of them.

    Args:
        chunk: frames that levels above the first make at a time, of one clip; None: all at once.

    Raises:
        UserError: where the model makes no such videos, or not in chunks.
    """
    if experiment.levels[0].context_frames:
        raise UserError("a model that continues videos makes longer ones in rounds of its own length")
    longer = unrolled(experiment, frames)
    if chunk is not None:
        require_chunks(longer.levels)
    levels = untrained_levels(longer, len(longer.levels), META)
    return sampling(longer, levels, sample_pass(longer, levels, chunk), experiment, chunk)


def statistics_phase(
    taken: Pass, fitting: int, spec: StandingStatisticsSpec, stays: float, processes: int
) -> Phase:
    """Standing statistics of a level, of which each process takes its share."""
    own = max(1, len(evenly(spec.clips, processes)[0])) if processes <= spec.clips else 1
    clips = min(fitting, own)
    waiting = 0 if clips == own else own * taken.waiting
    others = (own - clips) * taken.given
    # Whether a layer is computed again depends on whether there are pieces: see vidgan.sample.pieces.
    return Phase(
        "", clips, stays + others + taken.peak(clips), waiting, spec.batches * spec.clips * taken.flops
    )


@torch.no_grad()
def statistics_pass(experiment: Experiment, index: int, level: FrozenLevel) -> Pass:
    """A pass of level ``index`` for its standing statistics, in two pieces; its operations are of the whole video."""
    spec, dtype = level.spec, experiment.training.dtype
    largest = 0.0

    def piece(clips: int) -> Piece:
        below: Conditioning = NOTHING
        if spec.context_frames:
            frames = meta(clips, spec.context_frames, spec.size, spec.size, 3).permute(0, 1, 4, 2, 3)
            below = level.generator.encode(frames if dtype is None else frames.to(dtype))
        elif index:
            low = experiment.levels[index - 1]
            below = from_below(meta(clips, low.frames, low.size, low.size, 3).permute(0, 1, 4, 2, 3))
        return Piece(
            meta(clips, spec.generator.latent), meta(clips, spec.generator.embedding), below, 1 / clips
        )

    def work(clips: int) -> None:
        nonlocal largest
        statistics, own = PiecewiseStatistics(), piece(clips)
        condition = torch.cat([own.z, own.embedded], dim=1)
        h = level.generator.begin(condition, spec.frames, dtype)
        for part in level.generator.parts(Context(condition, statistics, Clock()), own.conditioning):
            h = part(h)
            largest = max(largest, h.numel() * h.element_size() / clips)

    with operations() as counter:
        pieces = [piece(1), piece(1)]
        pass_in_pieces(level.generator, pieces, spec.frames, PiecewiseStatistics(), dtype=dtype)
    with LiveTensors() as live:
        kept = piece(1)
        given = live.now
    del kept
    return measured(work, counter.get_total_flops() // 2)._replace(waiting=largest, given=given)


@torch.no_grad()
def sample_pass(experiment: Experiment, levels: list[FrozenLevel], chunk: int | None = None) -> Pass:
    """A pass of a finished model that makes whole videos of its top level."""
    top = levels[-1].spec

    def noise(clips: int) -> Callable[[int, int], Tensor]:
        return lambda level, dimension: meta(clips, dimension)

    def parts(clips: int) -> Iterator[Tensor]:
        embed = by_label(torch.zeros(clips, dtype=torch.int64, device=META))
        if chunk is not None:
            yield from stream_chunks(levels, noise(clips), embed, chunk)
        elif top.context_frames:
            frames = meta(clips, top.context_frames, top.size, top.size, 3).permute(0, 1, 4, 2, 3)
            generator = levels[-1].generator
            given, z = generator.encode(frames), meta(clips, top.generator.latent)
            yield generator.generate(z, embed(generator), top.frames, levels[-1].statistics, given)
        else:
            start = torch.zeros(clips, dtype=torch.int64)
            yield sample_window(levels, noise(clips), embed, start, top.frames)

    def work(clips: int) -> None:
        for _ in parts(clips):
            pass

    with operations() as counter:
        work(1)
    return measured(work, counter.get_total_flops())


def measured(work: Callable[[int], None], flops: int) -> Pass:
    """The peaks of ``work`` with one and with two clips."""
    peaks = []
    with LiveTensors() as live:
        for clips in (1, 2):
            before = live.most = live.now
            work(clips)
            peaks.append(live.most - before)
    one, two = peaks
    return Pass(2 * one - two, two - one, flops)
