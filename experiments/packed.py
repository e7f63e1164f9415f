"""Small models whose clip discriminators see two clips of a class at once, against clips of a class that are alike.

``vidgan train experiments/packed.py:demo``, or variants of it:

    python experiments/variants.py experiments/packed.py:demo experiments/plans/packed.json --out runs/packed

``driving``, for real clips by class, is not tried yet.
"""

from vidgan.models import ClassMarginSpec, DiscriminatorSpec, PackSpec
from vidgan.presets import preset
from vidgan.run.experiment import AdamSpec, Experiment


def in_pairs(clip: DiscriminatorSpec, channels: tuple[int, ...]) -> DiscriminatorSpec:
    """A discriminator of pairs, with more channels for twice as much to see."""
    return clip.replace(view=PackSpec(view=clip.view), body=clip.body.replace(channels=channels))


def demo() -> Experiment:
    """The demo in pairs, with the paper's order of rates, and a margin of classes of single frames alone."""
    tour = preset("demo")
    (level,) = tour.levels
    frames, clip = level.discriminators
    return tour.replace(
        name="demo-packed",
        levels=(level.replace(discriminators=(frames, in_pairs(clip, (2, 4, 8)))),),
        training=tour.training.replace(
            adam=AdamSpec(generator_rate=2e-3, discriminator_rate=5e-3, beta2=0.99),
            class_margin=ClassMarginSpec(weight=8.0, margin=1.0, only=(frames.name,)),
        ),
    )


def driving() -> Experiment:
    """``dvd-gan-12x64-cpu`` in pairs, with a small margin of classes, so that each is held to its motion."""
    small = preset("dvd-gan-12x64-cpu")
    (level,) = small.levels
    frames, clip = level.discriminators
    return small.replace(
        name="dvd-gan-12x64-cpu-packed",
        levels=(level.replace(discriminators=(frames, in_pairs(clip, (2, 4, 8, 8)))),),
        training=small.training.replace(class_margin=ClassMarginSpec(weight=1.0, margin=1.0)),
    )
