"""The demo against clips of a class that are alike: a wider clip discriminator that sees two of them at once.

``vidgan train experiments/packed_demo.py:packed``, or variants of it:

    python experiments/variants.py experiments/packed_demo.py:packed experiments/plans/packed_demo.json --out runs/p
"""

from vidgan.models import ClassMarginSpec, PackSpec
from vidgan.presets import preset
from vidgan.run.experiment import AdamSpec, Experiment


def packed() -> Experiment:
    """The demo with packs of two clips, the paper's order of rates, and a margin of classes of single frames alone."""
    tour = preset("demo")
    (level,) = tour.levels
    frames, clip = level.discriminators
    pairs = clip.replace(view=PackSpec(view=clip.view), body=clip.body.replace(channels=(2, 4, 8)))
    return tour.replace(
        name="demo-packed",
        levels=(level.replace(discriminators=(frames, pairs)),),
        training=tour.training.replace(
            adam=AdamSpec(generator_rate=2e-3, discriminator_rate=5e-3, beta2=0.99),
            class_margin=ClassMarginSpec(weight=8.0, margin=1.0, only=(frames.name,)),
        ),
    )
