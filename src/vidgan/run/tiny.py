"""Any experiment, shrunk until two steps take seconds: the same classes in the same tree."""

from vidgan.models.body import BodySpec
from vidgan.models.critic import CriticSpec
from vidgan.models.encoder import EncoderSpec
from vidgan.models.generator import GeneratorSpec
from vidgan.models.level import LevelSpec
from vidgan.models.views import Frames
from vidgan.run.experiment import AverageSpec, BatchSpec, Experiment, ReportingSpec, SettleSpec

WIDTH = 2
LATENT = 6
BATCH = 3


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
            pixel_loss=None if pixel_loss is None else pixel_loss.replace(weight=1.0, start=1),
            settle=SettleSpec(batches=2, clips=BATCH),
            bf16=False,
        ),
        reporting=ReportingSpec(tick=1, checkpoint=1, keep=3, samples=2),
    )


def tiny_levels(levels: tuple[LevelSpec, ...]) -> tuple[LevelSpec, ...]:
    """Levels with few frames whose ratios stay: the first makes four, windows stay shorter than the whole.

    Those of a cascade are a quarter as high and wide too, where their maps and critics allow it.
    """
    frames = 4
    bodies = [critic.body for level in levels for critic in level.critics]
    deep = all(len(body.channels) - 2 >= max(1, body.volume_blocks) for body in bodies)
    quarter = len(levels) > 1 and deep and all(level.generator.side % 4 == 0 for level in levels)
    small = []
    for index, level in enumerate(levels):
        if index > 0:
            frames *= level.frames // levels[index - 1].frames
        window = None
        if level.window is not None:
            factor = level.frames // levels[index - 1].frames if index else 1
            window = min(frames, 2 * factor)
        made = tiny_level(level, frames, window)
        small.append(halved(halved(made)) if quarter else made)
    return tuple(small)


def halved(level: LevelSpec) -> LevelSpec:
    """A level at half its height and width; critics lose their first block to match."""
    return level.replace(
        generator=level.generator.replace(side=level.generator.side // 2),
        critics=tuple(
            critic.replace(body=critic.body.replace(channels=critic.body.channels[1:]))
            for critic in level.critics
        ),
    )


def tiny_level(level: LevelSpec, frames: int, window: int | None) -> LevelSpec:
    """One level at tiny width with ``frames`` frames."""
    seen = min(level.context_frames, 2) + (frames if window is None else window)
    return level.replace(
        generator=tiny_generator(level.generator),
        critics=tuple(tiny_critic(critic, seen) for critic in level.critics),
        frames=frames,
        window=window,
        context_frames=min(level.context_frames, 2),
        steps=None,
    )


def tiny_generator(spec: GeneratorSpec) -> GeneratorSpec:
    """A generator at tiny width; its maps keep their sizes, which views and encoders depend on."""
    encoder = spec.encoder
    return spec.replace(
        latent=LATENT,
        embedding=LATENT,
        width=WIDTH,
        encoder=None if encoder is None else tiny_encoder(encoder),
    )


def tiny_encoder(spec: EncoderSpec) -> EncoderSpec:
    """An encoder with a tiny body."""
    return spec.replace(body=tiny_body(spec.body))


def tiny_body(spec: BodySpec) -> BodySpec:
    """A body at tiny width."""
    return spec.replace(width=WIDTH)


def tiny_critic(spec: CriticSpec, frames: int) -> CriticSpec:
    """A critic with a tiny body; it picks fewer frames where the clip has fewer."""
    view = spec.view
    if isinstance(view, Frames):
        view = view.replace(k=min(view.k, max(1, frames - 1)))
    return spec.replace(view=view, body=tiny_body(spec.body))
