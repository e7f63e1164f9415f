"""An experiment is a model, data and an optimiser, written down as plain data; what it reads of a dataset."""

import math
from collections import Counter
from typing import Any, Self

import torch

from vidgan.bounds import Count, Length, NotNegative, Number, PartBelowOne, PositivePart, Seed
from vidgan.data.dataset import Dataset
from vidgan.data.filters import BILINEAR, Filter
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError, some
from vidgan.models.cascade import below_of
from vidgan.models.discriminator import MixedProjectionSpec
from vidgan.models.generator import StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.losses import ClassMarginSpec, PixelLossSpec, RelativeHingeSpec, VarietySpec
from vidgan.nn.layers import InitialiserSpec, OrthogonalSpec
from vidgan.nn.recurrent import UnitSpec
from vidgan.nn.temporal import RecurrentSpec, TemporalSpec
from vidgan.run.batch import BatchSpec
from vidgan.run.collapse import CollapseSpec
from vidgan.spec import Spec, require, to_json


class AdamSpec(Spec):
    """Adam for generator and discriminators."""

    generator_rate: NotNegative = 1e-4
    """learning rate of the generator (Clark et al. 2019, A.3)"""
    discriminator_rate: NotNegative = 2e-4
    """learning rate of the discriminators (Clark et al. 2019, A.3)"""
    # Our choice for DVD-GAN, whose paper prints no betas: those of Luc et al. 2020, which are BigGAN's.
    beta1: PartBelowOne = 0.0
    """decay of the gradient's mean (Luc et al. 2020, E.2)"""
    beta2: PartBelowOne = 0.999
    """decay of the gradient's square (Luc et al. 2020, E.2)"""
    # Our choice: the usual value; no paper prints it.
    epsilon: NotNegative = 1e-8
    """added to the denominator"""
    # Our choice: no paper's rates fall. Without, weights swing from step to step as widely at the end as before.
    falls_from: Number | None = None
    """step from which both rates fall in a straight line, to nothing behind the level's last step; none: they stay"""

    def part_at(self, step: int, last: int) -> float:
        """Which part of the rates an update has that follows ``step`` others, in a training of ``last`` steps."""
        if self.falls_from is None or step < self.falls_from:
            return 1.0
        return max(0, last - step) / max(1, last - self.falls_from)


class AverageSpec(Spec):
    """Exponential moving average of the generator's weights; sampling uses it."""

    decay: PartBelowOne = 0.9999
    """weight of the old average at each step"""
    start: Number = 20_000
    """steps before averaging begins; until then the average is the latest weights"""
    ramp: PositivePart | None = None
    """the average looks back on this part of the steps so far, while that is less than what decay says, so that a short
    training is averaged over as little as it has; none: always as decay says"""
    feeds: bool = True
    """in a cascade, the average feeds the levels above; False: the raw weights do"""

    def decay_at(self, updates: int) -> float:
        """The decay of update number ``updates`` (from 1) since averaging began; 0 while it takes the weights as such.

        A decay d looks back on 1 / (1 - d) steps, with a ramp r on r t at step t: the weights at step t count as
        t^(1 / r - 1), the power function of Karras et al. 2024 ("EDM2", 3.1).
        """
        if self.ramp is None:
            return self.decay
        return min(self.decay, max(0.0, 1 - 1 / (self.ramp * updates)))


class StandingStatisticsSpec(Spec):
    """Standing statistics: forward passes whose batch statistics are averaged (Luc et al. 2020, E.2).

    Our choice for DVD-GAN: the same; its paper does not say what statistics sampling uses.
    """

    batches: Count = 100
    """number of forward passes"""
    clips: Count = 256
    """clips per pass, which gives the statistics of one batch, however few of them are in memory at a time"""
    sigma: NotNegative | None = None
    """standard deviation of their noise; None: that of the noise which is then sampled with"""
    at_once: Count | None = None
    """clips in memory at a time, here and where a run samples; changes rounding alone. None: as many whole videos as
    have no more frames than a micro-batch of training"""

    def facts(self) -> dict[str, Any]:
        """What statistics depend on, as JSON."""
        return {name: value for name, value in to_json(self).items() if name != "at_once"}

    def at(self, sigma: float) -> Self:
        """Those for samples whose noise has this deviation: filled in, unless one is set."""
        return self if self.sigma is not None else self.replace(sigma=sigma)

    @property
    def deviation(self) -> float:
        """Of their noise: 1, unless one is set or filled in."""
        return 1.0 if self.sigma is None else self.sigma


class TrainingSpec(Spec):
    """How a level is trained."""

    steps: Number = 300_000
    """generator updates"""
    discriminator_updates: Count = 2
    """discriminator updates per generator update"""
    batch: BatchSpec = BatchSpec()
    adam: AdamSpec = AdamSpec()
    average: AverageSpec | None = AverageSpec()
    """moving average of the generator's weights; None samples the raw weights"""
    orthogonal_penalty: NotNegative = 0.0
    """weight of the generator's orthogonality penalty (Luc et al. 2020, E.2: 1e-4)"""
    class_margin: ClassMarginSpec | None = None
    """discriminators also learn to tell the classes of real clips apart; no paper has it"""
    pixel_loss: PixelLossSpec | None = None
    """keeps the generator's videos as bright as the data (Du 2020, 4.5)"""
    variety: VarietySpec | None = None
    """spreads the futures of the same frames, or without given frames the samples of a class; no paper has it"""
    initial: InitialiserSpec = OrthogonalSpec()
    standing_statistics: StandingStatisticsSpec = StandingStatisticsSpec()
    # Our choice: it halves memory and traffic; the papers do not say what they compute in.
    bf16: bool = True
    """compute in bfloat16 with float32 weights, statistics and losses"""
    folded: bool = True
    """compute convolutions and changes of size beside them in other ways where faster: the same function"""
    compile: bool = False
    """compile the networks by torch.compile: the first steps take minutes, later ones are the same function"""
    flip: bool = False
    """mirror clips at random"""
    seed: Seed = 0
    """everything random derives from it"""

    @property
    def dtype(self) -> torch.dtype | None:
        """What networks compute in; None: in the dtype of their weights."""
        return torch.bfloat16 if self.bf16 else None


class BestSpec(Spec):
    """How a run finds its best checkpoint. Of a cascade every level has one, and those above are fed by the best."""

    protocol: str | None = None
    """a protocol of vidgan evaluate; none: the first of those that are evaluated (reporting.evaluate)"""
    every: Count = 5000
    """steps between evaluations"""
    clips: Count | None = None
    """evaluated clips; none: as many as the protocol says"""
    patience: Count | None = None
    """evaluations in a row without a better result after which training ends; none trains all steps"""


class ReportingSpec(Spec):
    """What a run writes and how often."""

    tick: Count = 100
    """steps between lines of the log"""
    checkpoint: Count = 1000
    """steps between checkpoints"""
    keep: Count = 3
    """latest checkpoints that are kept"""
    keep_at: tuple[Count, ...] = ()
    """steps, such as a figure's, whose checkpoints are written and kept besides"""
    samples: Count | None = 1000
    """steps between samples from fixed latents, which the end of a level has too; None: there are none"""
    collapse: CollapseSpec = CollapseSpec()
    """when the collapse detector gives alarm"""
    best: BestSpec = BestSpec()
    """evaluations while training, to find the best checkpoint"""
    evaluate: tuple[str, ...] = ()
    """protocols that are evaluated at the same steps, beside that of best; none of either: nothing is"""

    def validate(self) -> None:
        for name in ("clips", "patience"):
            used = getattr(self.best, name) is None or self.protocols
            require(bool(used), f"{name} is of no use without a protocol")

    @property
    def protocols(self) -> tuple[str, ...]:
        """Protocols that are evaluated while training; the first one decides which checkpoint is best."""
        first = () if self.best.protocol is None else (self.best.protocol,)
        return tuple(dict.fromkeys((*first, *self.evaluate)))


class Experiment(Spec):
    """All that is needed to train a model, except the data itself."""

    name: str
    """name of the preset"""
    description: str = ""
    """what it is, in a sentence or two"""
    source: str = ""
    """paper and section it follows"""
    deviations: tuple[str, ...] = ()
    """what it changes against its paper"""
    levels: tuple[LevelSpec, ...]
    classes: Count = 1
    """classes of the paper's data; the data at hand decide when a run starts"""
    conditional: bool = True
    """whether clips are generated by class; class-free data is one class"""
    smooth_views: bool = False
    """lower levels see the data resized bilinearly (CVG) instead of by nearest neighbour (SSW-GAN)"""
    resize: Filter = BILINEAR
    """what the paper's clips are resized by; clips larger than the model are, whenever they are read"""
    joint: bool = False
    """levels are trained together, end to end, on the discriminators that they have (SSW-GAN, H), not one
    after another"""
    above: tuple[Length, ...] = ()
    """where these are the first levels of a cascade, on their own: sizes of the levels above them, the top one first;
    real clips are of that size, and are brought down through all (pixels)"""
    training: TrainingSpec = TrainingSpec()
    reporting: ReportingSpec = ReportingSpec()

    def validate(self) -> None:
        require(len(self.levels) > 0, "an experiment needs at least one level")
        for index, level in enumerate(self.levels):
            below_of(self.levels, index)
            needed = not self.joint or index == len(self.levels) - 1
            require(
                len(level.discriminators) > 0 or not needed,
                f"level {index + 1} needs at least one discriminator",
            )
        if (margin := self.training.class_margin) is not None:
            names = {discriminator.name for level in self.levels for discriminator in level.discriminators}
            strange = [name for name in margin.only if name not in names]
            require(
                not strange, f"class_margin.only names {some(strange, 4)}; there are {some(sorted(names), 8)}"
            )
        for index, level in enumerate(self.levels):
            self._require_uses(index, level.lower_video_uses)
        same = len({level.steps for level in self.levels}) == 1
        require(same or not self.joint, "levels that are trained together take the same number of steps")
        own = {(level.global_batch, level.micro_batch) for level in self.levels}
        require(len(own) == 1 or not self.joint, "levels that are trained together take the same batches")
        require(not self.joint or len(self.levels) > 1, "joint training needs two levels or more")

    def _require_uses(self, index: int, uses: int) -> None:
        """Refuse ``uses`` of a lower video that level ``index`` does not have, or not so many."""
        training, asked = (
            self.training,
            f"levels.{index}.lower_video_uses (of level {index + 1}) is {uses}",
        )
        fed = index > 0 and not self.joint
        require(
            uses == 1 or fed, f"{asked}, but that level is not fed by trained levels below it: leave it at 1"
        )
        most = training.discriminator_updates + 1
        require(uses <= most, f"{asked}, but a step has {most} updates, the generator's included")
        losses = ("pixel_loss", "variety")
        paired = [f"training.{name}" for name in losses if getattr(training, name) is not None]
        if isinstance(self.levels[index].objective, RelativeHingeSpec):
            paired.append(f"levels.{index}.objective")
        require(
            uses == 1 or not paired,
            f"{asked}, but {' and '.join(paired)} compares fakes with real clips of the same class, "
            "and the second use of a lower video has other real clips",
        )

    def for_classes(self, classes: int) -> "Experiment":
        """The experiment for data with this many classes; a class-free one stays at one."""
        return self.replace(classes=classes if self.conditional else 1)

    def with_statistics(self, sigma: float | None) -> Self:
        """A copy whose standing statistics are of noise of this deviation, whatever is sampled with; None: as it is."""
        if sigma is None:
            return self
        statistics = self.training.standing_statistics.replace(sigma=sigma)
        return self.replace(training=self.training.replace(standing_statistics=statistics))

    @property
    def size(self) -> int:
        """Height and width of the finished videos, pixels."""
        return self.levels[-1].size

    @property
    def data_size(self) -> int:
        """Height and width of the real clips that levels see views of, pixels."""
        return (*self.above, self.size)[0]

    def up_to(self, level: int) -> Self:
        """The first ``level`` levels (from 1) as a model of their own, which sees the data as it does in the cascade.

        Raises:
            UserError: if there is no such level, or levels are trained together.
        """
        if level == len(self.levels):
            return self
        if not 1 <= level <= len(self.levels):
            known = ", ".join(str(number + 1) for number in range(len(self.levels)))
            raise UserError(f"this model has no level {level}; it has {known}")
        if self.joint:
            raise UserError("levels that are trained together are no models of their own: leave out level")
        above = (*self.above, *(each.size for each in reversed(self.levels[level:])))
        return self.replace(levels=self.levels[:level], above=above)

    @property
    def rounds(self) -> tuple[int, ...]:
        """Levels that are trained one after another; where all are trained together, the top one stands for them."""
        last = len(self.levels) - 1
        return (last,) if self.joint else tuple(range(last + 1))

    def with_width(self, width: int) -> Self:
        """A copy in which all networks of all levels have this width (the papers' ch); ``deviations`` say so.

        Channels stay the same multiples of it, so operations and weights change by about its square. ::

            small = vidgan.preset("dvd-gan-k600-12x64").with_width(32)

        Raises:
            SpecError: if it is less than 1.
        """
        before = sorted({own for level in self.levels for own in level.widths})
        said = f"all networks of width {width} instead of {' and '.join(map(str, before))}"
        levels = tuple(level.with_width(width) for level in self.levels)
        return self.replace(levels=levels, deviations=(*self.deviations, said))

    def with_unit(self, unit: UnitSpec) -> Self:
        """A copy in which ``unit`` is the unit of every recurrent layer, on all levels; ``deviations`` say so.

        Raises:
            SpecError: if no layer is recurrent.
        """
        replaced: list[UnitSpec] = []

        def layer_with(layer: TemporalSpec) -> TemporalSpec:
            if not isinstance(layer, RecurrentSpec):
                return layer
            replaced.append(layer.unit)
            return layer.replace(unit=unit)

        def stage_with(stage: StageSpec) -> StageSpec:
            return stage.replace(temporal=tuple(layer_with(layer) for layer in stage.temporal))

        def level_with(level: LevelSpec) -> LevelSpec:
            stages = tuple(stage_with(stage) for stage in level.generator.stages)
            return level.replace(generator=level.generator.replace(stages=stages))

        levels = tuple(level_with(level) for level in self.levels)
        require(len(replaced) > 0, f"no layer of {self.name} is recurrent, so none can have the unit {unit}")
        before = " and ".join(dict.fromkeys(str(old) for old in replaced))
        said = f"the unit of every recurrent layer is {unit} instead of {before}"
        return self.replace(levels=levels, deviations=(*self.deviations, said))

    def round_of(self, index: int) -> int:
        """The round in which level ``index`` is trained, whose checkpoints hold it."""
        return len(self.levels) - 1 if self.joint else index

    def steps_of(self, index: int) -> int:
        """Generator updates of level ``index``."""
        return self.levels[index].steps or self.training.steps

    def batch_of(self, index: int) -> BatchSpec:
        """How a batch of level ``index`` is put together."""
        level, batch = self.levels[index], self.training.batch
        return batch.replace(
            global_batch=level.global_batch or batch.global_batch,
            micro_batch=level.micro_batch or batch.micro_batch,
        )

    def micro_batch_option(self, index: int) -> str:
        """The option that sets the micro-batch of level ``index`` and of no other."""
        alone = len(self.rounds) == 1 and self.levels[index].micro_batch is None
        return "--training.batch.micro-batch" if alone else f"--levels.{index}.micro-batch"

    def with_micro_batch(self, index: int, clips: int) -> Self:
        """A copy in which level ``index``, and what is trained together with it, sees ``clips`` clips in a pass."""
        levels = [
            level.replace(micro_batch=clips) if self.round_of(number) == self.round_of(index) else level
            for number, level in enumerate(self.levels)
        ]
        return self.replace(levels=tuple(levels))

    @property
    def below_averaged(self) -> bool:
        """Whether levels are fed by the moving average of those below."""
        return self.training.average is not None and self.training.average.feeds


OWN_STATISTICS = (
    "batch statistics are those of each process alone; TrIVD-GAN, CVG and BigGAN share them: "
    "--training.batch.sync-batch-norm True"
)


def remarks_on_passes(experiment: Experiment, processes: int) -> list[str]:
    """What to know where so many processes share a batch, or it is cut into passes: sentences."""
    batches = [experiment.batch_of(index) for index in experiment.rounds]
    own = any(
        batch.share(processes).per_pass < batch.largest_pass() and not batch.sync_batch_norm
        for batch in batches
    )
    return [told for told in (OWN_STATISTICS if own else None, nothing_to_mix(experiment, processes)) if told]


def level_in_words(index: int) -> str:
    """A level as words call it, which count from 1, and as options do, which count from 0."""
    return f"level {index + 1} (--levels.{index})"


def nothing_to_mix(experiment: Experiment, processes: int = 1) -> str | None:
    """A sentence where mixed projection (Luc et al. 2020, Eq. 15) gets passes of a single clip; None elsewhere."""
    for index, level in enumerate(experiment.levels):
        batch = experiment.batch_of(index)
        passes = -(-batch.share(processes).clips // batch.micro_batch)
        mixed = any(isinstance(each.head, MixedProjectionSpec) for each in level.discriminators)
        if mixed and batch.global_batch // processes // passes <= 1:
            return (
                "mixed projection pairs the clips of one forward pass, and here passes have a single clip, so nothing "
                f"is mixed and the loss is another one: take a larger {experiment.micro_batch_option(index)} or fewer "
                "processes"
            )
    return None


def require_experiment(value: object) -> None:
    """Raise :class:`UserError` for a preset's name, say, where the experiment itself is wanted."""
    if not isinstance(value, Experiment):
        raise UserError(
            f"an experiment is wanted, such as vidgan.preset('demo'), not a {type(value).__name__}"
        )


def window_of(experiment: Experiment, index: int) -> WindowSpec:
    """What a level's training reads of the data: clips at the top level's size, the level's own frames.

    Where levels are trained together, whole videos: their windows are cut from these.
    """
    level = experiment.levels[index]
    frames = level.frames if experiment.joint else level.seen_frames
    size, flip = experiment.data_size, experiment.training.flip
    return WindowSpec(size=size, frames=frames, stride=level.stride, flip=flip, filter=experiment.resize)


def together_of(experiment: Experiment, index: int) -> int:
    """Clips of one class that follow each other in what a level's training reads."""
    levels = experiment.levels if experiment.joint else (experiment.levels[index],)
    return math.lcm(*(level.together for level in levels))


def longest_span(experiment: Experiment) -> int:
    """Source frames that a clip must have for every level's training to read it."""
    return max(window_of(experiment, index).span for index in experiment.rounds)


def whole_window(experiment: Experiment) -> WindowSpec:
    """A finished video's worth of the data: conditioning frames and all frames of the top level."""
    top = experiment.levels[-1]
    frames = top.context_frames + top.frames
    return WindowSpec(size=experiment.size, frames=frames, stride=top.stride, filter=experiment.resize)


def label_counts(experiment: Experiment, dataset: Dataset) -> tuple[int, ...]:
    """How often the data have each class, in lowest terms; a class-free experiment has one."""
    if not experiment.conditional:
        return (1,)
    found = Counter(dataset.labels().tolist())
    counts = [found[label] for label in range(experiment.classes)]
    return tuple(count // math.gcd(*counts) for count in counts)
