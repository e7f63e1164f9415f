"""Normalisation of videos: what is averaged over, where the moments come from, who gives gain and bias.

Batch statistics are not buffers: T differs between training windows, longer samples and chunks. They are an argument
of the forward pass: taken from the batch, recorded over many batches, or the standing statistics that were recorded.

A layer keeps its input and its output, which the next convolution keeps anyway, and not the scaled tensor and the mask
that plain autograd would: those are a third of a generator's memory, and several passes over it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vidgan.bounds import Length
from vidgan.nn.layers import Linear
from vidgan.shapes import from_cells, to_cells
from vidgan.spec import Spec

BLOCK: Final = 2**17
"""Values that are worked on at a time on a CPU.

Steps that follow each other on so few find them in the processor's cache: seven times as fast as on a whole video of
64x64 pixels (benchmarks/bench_norm.py).
"""


def _in_blocks(x: Tensor) -> bool:
    """Not on a GPU, nor in a graph that is compiled or exported."""
    return x.device.type == "cpu" and not (torch.compiler.is_compiling() or torch.compiler.is_exporting())


def _blocks(*tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Tensors (N, ...) cut along the first axis into blocks of frames, of which the first has (N, cells, C)."""
    _, cells, channels = tensors[0].shape
    frames = max(1, BLOCK // max(1, cells * channels))
    return zip(*(tensor.split(frames) for tensor in tensors), strict=True)


def _rows(values: Tensor) -> Tensor:
    """(B T C) -> (B*T, 1, C)."""
    return values.reshape(-1, 1, values.shape[-1])


def _scaled_and_shifted(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x * scale + shift of ``x`` (B T C H W) in its dtype, by numbers (B T C 1 1) that may be wider."""
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return torch.addcmul(shift, x, scale).to(x.dtype)
    return torch.addcmul(shift, x, scale, out=torch.empty_like(x))


class _ScaleShiftReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        if _in_blocks(x):
            cells = to_cells(x)
            made = torch.empty_like(cells)
            for to, own, own_scale, own_shift in _blocks(made, cells, _rows(scale), _rows(shift)):
                torch.addcmul(own_shift, own, own_scale, out=to).relu_()
            y = from_cells(made, x.shape)
        else:
            y = _scaled_and_shifted(x, scale[..., None, None], shift[..., None, None]).relu_()
        ctx.save_for_backward(x, scale, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, scale, y = ctx.saved_tensors
        wide = torch.promote_types(x.dtype, torch.float32)
        if not _in_blocks(x):
            gradient = torch.ops.aten.threshold_backward(gradients[0], y, 0)
            grad_scale = (gradient * x).sum((3, 4), dtype=wide).to(scale.dtype)
            grad_shift = gradient.sum((3, 4), dtype=wide).to(scale.dtype)
            return gradient.mul_(scale[..., None, None]), grad_scale, grad_shift
        cells = to_cells(x)
        gradient = torch.empty_like(cells)
        of_scale, of_shift = cells.new_empty((2, len(cells), scale.shape[-1]), dtype=wide)
        for to, above, own, own_scale, made, to_scale, to_shift in _blocks(
            gradient, to_cells(gradients[0]), cells, _rows(scale), to_cells(y), of_scale, of_shift
        ):
            torch.ops.aten.threshold_backward.grad_input(above, made, 0, grad_input=to)
            torch.sum((to * own).to(wide), 1, out=to_scale)
            torch.sum(to.to(wide), 1, out=to_shift)
            to.mul_(own_scale)
        grad_scale, grad_shift = (sums.view_as(scale).to(scale.dtype) for sums in (of_scale, of_shift))
        return from_cells(gradient, x.shape), grad_scale, grad_shift


def scale_shift_relu(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """relu(x * scale + shift).

    Args:
        x: video (B T C H W).
        scale: broadcasts to (B T C); computed in float32, and used so where the kernel casts by itself, else in the
            dtype of ``x``.
        shift: the same.
    """
    scale, shift = scale.expand(x.shape[:3]), shift.expand(x.shape[:3])
    kind = x.dtype if _in_blocks(x) else torch.promote_types(x.dtype, torch.float32)
    y: Tensor = _ScaleShiftReLU.apply(x, scale.to(kind), shift.to(kind))
    return y


def _sums_of_frames(x: Tensor) -> Tensor:
    """Sums of ``x`` (B T C H W) and of its squares over each frame, in float32 or wider: (2, B*T, C)."""
    cells = to_cells(x)
    wide = torch.promote_types(x.dtype, torch.float32)
    sums = cells.new_empty((2, len(cells), cells.shape[2]), dtype=wide)
    for own, first, second in _blocks(cells, *sums) if _in_blocks(x) else [(cells, *sums)]:
        # Squares rounded to bfloat16 would lose the variance of a channel whose mean is large beside it.
        values = own.to(wide)
        torch.sum(values, 1, out=first)
        torch.sum(values * values if values is own else values.square_(), 1, out=second)
    return sums


def _mean_and_square(x: Tensor, over_time: bool) -> tuple[Tensor, Tensor]:
    """See :func:`mean_and_square`; without gradients."""
    clips, steps, channels = x.shape[:3]
    sums = _sums_of_frames(x).view(2, clips, steps, channels).sum((1, 2) if over_time else 1)
    count = x.numel() // channels // (1 if over_time else steps)
    first, second = (sums / count).view(2, -1, channels)
    return first, second


class _MeanAndSquare(torch.autograd.Function):
    """One pass back over the input instead of plain autograd's five."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, over_time: bool) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        return _mean_and_square(x, over_time)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        count = x.numel() // gradients[0].numel()
        first, second = ((g / count).to(x.dtype)[..., None, None] for g in gradients)
        return torch.addcmul(first, x, 2 * second), None


def mean_and_square(x: Tensor, over_time: bool) -> tuple[Tensor, Tensor]:
    """E[x] and E[x^2] of ``x`` (B T C H W) over (B, H, W), in float32 or wider: (T C).

    Args:
        over_time: over T too: (1 C).
    """
    first, second = _MeanAndSquare.apply(x, over_time)
    return first, second


class _MeanAndVariance(torch.autograd.Function):
    """(T C), or (1 C) over T too; in a few large kernels on a GPU and in a compiled graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, over_time: bool) -> tuple[Tensor, Tensor]:
        if _in_blocks(x):
            mean, square = _mean_and_square(x, over_time)
        else:
            axes = (0, 1, 3, 4) if over_time else (0, 3, 4)
            wide = torch.promote_types(x.dtype, torch.float32)
            # Both read x as it is and sum in a wide dtype: no wide copy of a video.
            mean = x.mean(axes, dtype=wide).view(-1, x.shape[2])
            length = torch.linalg.vector_norm(x, 2, axes, dtype=wide).view_as(mean)
            square = length.mul_((mean.numel() / x.numel()) ** 0.5).square_()
        variance = torch.addcmul(square, mean, mean, value=-1).clamp_min_(0)
        ctx.save_for_backward(x, mean)
        return mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, mean = ctx.saved_tensors
        share = mean.numel() / x.numel()
        slope = gradients[1] * (2 * share)
        offset = torch.addcmul(gradients[0] * share, slope, mean, value=-1)
        if _in_blocks(x):
            slope, offset = slope.to(x.dtype), offset.to(x.dtype)
        return _scaled_and_shifted(x, slope[..., None, None], offset[..., None, None]), None


class Clock(NamedTuple):
    """Where a window lies on the video's time axis."""

    start: int | Tensor = 0
    """absolute index of the window's first frame; per clip (B,) where windows differ"""

    def last(self, steps: int) -> int | None:
        """The end of the latest window of ``steps`` frames; None where a look would wait for a GPU or cut a graph."""
        if isinstance(self.start, int):
            return self.start + steps
        seen = self.start.device.type == "cpu" and not torch.compiler.is_compiling()
        return int(self.start.max()) + steps if seen else None


class Moments(NamedTuple):
    """Mean and variance per time step and channel."""

    mean: Tensor
    """(T, C), over all frames (1, C), or per clip (B, T, C)"""
    variance: Tensor
    """same shape; biased"""


class Statistics(ABC):
    """Gives each normalisation layer its moments."""

    repeatable: bool = True
    """whether a layer may ask again for the same input, as checkpointed recomputation does"""

    @abstractmethod
    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        """Moments of layer ``key`` for its input ``x`` (B T C H W).

        ``over_time`` asks for one pair for all frames (Clark et al. 2019, C: a variant that leaks across time).
        """


class BatchStatistics(Statistics):
    """The moments of the batch at hand, over (B, H, W) of all replicas in ``group``; for training."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        return batch_moments(x, over_time, self.group)


class RecordedStatistics(Statistics):
    """The moments of the batch, which are also averaged per layer and time step.

    Luc et al. 2020, E.2: run many batches and record the average means and variances.
    """

    repeatable = False

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self._sums: dict[str, tuple[Tensor, Tensor, int]] = {}

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        taken = batch_moments(x, over_time, self.group)
        mean, variance = taken.mean.detach().double(), taken.variance.detach().double()
        if key in self._sums:
            old_mean, old_variance, count = self._sums[key]
            self._sums[key] = (old_mean + mean, old_variance + variance, count + 1)
        else:
            self._sums[key] = (mean, variance, 1)
        return taken

    def averages(self) -> dict[str, Tensor]:
        """``{key/mean, key/variance}`` -> (T, C), float64: what :class:`StandingStatistics` reads."""
        table: dict[str, Tensor] = {}
        for key, (mean, variance, count) in self._sums.items():
            table[f"{key}/mean"] = mean / count
            table[f"{key}/variance"] = variance / count
        return table


class StandingStatistics(Statistics):
    """Recorded moments, looked up by layer and absolute time step; for sampling.

    Args:
        table: what :meth:`RecordedStatistics.averages` gives.
        device: where they will be looked up; None: where they are.
    """

    def __init__(self, table: Mapping[str, Tensor], device: torch.device | None = None) -> None:
        # Here, and not at every look: a copy makes the processor wait for a GPU.
        self.table = {name: values.to(device) for name, values in table.items()}

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        mean, variance = self.table[f"{key}/mean"], self.table[f"{key}/variance"]
        if not over_time:
            last = clock.last(x.shape[1])
            if last is not None and last > len(mean):
                raise ValueError(f"{key}: statistics of {len(mean)} steps, asked for {last}")
            if isinstance(clock.start, int):
                window = slice(clock.start, last)
                mean, variance = mean[window], variance[window]
            else:
                start = clock.start.to(mean.device)
                steps = start[..., None] + torch.arange(x.shape[1], device=mean.device)
                mean, variance = mean[steps], variance[steps]
        kind = torch.promote_types(x.dtype, torch.float32)
        return Moments(mean.to(x.device, kind), variance.to(x.device, kind))


def batch_moments(x: Tensor, over_time: bool, group: dist.ProcessGroup | None) -> Moments:
    """Mean and biased variance of ``x`` (B T C H W) over (B, H, W), and T too if ``over_time``."""
    if group is None:
        mean, variance = _MeanAndVariance.apply(x, over_time)
        return Moments(mean, variance)
    moments = torch.stack(mean_and_square(x, over_time))
    first, second = average_over_replicas(moments, len(x), group).unbind()
    return Moments(first, (second - first.square()).clamp_min(0))


class _AverageOverReplicas(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, clips: int, group: dist.ProcessGroup) -> Tensor:
        total = torch.cat([clips * x.flatten(), x.new_full((1,), clips)])
        dist.all_reduce(total, group=group)
        ctx.group, ctx.part = group, clips / total[-1]
        return (total[:-1] / total[-1]).view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        # Every replica's loss depends on the shared value, and gradients are summed over replicas afterwards.
        total = gradients[0].clone().contiguous()
        dist.all_reduce(total, group=ctx.group)
        return total * ctx.part, None, None


def average_over_replicas(x: Tensor, clips: int, group: dist.ProcessGroup) -> Tensor:
    """The mean of ``x`` over the clips of all replicas of ``group``, of which ``clips`` are this one's;
    differentiable."""
    averaged: Tensor = _AverageOverReplicas.apply(x, clips, group)
    return averaged


EPSILON: Final = 1e-5  # Our choice, as BigGAN's public PyTorch code; the papers do not print it.


class Context(NamedTuple):
    """What every block of a generator is told besides its input."""

    condition: Tensor | None = None
    """the whole conditioning vector [z; e(y)] per clip (B, K); None: zeros"""
    statistics: Statistics = BatchStatistics()
    clock: Clock = Clock()
    kernels: list[Tensor] | None = None
    """gets the warps' weights (B T k*k side side) of units that warp, from coarse to fine; None: nobody asks"""


class NormSpec(Spec, ABC):
    """What the mean and the variance are taken over."""

    @abstractmethod
    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        """Moments that broadcast to (B, T, C) for ``x`` (B T C H W)."""


class BatchNormSpec(NormSpec):
    """Over (B, H, W) of the replicas that share statistics, per time step: frames cannot inform each other (A.2)."""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        return context.statistics.moments(key, x, context.clock, over_time=False)


class BatchNormAllFramesSpec(NormSpec):
    """Over (B, T, H, W): the early variant that informs across time (Clark et al. 2019, C)."""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        return context.statistics.moments(key, x, context.clock, over_time=True)


class GroupNormSpec(NormSpec):
    """Over (H, W) and the channels of a group, per clip and step; one group is layer normalisation.

    Clark et al. 2019, C: the best of those that take no statistics over a batch, but worse than batch normalisation.
    Our choice: at most 32 groups, the default of Wu and He 2018; C prints none. Statistics are of one step, so that
    frames cannot inform each other.
    """

    groups: Length = 32
    """number of channel groups; taken down to the channels where there are fewer"""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        channels = x.shape[2]
        groups = next(g for g in range(min(self.groups, channels), 0, -1) if channels % g == 0)
        wide = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(2, (groups, -1))
        variance, mean = torch.var_mean(wide, (3, 4, 5), correction=0)
        each = channels // groups
        return Moments(mean.repeat_interleave(each, -1), variance.repeat_interleave(each, -1))


class InstanceNormSpec(NormSpec):
    """Over (H, W), per clip, step and channel (Clark et al. 2019, C: much worse than batch normalisation)."""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, (3, 4), correction=0)
        return Moments(mean, variance)


class NoNormSpec(NormSpec):
    """No normalisation: gain and bias alone (Clark et al. 2019, C).

    In the blocks alone it gives a higher Inception Score and a worse FID; as a generator's last it makes learning fail.
    """

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        zero = torch.zeros(
            (1, x.shape[2]), dtype=torch.promote_types(x.dtype, torch.float32), device=x.device
        )
        return Moments(zero, torch.ones_like(zero))


class NormReLU(nn.Module, ABC):
    """Normalise, apply gain and bias, then ReLU: (B T C H W) -> the same. ``key`` names it in tables of statistics."""

    def __init__(self, norm: NormSpec) -> None:
        super().__init__()
        self.normaliser = norm
        self.key = ""

    @abstractmethod
    def gain_and_bias(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both broadcast to (B, T, C)."""

    def forward(self, x: Tensor, context: Context = Context()) -> Tensor:
        mean, variance = self.normaliser.moments(self.key, x, context)
        gain, bias = self.gain_and_bias(context.condition)
        scale = gain * torch.rsqrt(variance + EPSILON)
        shift = torch.addcmul(bias, mean, scale, value=-1)
        return scale_shift_relu(x, scale, shift)


class ConditionalNormReLU(NormReLU):
    """Gain and bias are affine functions of the conditioning vector (Clark et al. 2019, A.3; Luc et al. 2020, E.2)."""

    def __init__(self, channels: int, condition: int, norm: NormSpec = BatchNormSpec()) -> None:
        super().__init__(norm)
        # Our choice: both have a bias of their own, "affine" by A.3's word; BigGAN's have none.
        self.gain = Linear(condition, channels)
        self.bias = Linear(condition, channels)

    def gain_and_bias(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        if condition is None:
            condition = self.gain.weight.new_zeros((1, self.gain.weight.shape[1]))
        # The gain is learnt around one, as BigGAN's.
        return 1 + self.gain(condition)[:, None], self.bias(condition)[:, None]


class LearntNormReLU(NormReLU):
    """Gain and bias are learnt constants: the last normalisation of a generator (Luc et al. 2020, E.2).

    Our choice for DVD-GAN: the same, as BigGAN's; its paper does not say that the last one is not conditional.
    """

    def __init__(self, channels: int, norm: NormSpec = BatchNormSpec()) -> None:
        super().__init__(norm)
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def gain_and_bias(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.gain, self.bias


def name_norms(module: nn.Module) -> None:
    """Give every normalisation layer in ``module`` its path as ``key``."""
    for name, layer in module.named_modules():
        if isinstance(layer, NormReLU):
            layer.key = name
