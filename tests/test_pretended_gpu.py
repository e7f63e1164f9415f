"""Nothing in a training step waits for a GPU or mixes devices, whatever the preset."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import catalog
from pretended_gpu import GPU, MixedError, PretendedGPU, WaitError
from vidgan.models.cascade import FrozenLevel, below_of, by_label, sample_levels
from vidgan.nn.norm import RecordedStatistics, StandingStatistics
from vidgan.run.experiment import Experiment
from vidgan.run.transfer import ALIGNMENT, pack, sent, unpack
from vidgan.train.kernels import training_kernels
from vidgan.train.levels_below import levels_below
from vidgan.train.monitor import Monitor
from vidgan.train.plan import made_up_clips
from vidgan.train.state import TrainState
from vidgan.train.step import real_input, training_step

WAITING: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0, 0]),
    "bool": lambda x: bool(x.sum() > 0),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "numpy": lambda x: x.to("cpu").numpy(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "numbers of the CPU": lambda x: x[torch.tensor([1, 0])],
    "a blocking copy": lambda x: x + torch.zeros(2, 3).to(GPU),
    "an assignment": lambda x: x.copy_(torch.zeros(2, 3)),
    "a list": lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=GPU),
    "a new tensor": lambda x: x + x.new_tensor([1.0, 2.0, 3.0]),
}
MIXING: dict[str, Callable[[Tensor], object]] = {
    "a sum": lambda x: x + torch.zeros(3),
    "a product": lambda x: torch.zeros(4, 2) @ x,
    "a list of tensors": lambda x: torch.cat([x, torch.zeros(1, 3)]),
}


@pytest.mark.parametrize("work", WAITING.values(), ids=WAITING)
def test_what_waits_is_found(work: Callable[[Tensor], object]) -> None:
    with pytest.raises(WaitError), PretendedGPU():
        work(torch.ones(2, 3, device=GPU))


@pytest.mark.parametrize("work", MIXING.values(), ids=MIXING)
def test_what_mixes_is_found(work: Callable[[Tensor], object]) -> None:
    with pytest.raises(MixedError), PretendedGPU():
        work(torch.ones(2, 3, device=GPU))


def test_what_does_neither_passes() -> None:
    with PretendedGPU() as gpu:
        x = torch.ones(2, 3, device=GPU)
        y = torch.zeros(3).to(GPU, non_blocking=True)
        ((x + y) * torch.tensor(2.0) + 1)[:, torch.arange(2, device=GPU)].sum()
        torch.ones(2).sum().item()  # of the CPU
    assert gpu.sent == 1


def test_tensors_that_travel_together_arrive_as_they_were() -> None:
    given = [
        torch.arange(6).view(2, 3),
        torch.zeros((3, 0), dtype=torch.int64),
        torch.randn(5, generator=torch.Generator().manual_seed(0)),
        torch.randn((2, 4), generator=torch.Generator().manual_seed(1), dtype=torch.float64).t(),
        torch.tensor(True),
    ]
    packed = pack(given, pinned=False)
    assert len(packed) % ALIGNMENT == 0
    for made, tensor in zip(unpack(packed, given), given, strict=True):
        assert made.dtype == tensor.dtype
        assert torch.equal(made, tensor)
    assert [(made.shape, made.dtype) for made in sent(given, GPU)] == [(t.shape, t.dtype) for t in given]


def frozen(experiment: Experiment, count: int) -> list[FrozenLevel]:
    """The first levels with standing statistics of one batch that lie on the CPU, as those of a file do."""
    levels: list[FrozenLevel] = []
    for index, spec in enumerate(experiment.levels[:count]):
        with GPU:
            generator = spec.build_generator(experiment.classes, below_of(experiment.levels, index))
        generator.requires_grad_(False)
        recorded = RecordedStatistics()
        label = torch.zeros(1, dtype=torch.int64, device=GPU)
        own = [*levels, FrozenLevel(spec, generator, recorded)]
        sample_levels(own, lambda level, latent: torch.zeros((1, latent), device=GPU), by_label(label))
        table = {name: torch.zeros(values.shape) for name, values in recorded.averages().items()}
        levels.append(FrozenLevel(spec, generator, StandingStatistics(table, GPU)))
    return levels


def no_step() -> None:
    """On a GPU Adam is one kernel, which the meta device has not; what it does there instead reads numbers back."""


def rounds() -> dict[str, tuple[Experiment, int]]:
    """Every kind of preset, level by level."""
    found = {}
    for name, experiment in catalog.structures().items():
        for index in experiment.rounds:
            found[f"{name} {index + 1}" if len(experiment.rounds) > 1 else name] = (experiment, index)
    return found


FAST = ("demo-cascade 2", "demo-prediction-variety")


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
@pytest.mark.parametrize(
    ("experiment", "index"),
    [
        pytest.param(*round_, id=name, marks=() if name in FAST else pytest.mark.slow)
        for name, round_ in rounds().items()
    ],
)
def test_no_step_waits_or_mixes(experiment: Experiment, index: int) -> None:
    """A step after a resume, in the dtype of the papers, monitored."""
    training = experiment.training.replace(bf16=True, discriminator_updates=1)
    experiment = experiment.replace(training=training)
    levels = [] if experiment.joint else frozen(experiment, index)
    state = TrainState(experiment, index, GPU, below=levels_below(experiment, levels))
    saved = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in state.tensors().items()}
    state.restore(saved, 1)
    batch = made_up_clips(state)
    batch = batch._replace(
        video=torch.zeros(batch.video.shape, dtype=torch.uint8)
    )  # where a loader has put it
    for optimiser in state.optimisers:
        optimiser.step = no_step  # type: ignore[method-assign]
    with PretendedGPU() as gpu:
        training_step(state, [real_input(state, batch)], Monitor())
    # Clips and labels once; for each of both updates what is drawn, and what is drawn for the levels below.
    assert gpu.sent == 2 + 2 + (2 if levels else 0)


def test_a_step_says_how_float32_is_multiplied_and_leaves_no_trace() -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul

    def state() -> tuple[object, ...]:
        return cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark

    @training_kernels()
    def step() -> None:
        told.append(state())
        raise RuntimeError("in the middle")

    before, told = state(), []
    with pytest.raises(RuntimeError, match="in the middle"):
        step()
    assert told == [("tf32", "ieee", True)]
    assert state() == before


@pytest.mark.parametrize("older", ["high", "highest"])
def test_a_step_leaves_older_names_of_these_readable(older: str) -> None:
    """torch.compile reads them; torch refuses where a program says one thing by these and another by newer ones."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    try:
        torch.set_float32_matmul_precision(older)
        cudnn.allow_tf32 = False
        with training_kernels():
            assert not matmul.allow_tf32
            assert cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        assert matmul.allow_tf32 == (older == "high")
        assert not cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == older
    finally:
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = True
