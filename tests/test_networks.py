"""Generators and discriminators are modules like any of torch's: called, copied, compiled, exported, wrapped."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

import catalog
import steps
import vidgan
from vidgan.models import (
    DiscriminatorInput,
    DiscriminatorSpec,
    Generator,
    Head,
    HeadSpec,
    LevelSpec,
    MatchingPairSpec,
    ObjectiveSpec,
    ViewSpec,
)
from vidgan.models.cascade import below_of
from vidgan.models.costs import networks
from vidgan.models.generator import Below, from_below
from vidgan.models.losses import Scores
from vidgan.models.views import ClipShape
from vidgan.nn import (
    BatchStatistics,
    Context,
    Conv2d,
    FullAttention,
    Moments,
    NormSpec,
    Output,
    RecordedStatistics,
    RecurrentSpec,
    StandingStatistics,
    State,
    Step,
    TSRUp,
    TSRUpSpec,
    Unit,
    UnitSpec,
    Warp,
    WarpSpec,
)
from vidgan.nn.attention import Attention
from vidgan.nn.joined import join
from vidgan.nn.warping import Predict
from vidgan.run.distributed import end_process_group
from vidgan.run.experiment import Experiment
from vidgan.run.networks import build
from vidgan.run.tiny import needed_blocks
from vidgan.shapes import as_video
from vidgan.spec import SpecError, from_json, to_json
from vidgan.train.state import TrainState

CLIPS, CLASSES = 2, 3
LABEL = torch.tensor([0, 2])


class Case(NamedTuple):
    """A network in float64 and what to call it with."""

    network: nn.Module
    inputs: dict[str, Tensor]

    def __call__(self, function: Callable[..., Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Output and gradients of the network, or of a function that stands for it; views draw the same each time."""
        torch.manual_seed(5)
        self.network.zero_grad()
        output = (self.network if function is None else function)(**self.inputs)
        output.square().mean().backward()
        gradients = {n: p.grad.clone() for n, p in self.network.named_parameters() if p.grad is not None}
        return output.detach(), gradients


def random(*shape: int, seed: int = 0) -> Tensor:
    return catalog.random(*shape, seed=seed).clamp(-1, 1)


def generator_case(level: LevelSpec, below: Below | None) -> Case:
    inputs = {"z": catalog.random(CLIPS, level.generator.latent), "label": LABEL}
    if level.context_frames:
        inputs["given"] = random(CLIPS, level.context_frames, 3, level.size, level.size, seed=1)
    if below is not None:
        frames = level.trained_frames // below.factor
        inputs["below"] = random(CLIPS, frames, 3, below.size, below.size, seed=1)
    return Case(catalog.filled(level.build_generator(CLASSES, below)), inputs)


def discriminator_case(spec: DiscriminatorSpec, frames: int, side: int) -> Case:
    inputs = {"video": random(CLIPS, frames, 3, side, side), "label": LABEL}
    factor = 1
    if isinstance(spec.view, MatchingPairSpec):
        factor = 2
        inputs["below"] = random(CLIPS, frames // factor, 3, side // 2, side // 2, seed=1)
    return Case(catalog.filled(spec.build(CLASSES, spec.view.steps(frames, factor))), inputs)


def whole_case(name: str) -> Case:
    """A generator or a discriminator of the skeleton as its tiny preset has it."""
    if name in catalog.discriminators():
        level, spec = catalog.discriminators()[name]
        return discriminator_case(spec, level.seen_frames, level.size)
    preset_name, _, number = name.rpartition(" level ")
    levels = catalog.structures()[preset_name].levels
    return generator_case(levels[int(number) - 1], below_of(levels, int(number) - 1))


def small_case(name: str) -> Case:
    """The same without what another of the skeleton has too, where compiling takes seconds."""
    if name in catalog.generators():
        return generator_case(*catalog.generators()[name])
    _, spec = catalog.discriminators()[name]
    blocks = max(2, needed_blocks(spec.body))
    body = spec.body.replace(channels=spec.body.channels[:blocks])
    return discriminator_case(spec.replace(body=body), max(4, spec.view.fewest_frames), 8)


EACH_GENERATOR = [f"{name} level {index + 1}" for name, index, _ in catalog.each_level()]
EACH = [*EACH_GENERATOR, *catalog.discriminators()]
KINDS = (
    "dvd-gan-k600-12x64 level 1",
    "trivd-gan-fp-12x64-cpu level 1",
    "demo-cascade level 2",
    "demo-cascade level 2 matching",
)
"""A generator from noise, from frames and from the level below; a discriminator."""


def require_equal(ours: tuple[Tensor, dict[str, Tensor]], theirs: tuple[Tensor, dict[str, Tensor]]) -> None:
    """The same output, and gradients up to the order of sums."""
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-12, atol=1e-12)
    assert ours[1].keys() == theirs[1].keys()
    scale = max(float(gradient.abs().max()) for gradient in theirs[1].values())
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(ours[1][name], gradient, rtol=1e-9, atol=1e-9 * scale, msg=name)


# What `vidgan.build` makes, and how it is called


@pytest.mark.parametrize(("name", "level"), [("demo", 0), ("demo-cascade", 1), ("ssw-gan-joint-12x64", 0)])
def test_build_is_what_training_starts_from(name: str, level: int) -> None:
    experiment = catalog.experiments()[name]
    generator, discriminators = vidgan.build(experiment, level=level, seed=experiment.training.seed)
    state = TrainState(experiment, experiment.round_of(level), torch.device("cpu"))
    own = f"{level}." if experiment.joint else ""
    trained = state.level.generator.state_dict()
    for key, tensor in generator.state_dict().items():
        assert torch.equal(tensor, trained[f"{own}{key}"])
    prefix = f"level{level + 1}_" if experiment.joint else ""
    for key, discriminator in discriminators.items():
        expected = state.level.discriminators[f"{prefix}{key}"].state_dict()
        assert all(torch.equal(tensor, expected[k]) for k, tensor in discriminator.state_dict().items())
    assert set(discriminators) == {spec.name for spec in experiment.levels[level].discriminators}
    other, _ = build(experiment, level=level, seed=experiment.training.seed + 1)
    assert not torch.equal(other.start.weight, generator.start.weight)


def test_build_takes_the_data_s_classes() -> None:
    experiment = catalog.experiments()["demo"]
    for classes, expected in ((None, experiment.classes), (7, 7)):
        generator, discriminators = build(experiment, classes)
        assert generator.embed.weight.shape[0] == expected
        assert {d.head.embed.weight.shape[0] for d in discriminators.values()} == {expected}
    free, _ = build(experiment.replace(conditional=False, classes=1), 7)
    assert free.embed.weight.shape[0] == 1
    with pytest.raises(SpecError, match=r"demo has levels 0 to 0, not 1"):
        build(experiment, level=1)


class PlainUnit(Unit):
    """Has a layer of torch's own, which draws its weights as torch does."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.content = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def bind(self, dtype: torch.dtype) -> Step:
        def step(x: Tensor, state: State) -> Output:
            h = torch.tanh(self.content(join(*state, x)))
            return Output(h, (h,))

        return step


class PlainUnitSpec(UnitSpec):
    def build(self, inputs: int, hidden: int) -> Unit:
        return PlainUnit(inputs)


def test_layers_of_torch_s_own_are_drawn_by_the_seed_too() -> None:
    experiment = catalog.experiments()["demo"]
    (level,) = experiment.levels
    stages = tuple(
        stage.replace(
            temporal=tuple(
                layer.replace(unit=PlainUnitSpec()) if "unit" in vars(layer) else layer
                for layer in stage.temporal
            )
        )
        for stage in level.generator.stages
    )
    own = experiment.replace(levels=(level.replace(generator=level.generator.replace(stages=stages)),))
    before = torch.get_rng_state()
    weights = []
    for seed in (1, 1, 2):
        generator, _ = build(own, seed=seed)
        weights += [unit.content.weight for unit in generator.modules() if isinstance(unit, PlainUnit)]
    first, again, other = weights
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", catalog.few_first(EACH_GENERATOR))
def test_a_generator_is_called_for_a_video(name: str) -> None:
    """As training calls it: the trained length, statistics of the batch, in ``eval()`` too."""
    generator, inputs = whole_case(name)
    assert isinstance(generator, Generator)
    video = generator(**inputs)
    assert video.shape == (CLIPS, generator.frames, 3, generator.spec.size, generator.spec.size)
    conditioning = from_below(inputs["below"]) if "below" in inputs else None
    if "given" in inputs:
        conditioning = generator.encode(inputs["given"])
    more = () if conditioning is None else (conditioning,)
    embedded = generator.embed_label(LABEL)
    expected = generator.generate(inputs["z"], embedded, generator.frames, BatchStatistics(), *more)
    assert torch.equal(video, expected)
    assert torch.equal(generator.eval()(**inputs), video)


def test_a_generator_makes_other_lengths_with_other_statistics() -> None:
    generator, inputs = whole_case("dvd-gan-k600-12x64 level 1")
    recorded = RecordedStatistics()
    longer = generator(**inputs, frames=7, statistics=recorded)
    assert longer.shape[1] == 7
    standing = StandingStatistics(recorded.averages())
    torch.testing.assert_close(generator(**inputs, frames=7, statistics=standing), longer)
    alone = generator(inputs["z"][:1], LABEL[:1], 7, statistics=standing)
    torch.testing.assert_close(alone, longer[:1])


def test_a_generator_follows_the_level_below() -> None:
    generator, inputs = whole_case("demo-cascade level 2")
    below = torch.cat([inputs["below"]] * 2, dim=1)
    video = generator(inputs["z"], LABEL, below=below)
    assert video.shape[1] == 2 * generator.frames
    with pytest.raises(
        ValueError, match=rf"{below.shape[1]} frames of the level below do not make {generator.frames}"
    ):
        generator(inputs["z"], LABEL, generator.frames, below=below)


def test_a_generator_says_what_it_lacks() -> None:
    z = {"z": catalog.random(CLIPS, 6), "label": LABEL}
    pixels = random(CLIPS, 2, 3, 8, 8)
    plain, _ = whole_case("dvd-gan-k600-12x64 level 1")
    with pytest.raises(ValueError, match="takes no frames as given"):
        plain(**z, given=pixels)
    with pytest.raises(ValueError, match="fed by no level below"):
        plain(**z, below=pixels)
    with pytest.raises(ValueError, match="takes its first frames as given"):
        whole_case("trivd-gan-fp-k600-16x64 level 1").network(**z)
    with pytest.raises(ValueError, match="fed by a level below"):
        whole_case("demo-cascade level 2").network(**z)


@pytest.mark.parametrize("name", catalog.discriminators())
def test_a_discriminator_is_called_for_scores(name: str) -> None:
    """What its view draws comes from the generator of random numbers that it is given, or from torch's."""
    discriminator, inputs = whole_case(name)
    video, below = inputs["video"], inputs.get("below")
    spec = discriminator.spec
    scores = discriminator(video, LABEL, below, torch.Generator().manual_seed(1))
    draw = spec.view.draw(
        CLIPS, ClipShape(*video.shape[1:2], *video.shape[3:]), torch.Generator().manual_seed(1)
    )
    (expected,) = discriminator.scores([DiscriminatorInput(video, below, LABEL)], [draw])
    assert torch.equal(scores, expected)
    torch.manual_seed(1)
    assert torch.equal(discriminator(video, LABEL, below), scores)


@pytest.mark.parametrize("name", catalog.few_first(EACH, {*catalog.FEW_LEVELS, *KINDS}))
def test_a_copy_is_the_same_network_and_another(name: str) -> None:
    case = whole_case(name)
    copied = copy.deepcopy(case.network)
    require_equal(Case(copied, case.inputs)(), case())
    state = case.network.state_dict()
    assert not any("parametrization" in key for key in state)
    twin = copy.deepcopy(copied)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1)
    for key, tensor in case.network.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[key])


@pytest.mark.parametrize("name", KINDS)
def test_hooks_run_on_the_network_and_its_layers(name: str) -> None:
    """But on layers inside a recurrent unit, whose weights are bound once for all steps, and on the three maps of an
    attention layer, which are one product."""
    network, inputs = whole_case(name)
    called: set[str] = set()
    layers = {
        path: module
        for path, module in network.named_modules()
        if not isinstance(module, nn.ModuleList | nn.ModuleDict)
    }
    for path, module in layers.items():
        module.register_forward_hook(lambda module, given, made, path=path: called.add(path))
    network(**inputs)
    units = tuple(f"{path}." for path, module in layers.items() if isinstance(module, Unit))
    maps = {
        f"{path}.{name}"
        for path, module in layers.items()
        if isinstance(module, Attention)
        for name in ("query", "key", "value")
    }
    assert called >= {path for path in layers if not path.startswith(units)} - maps
    assert not any(path.startswith(units) for path in called)


# Compiled, exported, and one of several processes


def compiled(network: nn.Module) -> Any:
    torch.compiler.reset()
    return torch.compile(network, fullgraph=True, backend="aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", catalog.few_first([*catalog.generators(), *catalog.discriminators()], set(KINDS))
)
def test_a_compiled_network_is_the_network(name: str) -> None:
    """As one graph, forward and backward."""
    case = small_case(name)
    require_equal(case(compiled(case.network)), case())


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [FullAttention(4), Conv2d(4, 4), pytest.param(TSRUp(4), marks=pytest.mark.slow)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_compiled_layer_is_the_layer(layer: nn.Module) -> None:
    x = catalog.random(1, 2, 4, 3, 3)
    case = Case(catalog.filled(layer), {"x": x[0] if isinstance(layer, Conv2d) else x})
    require_equal(case(compiled(layer)), case())


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_an_exported_network_is_the_network(name: str) -> None:
    network, inputs = small_case(name)
    torch.manual_seed(5)
    program = torch.export.export(network, (), inputs)
    torch.manual_seed(5)
    expected = network(**inputs)
    torch.manual_seed(5)
    torch.testing.assert_close(program.module()(**inputs), expected, rtol=1e-12, atol=1e-12)


FEW = (
    *catalog.FEW_LEVELS,
    "demo-cascade level 2 matching",
    "trivd-gan-fp-k600-16x64 level 1 frames",
    "trivd-gan-fp-k600-16x64 level 1 clip",
)


def wrapped(rank: int, folder: str, names: Sequence[str]) -> None:
    """A process of two: each network's gradients, wrapped and as the mean of both processes' own."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        for number, name in enumerate(names):
            network, inputs = whole_case(name)
            rows = {key: x[rank : rank + 1] for key, x in inputs.items()}
            case = Case(network, rows)
            output, own = case()
            for gradient in own.values():
                dist.all_reduce(gradient)
                gradient /= 2
            # The encoder of Luc et al. 2020 has blocks whose features no unit takes.
            unused = len(own) < len(list(network.parameters()))
            module = DistributedDataParallel(network, find_unused_parameters=unused)
            require_equal(case(module), (output, own))

            def twice(module: nn.Module = module, **inputs: Tensor) -> Tensor:
                return module(**inputs) - module(**inputs | {"label": 2 - inputs["label"]})

            if name in catalog.discriminators():  # real and fake, then one backward pass
                case(twice)
            (Path(folder) / f"{number}-{rank}").touch()
    finally:
        end_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [FEW, pytest.param(tuple(EACH), marks=pytest.mark.long)],
    ids=["few", "all"],
)
def test_networks_work_in_distributed_data_parallel(names: Sequence[str], tmp_path: Path) -> None:
    spawn(wrapped, (str(tmp_path), names), nprocs=2)
    assert len(list(tmp_path.glob("*-*"))) == 2 * len(names)


# Parts of one's own


class FirstFrameSpec(ViewSpec):
    """The first frame alone."""

    def steps(self, frames: int, factor: int = 1) -> int:
        return 1

    def apply(self, seen: DiscriminatorInput, draw: Tensor) -> Tensor:
        return as_video(seen.clip[:, :1])


class FreeHead(Head):
    """Scores that do not ask for the class."""

    def forward(self, h: Tensor, label: Tensor) -> Tensor:
        free, _ = self.parts(h, label)
        return free


class FreeHeadSpec(HeadSpec):
    def build(self, features: int, classes: int) -> Head:
        return FreeHead(features, classes)


class SquareNormSpec(NormSpec):
    """By the mean square of a clip's channel."""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        square = x.square().mean((1, 3, 4))[:, None]
        return Moments(torch.zeros_like(square), square)


class ShiftSpec(WarpSpec):
    """Every position takes what stands to its left."""

    def build(self, inputs: int) -> Warp:
        return Shift()


class Shift(Warp):
    def bind(self, dtype: torch.dtype) -> Predict:
        def predict(x: Tensor) -> Tensor:
            kernels = x.new_zeros((x.shape[0], 9, *x.shape[2:]))
            kernels[:, 3] = 1
            return kernels

        return predict


class LastSpec(ObjectiveSpec):
    """A hinge of each discriminator's last score."""

    def outputs(self, scores: Scores) -> list[Tensor]:
        return [score[:, -1] for score in scores]


def test_a_warp_of_ones_own_moves_the_state() -> None:
    unit = TSRUpSpec(warp=ShiftSpec()).build(4, 4)
    x, first = catalog.random(2, 1, 4, 3, 3).float(), catalog.random(2, 4, 3, 3, seed=1).float()
    with torch.no_grad():
        unit.update.bias.fill_(100.0)  # all of the state that was moved, nothing of the candidate
    torch.testing.assert_close(unit(x, first)[:, 0, :, :, 1:], first[..., :-1])


def test_parts_of_ones_own_are_trained() -> None:
    """A view, a head, a normalisation, a warp and an objective: through JSON, costs and a training step."""
    experiment = catalog.experiments()["demo"]
    (level,) = experiment.levels
    temporal = (RecurrentSpec(unit=TSRUpSpec(warp=ShiftSpec())),)
    stages = tuple(stage.replace(temporal=temporal) for stage in level.generator.stages)
    own = experiment.replace(
        levels=(
            level.replace(
                generator=level.generator.replace(stages=stages, norm=SquareNormSpec()),
                discriminators=(
                    DiscriminatorSpec(
                        name="first",
                        view=FirstFrameSpec(),
                        head=FreeHeadSpec(),
                        body=catalog.BODIES["frames"],
                    ),
                ),
                objective=LastSpec(),
            ),
        )
    )
    data = to_json(own)
    assert data["levels"][0]["discriminators"][0]["view"]["is"] == "test_networks.py:FirstFrameSpec"
    assert from_json(Experiment, data) == own
    assert [network.name for network in networks(own.levels, 0, own.classes)] == ["generator", "first"]
    state = steps.level_state(own, 0)
    before = copy.deepcopy(state.level.state_dict())
    scalars = steps.run_step(state)
    assert all(bool(value.isfinite()) for value in scalars.values())
    moved = {
        name for name, tensor in state.level.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert {name.split(".")[0] for name in moved} == {"generator", "discriminators"}
    assert scalars["discriminator/first/real"].dim() == 0
