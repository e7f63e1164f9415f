"""CVG's three levels in small, for a few CPU cores: 12 frames of 24x24, 24 of 48x48 and 48 of 96x96.

``vidgan train experiments/small_cascade.py:cascade``; ``no_matching`` is the same without its discriminators of pairs.
docs/results/driving-cascade.md shows what 44 minutes of a core per level make of it.
"""

from vidgan.models import DiscriminatorSpec, FramesSpec, LevelSpec
from vidgan.nn import SeparableConvolutionSpec
from vidgan.presets import preset
from vidgan.presets.ssw_gan import RECURRENT, generator, upsampling_discriminators, without_matching
from vidgan.run.experiment import Experiment

WIDTH = 8


def cascade() -> Experiment:
    """Strides 4, 2 and 1; windows of 12 frames above the first level; without classes."""
    small = preset("dvd-gan-12x64-cpu")
    (single,) = small.levels
    first = LevelSpec(
        generator=generator((8, 4, 2, 1), WIDTH, 3, RECURRENT),
        discriminators=in_small((2, 4, 8))[:2],
        objective=single.objective,
        frames=12,
        stride=4,
    )
    second = first.replace(
        generator=generator((4, 2, 1), WIDTH, 12, SeparableConvolutionSpec()),
        discriminators=in_small((1, 2, 4, 8)),
        frames=24,
        stride=2,
        window=12,
    )
    third = second.replace(
        generator=generator((4, 2, 1, 1), WIDTH, 12, SeparableConvolutionSpec()),
        discriminators=in_small((1, 2, 4, 8, 8)),
        frames=48,
        stride=1,
    )
    return small.replace(
        name="small-cascade",
        description="CVG in small, for a few CPU cores: 12 frames of 24x24, 24 of 48x48, 48 of 96x96, without classes.",
        source="CVG; sizes are ours",
        deviations=(
            "three levels of 12x24x24, 24x48x48 and 48x96x96, every fourth, second and single frame; windows of 12 "
            "frames above the first",
            "width 8 throughout; four frames for frame discriminators; means over positions, frames and steps instead "
            "of sums; input times 8",
            *without_networks(small.deviations),
        ),
        levels=(first, second, third),
        smooth_views=True,
        classes=1,
        conditional=False,
    )


def without_networks(deviations: tuple[str, ...]) -> tuple[str, ...]:
    """What is said of training, and of all networks: not those of single levels."""
    return tuple(text for text in deviations if not text.startswith(("generator:", "discriminators:")))


def no_matching() -> Experiment:
    """Without the discriminators of pairs."""
    whole = cascade()
    first, *others = whole.levels
    return whole.replace(name="small-cascade-no-matching", levels=(first, *map(without_matching, others)))


def in_small(channels: tuple[int, ...]) -> tuple[DiscriminatorSpec, ...]:
    """The discriminators of frames, clips and pairs, with means instead of sums, and four frames."""
    paper = upsampling_discriminators(channels, WIDTH)
    return tuple(
        each.replace(
            body=each.body.replace(input_gain=8.0),
            view=each.view.replace(k=4) if isinstance(each.view, FramesSpec) else each.view,
            mean_pool=True,
        )
        for each in paper
    )
