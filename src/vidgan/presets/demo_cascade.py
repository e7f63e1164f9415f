"""A small cascade that learns eight synthetic classes in minutes on two cores, with and without matching."""

from vidgan.models.critic import CriticSpec
from vidgan.models.generator import GeneratorSpec
from vidgan.models.level import LevelSpec
from vidgan.models.stage import StageSpec
from vidgan.models.views import MatchingPair
from vidgan.nn.temporal import SeparableConvolution
from vidgan.presets.demo import earlier_demo
from vidgan.run.experiment import Experiment


def demo_cascade() -> Experiment:
    """12 frames of 16x16, then windows of 8 frames of 32x32; 24 frames of 32x32 when unrolled."""
    tour = earlier_demo()
    (level,) = tour.levels
    tower = level.generator
    frames, clip = level.critics
    first = level.replace(
        generator=tower.replace(side=4, stages=tower.stages[:2]),
        frames=12,
        stride=2,
    )
    unit = StageSpec(channels=2, temporal=(SeparableConvolution(),), blocks=1)
    upsampling = GeneratorSpec(width=8, side=8, channels=4, stages=(unit, unit.replace(channels=1)))
    matching = CriticSpec(name="matching", view=MatchingPair(), body=clip.body, mean_pool=True)
    second = LevelSpec(
        generator=upsampling,
        critics=(frames, clip, matching),
        objective=level.objective,
        frames=24,
        window=8,
    )
    return tour.replace(
        name="demo-cascade",
        description="A small SSW-GAN on the built-in clips: 16x16/12, then windows of 32x32/8.",
        source="SSW-GAN, 3-5",
        deviations=(
            "built-in clips and the sizes, widths, critics, objective and training of the preset demo, whose own "
            "deviations hold here too, but for these: the frame critic has channels 2, 4, 8, batches go through in one "
            "pass, and the moving average has a decay of 0.993",
            "level 1: 12 frames of 16x16, two stages, a ConvGRU at 4x4 alone",
            "level 2: windows of 8 frames of 32x32 from 4; two units, both of which upsample, of one 2-D block each",
        ),
        levels=(first, second),
    )


def demo_cascade_no_matching() -> Experiment:
    """The same without the critic of pairs ("No MD" in Table 2)."""
    whole = demo_cascade()
    first, second = whole.levels
    return whole.replace(
        name="demo-cascade-no-matching",
        description="The preset demo-cascade without its matching critic.",
        source="SSW-GAN, 5.1, Table 2",
        levels=(first, second.replace(critics=second.critics[:2])),
    )


ALL = (demo_cascade, demo_cascade_no_matching)
