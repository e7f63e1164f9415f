"""Any experiment, shrunk until two steps take seconds: the same classes in the same tree."""

from vidgan.models.discriminator import BodySpec
from vidgan.models.level import LevelSpec
from vidgan.models.views import FramesSpec, PackSpec, ViewSpec
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import AverageSpec, Experiment, ReportingSpec, StandingStatisticsSpec

WIDTH = 2
LATENT = 6
BATCH = 3
SIDE, CASCADE_SIDE = 32, 8
"""of the last level's frames (pixels), where a preset can be made so small; a cascade has several levels to train"""


def tiny(experiment: Experiment) -> Experiment:
    """``experiment`` at width 2, few frames and a batch of 3; every structure of it is kept."""
    training = experiment.training
    pixel_loss = training.pixel_loss
    return experiment.replace(
        classes=min(experiment.classes, 3) if experiment.conditional else 1,
        levels=tiny_levels(experiment.levels),
        training=training.replace(
            steps=2,
            batch=BatchSpec(global_batch=BATCH),
            average=None if training.average is None else AverageSpec(decay=0.5, start=1),
            pixel_loss=None if pixel_loss is None else pixel_loss.replace(start=min(1, pixel_loss.start)),
            standing_statistics=StandingStatisticsSpec(batches=2, clips=BATCH),
            bf16=False,
        ),
        reporting=ReportingSpec(tick=1, checkpoint=1, keep=3, samples=2),
    )


def tiny_levels(levels: tuple[LevelSpec, ...]) -> tuple[LevelSpec, ...]:
    """Levels with few frames whose ratios stay: the first makes four, windows stay shorter than the whole.

    They are lower and narrower too, where their maps and discriminators allow it.
    """
    frames = 4
    small = []
    for index, level in enumerate(levels):
        if index > 0:
            frames *= level.frames // levels[index - 1].frames
        window = None
        if level.window is not None:
            factor = level.frames // levels[index - 1].frames if index else 1
            window = min(frames, 2 * factor)
        small.append(tiny_level(level, frames, window))
    side = SIDE if len(small) == 1 else CASCADE_SIDE
    while small[-1].size > side and all(may_halve(level) for level in small):
        small = [halved(level) for level in small]
    return tuple(small)


def may_halve(level: LevelSpec) -> bool:
    """Whether the first map can be halved and every discriminator can spare a block."""
    bodies = [discriminator.body for discriminator in level.discriminators]
    return level.generator.side % 2 == 0 and all(len(body.channels) > needed_blocks(body) for body in bodies)


def needed_blocks(body: BodySpec) -> int:
    """The fewest blocks that keep the body's structure."""
    return max(1, body.blocks_3d + body.time_in_channels)


def halved(level: LevelSpec) -> LevelSpec:
    """A level at half its height and width; discriminators lose their first block to match."""
    return level.replace(
        generator=level.generator.replace(side=level.generator.side // 2),
        discriminators=tuple(
            discriminator.replace(body=discriminator.body.replace(channels=discriminator.body.channels[1:]))
            for discriminator in level.discriminators
        ),
    )


def tiny_level(level: LevelSpec, frames: int, window: int | None) -> LevelSpec:
    """One level at tiny width with ``frames`` frames."""
    seen = min(level.context_frames, 2) + (frames if window is None else window)
    narrow = level.with_width(WIDTH)
    return narrow.replace(
        generator=narrow.generator.replace(latent=LATENT, embedding=LATENT),
        discriminators=tuple(
            discriminator.replace(view=tiny_view(discriminator.view, seen))
            for discriminator in narrow.discriminators
        ),
        frames=frames,
        window=window,
        context_frames=min(level.context_frames, 2),
        steps=None,
        global_batch=None,
        micro_batch=None,
    )


def tiny_view(view: ViewSpec, frames: int) -> ViewSpec:
    """A view of fewer frames where the clip has fewer."""
    if isinstance(view, PackSpec):
        return view.replace(view=tiny_view(view.view, frames))
    return view.replace(k=min(view.k, max(1, frames - 1))) if isinstance(view, FramesSpec) else view
