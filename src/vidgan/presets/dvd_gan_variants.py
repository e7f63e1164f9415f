"""What Clark et al. 2019 tried besides their models: the inputs of critics (4.3), normalisation and blocks (C)."""

from collections.abc import Callable
from functools import partial

from vidgan.models.level import LevelSpec
from vidgan.models.views import Clip, Crop, Frames, ViewSpec
from vidgan.nn.norm import BatchNorm, BatchNormAllFrames, GroupNorm, InstanceNorm, NoNorm, NormSpec
from vidgan.nn.residual import BigGANDeepBlocks
from vidgan.presets.dvd_gan import dvd_gan_k600_12x64
from vidgan.run.experiment import Experiment

PHI: tuple[tuple[str, ViewSpec, str], ...] = (
    ("avg2", Clip(scale=2), "pooled by 2x2, as elsewhere"),
    ("avg4", Clip(scale=4), "pooled by 4x4"),
    ("none", Clip(scale=1), "at full size"),
    ("crop", Crop(scale=2), "in a random half-sized crop"),
)
"""phi of 4.3: the name, what the clip critic sees, and how that is said."""

FRAMES = (1, 2, 8, 10)
"""k of 4.3: frames that the frame critic sees."""

NORMS: tuple[tuple[str, NormSpec, NormSpec, str], ...] = (
    ("group", GroupNorm(), GroupNorm(), "group normalisation everywhere"),
    ("layer", GroupNorm(groups=1), GroupNorm(groups=1), "layer normalisation everywhere"),
    ("instance", InstanceNorm(), InstanceNorm(), "instance normalisation everywhere"),
    ("none", NoNorm(), NoNorm(), "no normalisation at all"),
    (
        "all-frames",
        BatchNormAllFrames(),
        BatchNormAllFrames(),
        "batch normalisation over all frames of all clips",
    ),
    ("none-in-blocks", NoNorm(), BatchNorm(), "no normalisation in the blocks"),
    ("no-final", BatchNorm(), NoNorm(), "no last normalisation; fails, says the paper"),
)
"""Normalisations of C: the name, that of the blocks, the last one, and how that is said."""

ABLATION_STEPS = 100_000
"""Length of the runs of 4.3."""


def variant(name: str, description: str, level: LevelSpec, deviations: tuple[str, ...] = ()) -> Experiment:
    """The model for 12 frames of 64x64 with another level."""
    paper = dvd_gan_k600_12x64()
    return paper.replace(
        name=name,
        description=f"DVD-GAN, 12 frames of 64x64: {description}.",
        source="Clark et al. 2019, C",
        deviations=(*paper.deviations, *deviations),
        levels=(level,),
    )


def ablation(name: str, description: str, level: LevelSpec) -> Experiment:
    """One curve of Figure 7: 100,000 steps. The paper trains three of each; give them the seeds 0, 1 and 2."""
    experiment = variant(name, description, level)
    training = experiment.training.replace(steps=ABLATION_STEPS)
    return experiment.replace(source="Clark et al. 2019, 4.3, Figure 7", training=training)


def phi(name: str, view: ViewSpec, words: str) -> Experiment:
    """Another downsampling for the clip critic (4.3)."""
    (level,) = dvd_gan_k600_12x64().levels
    frames, clip = level.critics
    changed = level.replace(critics=(frames, clip.replace(view=view)))
    return ablation(f"dvd-gan-phi-{name}", f"the clip critic sees the clip {words}", changed)


def k(count: int) -> Experiment:
    """Another number of frames for the frame critic (4.3)."""
    (level,) = dvd_gan_k600_12x64().levels
    frames, clip = level.critics
    changed = level.replace(critics=(frames.replace(view=Frames(k=count)), clip))
    return ablation(f"dvd-gan-k{count}", f"the frame critic sees k = {count} of them", changed)


def norm(name: str, blocks: NormSpec, final: NormSpec, words: str) -> Experiment:
    """Another normalisation in the generator (C).

    Our choice: what replaces batch normalisation replaces the last one too, unless C says otherwise, and gains and
    biases stay where nothing is normalised: they are how noise and class reach a block. C prints no number of steps, so
    it is that of the main models.
    """
    (level,) = dvd_gan_k600_12x64().levels
    generator = level.generator.replace(norm=blocks, final_norm=final)
    return variant(f"dvd-gan-norm-{name}", words, level.replace(generator=generator))


def deep_blocks() -> Experiment:
    """The residual blocks of BigGAN-deep (C)."""
    (level,) = dvd_gan_k600_12x64().levels
    kind = BigGANDeepBlocks()
    stages = tuple(stage.replace(residual=kind) for stage in level.generator.stages)
    critics = tuple(critic.replace(body=critic.body.replace(residual=kind)) for critic in level.critics)
    return variant(
        "dvd-gan-deep-blocks",
        "residual blocks of BigGAN-deep in generator and critics",
        level.replace(generator=level.generator.replace(stages=stages), critics=critics),
        (
            "numbers of blocks and widths stay those of A.2, and critics have no convolution of pixels before their "
            "first block; C names the blocks alone",
        ),
    )


ALL: tuple[Callable[[], Experiment], ...] = (
    *(partial(phi, *row) for row in PHI),
    *(partial(k, count) for count in FRAMES),
    *(partial(norm, *row) for row in NORMS),
    deep_blocks,
)
"""Every variant."""
