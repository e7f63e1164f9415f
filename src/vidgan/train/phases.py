"""The life of a run besides its training steps, rehearsed on the meta device: what each phase takes at its peak.

The passes are those of the run itself, in its dtype, and so are the numbers of clips that are made at once. Operations
are those of :mod:`vidgan.train.operations`.
"""

import collections
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import torch
from torch import Tensor

from vidgan.data.loader import slots_of
from vidgan.models.cascade import (
    FrozenLevel,
    by_label,
    chunks_of,
    inputs_of,
    sample_window,
    stream_chunks,
)
from vidgan.models.costs import meta
from vidgan.models.generator import NOTHING, Conditioning, from_below
from vidgan.models.known_shapes import KnownShapes, operations
from vidgan.nn.layers import fold_resizing, held_weights
from vidgan.nn.norm import Clock, Context
from vidgan.run.batch import Share, evenly
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, window_of
from vidgan.sample.passes import Trained, at_once, brief_statistics, clips_in_memory
from vidgan.sample.pieces import Piece, PiecewiseStatistics, pass_in_pieces
from vidgan.sample.previews import COLUMNS, ROWS
from vidgan.sample.sampler import continue_frames
from vidgan.train.plan import META, LevelPlan, LiveTensors, size_of, untrained_levels

STEP: Final = "training step"
"""the name of that phase"""
EVALUATED: Final = 1000
"""clips of an evaluation"""


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
    longest: float
    """those of the process that does most of them, for which the others wait"""


class Pass(NamedTuple):
    """A forward pass without gradients."""

    peak: Callable[[int], float]
    """bytes at its peak with so many clips, weights apart"""
    flops: int
    """operations per clip"""


class StatisticsPass(NamedTuple):
    """A pass of a level for its standing statistics, and what it is made from."""

    whole: Pass
    """all clips at once"""
    piece: Pass
    """one of several pieces, whose layers compute some things again"""
    waiting: float
    """bytes per clip that wait between two parts, where there are several pieces"""
    given: float
    """bytes per clip that it is made from, which stay on the device until all pieces have passed"""
    below: Pass | None
    """of all levels below, which make a new video for every clip; None for the first"""
    below_at_once: int
    """clips of that at a time; 0 for the first"""
    tables: float = 0.0
    """bytes of the moments of the video's other chunks, where it passes in chunks"""


def phases(
    experiment: Experiment, index: int, plan: LevelPlan, share: Share, processes: int = 1, workers: int = 1
) -> tuple[Phase, ...]:
    """All phases of training level ``index``, in micro-batches of ``share``; where levels are trained together, of all.

    Args:
        plan: of that level.
        processes: that share every batch.
        workers: that read clips for each of them.
    """
    training = experiment.training
    experiment = experiment.with_micro_batch(index, share.per_pass).up_to(index + 1)
    levels = untrained_levels(experiment, index + 1, META)
    trained = Trained(experiment, processes)
    sampled, most = sample_pass(experiment, levels), at_once(trained, experiment.levels)
    own = [
        (
            statistics_pass(trained, levels[: i + 1]),
            clips_in_memory(trained, i, levels[i].spec.frames),
        )
        for i in range(0 if experiment.joint else index, index + 1)
    ]
    full, short = training.standing_statistics, brief_statistics(trained, index)
    taken, brief = (
        together([statistics_phase(*each, spec, plan.state, processes) for each in own])
        for spec in (full, short)
    )
    previews = ROWS * COLUMNS
    video = window_of(experiment, index)
    # Those of a step, and where workers write, or the one that is read.
    batches = training.discriminator_updates + (slots_of(workers) if workers else 1)
    read = 3 * share.clips * video.frames * video.size**2 * batches
    saved = plan.state - (0 if experiment.joint else sum(size_of(below.generator) for below in levels[:-1]))
    looks = Phase(
        "previews",
        min(most, previews),
        plan.state + sampled.peak(min(most, previews)),
        0,
        previews * sampled.flops,
        previews * sampled.flops,  # by one process
    )
    return (
        Phase("reading data", share.clips, 0, read, 0, 0),
        # Each process reads the whole checkpoint.
        Phase("resuming", 0, plan.state, saved, 0, 0),
        Phase(
            STEP,
            share.per_pass,
            plan.memory(share),
            0,
            plan.flops.of(experiment.batch_of(index).global_batch, processes),
            plan.flops.of(share.clips),
        ),
        Phase("checkpoint", 0, plan.state, saved, 0, 0),
        *([] if experiment.reporting.samples is None else [together([looks, brief])]),
        taken._replace(name="standing statistics"),
        Phase(
            f"evaluation, {EVALUATED} clips",
            most,
            plan.state + sampled.peak(most),
            0,
            EVALUATED * sampled.flops,
            len(evenly(EVALUATED, processes)[0]) * sampled.flops,
        ),
        sampling(trained, levels, sampled),
    )


def together(found: Sequence[Phase]) -> Phase:
    """Phases that come one after another as one, of the first one's name."""
    return Phase(
        found[0].name,
        max(phase.clips for phase in found),
        max(phase.device for phase in found),
        max(phase.host for phase in found),
        sum(phase.flops for phase in found),
        sum(phase.longest for phase in found),
    )


def sampling(
    trained: Trained, levels: Sequence[FrozenLevel], sampled: Pass, chunk: int | None = None
) -> Phase:
    """Making one pass of videos with a finished model, in one process.

    Args:
        levels: which may make longer videos than in training.
        chunk: frames that levels above the first make at a time, of one clip.
    """
    clips = 1 if chunk else at_once(trained, [level.spec for level in levels])
    weights = sum(size_of(level.generator) for level in levels)
    frames = f"{levels[-1].spec.frames} frames" + (f" in chunks of {chunk}" if chunk else "")
    flops = clips * sampled.flops
    return Phase(f"sampling {frames}", clips, weights + sampled.peak(clips), 0, flops, flops)


def statistics_phase(
    taken: StatisticsPass, fitting: int, spec: StandingStatisticsSpec, stays: float, processes: int
) -> Phase:
    """Standing statistics of a level, of which each process takes its share.

    Args:
        fitting: clips of a piece.
        stays: bytes on the device besides.
    """
    own = max(
        1, len(evenly(spec.clips, processes)[0])
    )  # where there are more processes, one has a clip at least
    clips = min(fitting, own)
    passed = taken.whole if clips == own else taken.piece
    flops, peak = passed.flops, passed.peak(clips)
    waiting = 0 if clips == own else own * taken.waiting
    kept = taken.given
    if taken.below is not None:
        flops += taken.below.flops
        made = min(clips, taken.below_at_once)
        # Lower videos that are joined stay beside what they are joined to.
        kept *= 2 if made < clips else 1
        peak = max(peak + clips * (kept - taken.given), taken.below.peak(made) + (clips - made) * kept)
    device = stays + taken.tables + peak + (own - clips) * kept
    all_clips = spec.batches * max(spec.clips, processes)
    return Phase("", clips, device, waiting, all_clips * flops, spec.batches * own * flops)


@torch.no_grad()
def statistics_pass(
    trained: Trained, levels: Sequence[FrozenLevel], chunk: int | None = None
) -> StatisticsPass:
    """A pass of the last of ``levels`` for its standing statistics; its operations are of the whole video.

    Args:
        chunk: frames that levels above the first keep of a pass; None: all, in one.
    """
    experiment, (*below, level) = trained.experiment, levels
    spec, dtype = level.spec, experiment.training.dtype
    chunks = chunks_of([each.spec for each in levels], len(below), chunk)
    longest = max(each.steps for each in chunks)
    largest = 0.0

    def piece(clips: int, steps: int = longest) -> Piece:
        given: Conditioning = NOTHING
        if spec.context_frames:
            given = level.generator.encode(given_frames(clips, level, dtype))
        elif below:
            low = below[-1].spec
            frames = steps * low.frames // spec.frames
            given = from_below(meta(clips, frames, low.size, low.size, 3).permute(0, 1, 4, 2, 3))
        return Piece(
            meta(clips, spec.generator.latent), meta(clips, spec.generator.embedding), given, 1 / clips
        )

    def whole(clips: int, steps: int = longest) -> PiecewiseStatistics:
        statistics = PiecewiseStatistics()
        with held_weights(level.generator):  # as for all batches and pieces in the run
            pass_in_pieces(level.generator, [piece(clips, steps)], steps, statistics, dtype=dtype)
        return statistics

    def two_pieces(clips: int, steps: int) -> None:
        pieces = [piece(clips, steps), piece(clips, steps)]
        pass_in_pieces(level.generator, pieces, steps, PiecewiseStatistics(), dtype=dtype)

    def one_of_several(clips: int) -> None:  # what waits is counted apart
        nonlocal largest
        statistics, own = PiecewiseStatistics(), piece(clips)
        condition = torch.cat([own.z, own.embedded], dim=1)
        with held_weights(level.generator):
            h = level.generator.begin(condition, longest, dtype)
            for part in level.generator.parts(Context(condition, statistics, Clock()), own.conditioning):
                h = part(h)
                largest = max(largest, h.numel() * h.element_size() / clips)

    def made_below(clips: int) -> Iterator[Tensor]:
        embed = by_label(torch.zeros(clips, dtype=torch.int64, device=META))
        return stream_chunks(below, lambda _, dimension: meta(clips, dimension), embed, chunk, dtype)

    def lower_videos(clips: int) -> None:
        for _ in made_below(clips):
            pass

    def of_all_chunks(work: Callable[[int, int], object]) -> int:
        total = 0
        for frames, count in collections.Counter(each.steps for each in chunks).items():

            def passed(clips: int, steps: int = frames) -> object:
                return work(clips, steps)

            total += count * operations_of(passed, levels, experiment)
        return total

    with KnownShapes(), LiveTensors() as live:
        one_of_several(1)
        kept = piece(1)
        given = live.now
    del kept
    tables = 0
    if len(chunks) > 1:  # the levels below stand still in the middle of their videos
        with KnownShapes(), LiveTensors() as live:
            videos = inputs_of(chunks, made_below(1), spec.frames // below[-1].spec.frames)
            held = max(live.now for _ in videos)
        given += held - 4 * 3 * longest * below[-1].spec.frames // spec.frames * below[-1].spec.size ** 2
        tables = (len(chunks) - 1) * sum(table.nbytes for table in whole(1).averages().values())
    return StatisticsPass(
        Pass(peak_of(whole), of_all_chunks(whole)),
        Pass(peak_of(one_of_several), of_all_chunks(two_pieces) // 2),
        largest,
        given,
        Pass(peak_of(lower_videos), operations_of(lower_videos, levels, experiment)) if below else None,
        at_once(trained, [each.spec for each in below]) if below else 0,
        tables,
    )


@torch.no_grad()
def sample_pass(experiment: Experiment, levels: list[FrozenLevel], chunk: int | None = None) -> Pass:
    """A pass of a finished model that makes whole videos of its top level, in the dtype of training as samples are."""
    top, dtype = levels[-1].spec, experiment.training.dtype

    def noise(clips: int) -> Callable[[int, int], Tensor]:
        return lambda level, dimension: meta(clips, dimension)

    def parts(clips: int) -> Iterator[Tensor]:
        embed = by_label(torch.zeros(clips, dtype=torch.int64, device=META))
        if chunk is not None:
            yield from stream_chunks(levels, noise(clips), embed, chunk, dtype)
        elif top.context_frames:
            z, embedded = meta(clips, top.generator.latent), embed(levels[-1].generator)
            given = given_frames(clips, levels[-1], dtype)
            yield continue_frames(levels[-1], z, embedded, given, dtype).video
        else:
            start = torch.zeros(clips, dtype=torch.int64)
            yield sample_window(levels, noise(clips), embed, start, top.frames, dtype)

    def work(clips: int) -> None:
        for _ in parts(clips):
            pass

    return Pass(peak_of(work), operations_of(work, levels, experiment))


def given_frames(clips: int, level: FrozenLevel, dtype: torch.dtype | None) -> Tensor:
    """Conditioning frames without content, in the dtype of the run."""
    spec = level.spec
    frames = meta(clips, spec.context_frames, spec.size, spec.size, 3).permute(0, 1, 4, 2, 3)
    return frames if dtype is None else frames.to(dtype)


def operations_of(
    work: Callable[[int], object], levels: Sequence[FrozenLevel], experiment: Experiment
) -> int:
    """Operations of ``work`` with one clip, by ``levels`` that compute as the papers' layers do."""
    with operations() as counter, unfolded(levels, experiment):
        work(1)
    return counter.get_total_flops()


@contextmanager
def unfolded(levels: Sequence[FrozenLevel], experiment: Experiment) -> Iterator[None]:
    """While it holds, changes of size are not folded into kernels."""
    for level in levels:
        fold_resizing(level.generator, False)
    try:
        yield
    finally:
        for level in levels:
            fold_resizing(level.generator, experiment.training.folded)


def peak_of(work: Callable[[int], object]) -> Callable[[int], int]:
    """Bytes at the peak of ``work``, as a function of the number of clips.

    They are no straight line: with few clips the peak is where weights are cast, with many where activations are large.
    """

    @functools.cache
    def peak(clips: int) -> int:
        with torch.no_grad(), LiveTensors() as live:
            work(clips)
        return live.most

    return peak
