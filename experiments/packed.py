"""Small models whose clip discriminators see two clips of a class at once, against clips of a class that are alike.

``vidgan train experiments/packed.py:demo``, or variants of it:

    python experiments/variants.py experiments/packed.py:demo experiments/plans/packed.json --out runs/packed

``driving``, for real clips by class, is measured in docs/results/driving.md. ``demo_relative`` and ``driving_relative``
are the same with one hinge on the difference of a real and a fake clip.
"""

from vidgan.models import ClassMarginSpec, PackSpec, RelativeHingeSpec, SumThenHingeSpec
from vidgan.presets import preset
from vidgan.run.experiment import AdamSpec, Experiment


def in_pairs(name: str, channels: tuple[int, ...]) -> Experiment:
    """A preset whose clip discriminator sees pairs, with more channels for twice as much to see."""
    single = preset(name)
    (level,) = single.levels
    frames, clip = level.discriminators
    pairs = clip.replace(view=PackSpec(view=clip.view), body=clip.body.replace(channels=channels))
    said = (
        f"the clip discriminator sees two clips of a class at once (Lin et al. 2018), with channels "
        f"{', '.join(map(str, channels))}"
    )
    return single.replace(
        name=f"{name}-packed",
        levels=(level.replace(discriminators=(frames, pairs)),),
        deviations=(said, *single.deviations),
    )


def without(deviations: tuple[str, ...], *beginnings: str) -> tuple[str, ...]:
    """Those that do not begin so: what is said anew."""
    return tuple(text for text in deviations if not text.startswith(beginnings))


def demo() -> Experiment:
    """The demo in pairs, with the paper's order of rates, and a margin of classes of single frames alone."""
    tour = in_pairs("demo", (2, 4, 8))
    return tour.replace(
        deviations=(
            "learning rates 2e-3 and 5e-3 instead of 1e-4 and 2e-4; Adam beta2 0.99, where the paper names none",
            "the frame discriminator also learns to tell the classes of real clips apart by a margin (of 1, weight 8)",
            *without(tour.deviations, "learning rates", "discriminators also learn"),
        ),
        training=tour.training.replace(
            adam=AdamSpec(generator_rate=2e-3, discriminator_rate=5e-3, beta2=0.99),
            class_margin=ClassMarginSpec(weight=8.0, margin=1.0, only=("frames",)),
        ),
    )


def driving() -> Experiment:
    """``dvd-gan-12x64-cpu`` in pairs, with a small margin of classes, so that each is held to its motion."""
    small = in_pairs("dvd-gan-12x64-cpu", (2, 4, 8, 8))
    return small.replace(
        deviations=(
            "discriminators also learn to tell the classes of real clips apart by a margin (of 1, weight 1)",
            *small.deviations,
        ),
        training=small.training.replace(class_margin=ClassMarginSpec(weight=1.0, margin=1.0)),
    )


def relative(packed: Experiment) -> Experiment:
    """An experiment whose discriminators compare a real clip with a fake one of its class."""
    (level,) = packed.levels
    assert isinstance(level.objective, SumThenHingeSpec)
    objective = RelativeHingeSpec(mean=level.objective.mean)
    said = "one hinge on the difference of a real and a fake clip (Jolicoeur-Martineau 2018) instead of one for each"
    return packed.replace(
        name=f"{packed.name}-relative",
        levels=(level.replace(objective=objective),),
        deviations=(said, *packed.deviations),
    )


def demo_relative() -> Experiment:
    """``demo`` with a relative objective."""
    return relative(demo())


def driving_relative() -> Experiment:
    """``driving`` with a relative objective."""
    return relative(driving())
