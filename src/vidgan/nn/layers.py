"""Weight layers: linear, embedding and convolutions, with spectral normalisation and their initial weights.

A layer computes in the dtype of its input. The master weight, the singular vectors and sigma keep their
own dtype (float32 in training); only the normalised weight is cast.

Whoever trains them in a loop of their own calls :func:`power_iterate` after each update.
"""

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.bounds import Positive
from vidgan.nn.convolution import (
    BoundConvolution,
    average_pool,
    convolution_like,
    convolve_clip,
    convolve_frames,
    convolve_upsampled,
    downsampling_kernel,
    downsampling_kernel_and_time,
    folding_pays,
    nearest_upsample,
    pair_mean,
    upsampling_kernel,
)
from vidgan.nn.products import linear
from vidgan.nn.spectral import Normalised, Singular, to_unit_length
from vidgan.nn.winograd import (
    POOLED,
    SAME,
    UPSAMPLED,
    Resizing,
    winograd,
    winograd_by,
    winograd_kernel,
    winograd_pays,
)
from vidgan.shapes import from_clip, to_clip
from vidgan.spec import Spec, require

KeptWeights = dict[tuple[torch.dtype, Callable[[Tensor], Tensor] | None], Tensor]
"""by dtype, and by what made another kernel of the weight"""


_counting = threading.Lock()
"""of those who hold a layer's weights, which may be several threads"""


@dataclass(slots=True)
class _Kept:
    """What a layer has computed of its weights, for as long as they stay as they are."""

    holders: int = 0
    """that want the weights kept now"""
    weights: KeptWeights | None = None
    """None: not to be kept"""
    biases: dict[torch.dtype, Tensor] = field(default_factory=dict)
    singular: Singular | None = None

    def __reduce__(self) -> tuple[type["_Kept"], tuple[()]]:
        """Nobody holds the weights of a copy, or of what was pickled."""
        return _Kept, ()


class WeightLayer(nn.Module, ABC):
    """A layer with one weight (out, ...), an optional bias (out) and optional spectral normalisation.

    A new layer has orthogonal weights, drawn from torch's global generator, and a bias of zero.

    ``u`` and ``v`` approximate the first singular vectors of the weight flattened to (out, rest). They
    change only in :func:`power_iterate`, never in ``forward``: accumulation, passes that record statistics and
    checkpointed recomputation must not change the weights.
    """

    u: Tensor
    """(out,); of layers with spectral normalisation, as ``v`` (rest,)"""
    v: Tensor

    def __init__(self, shape: tuple[int, ...], *, bias: bool, spectral: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.spectral = spectral
        self._kept = _Kept()
        if spectral:
            rest = self.weight[0].numel()
            self.register_buffer("u", torch.full((shape[0],), shape[0] ** -0.5))
            self.register_buffer("v", torch.full((rest,), rest**-0.5))
        if not (self.weight.is_meta or _undrawn.get()):
            initialise(self, OrthogonalSpec())

    def sigma(self) -> Tensor:
        """The largest singular value as ``v`` sees it: |W v|, or u^T W v, as a power iteration ends in u = W v / |W v|.

        It is at hand where the iteration was told to remember it.
        """
        return self._singular().sigma

    def _singular(self) -> Singular:
        known = (
            None if torch.compiler.is_compiling() or torch.compiler.is_exporting() else self._kept.singular
        )
        if known is not None and known.of == self._state():
            return known
        sigma = torch.linalg.vector_norm(torch.mv(self.weight.detach().flatten(1), self.v))
        return Singular(sigma, self.u / sigma)

    def remember(self, sigma: Tensor, left: Tensor) -> None:
        """Take these as :meth:`sigma` and u / sigma of the weight and the vectors as they are now."""
        if not torch.is_inference_mode_enabled():  # where changes leave no trace
            self._kept.singular = Singular(sigma, left, self._state())

    def forget(self) -> None:
        """Compute :meth:`sigma` anew wherever it is needed."""
        self._kept.singular = None

    def _state(self) -> tuple[int, ...]:
        """Another one wherever the weight or a vector is changed in place or replaced."""
        weight, u, v = self.weight, self.u, self.v
        places = weight.data_ptr(), u.data_ptr(), v.data_ptr()
        return (*places, weight._version, u._version, v._version)

    def effective_weight(self, dtype: torch.dtype, fold: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The weight to compute with: W / sigma(W) (Miyato et al. 2018, Eq. 8), or W, cast to ``dtype``.

        Args:
            fold: makes another kernel of the weight before it is cast, see :mod:`vidgan.nn.convolution`.
        """
        kept = self._held()
        if kept is None:
            return self._compute_weight(dtype, fold)
        key = (dtype, fold)
        if key not in kept:
            kept[key] = self._compute_weight(dtype, fold).detach()
        return kept[key]

    def _compute_weight(self, dtype: torch.dtype, fold: Callable[[Tensor], Tensor] | None) -> Tensor:
        weight: Tensor = self.weight
        if self.spectral:
            wide = dtype if fold is None else weight.dtype
            singular = self._singular()
            weight = Normalised.apply(weight, singular.sigma, singular.left, self.v, wide)
        return (weight if fold is None else fold(weight)).to(dtype)

    def _held(self) -> KeptWeights | None:
        """The weights that are kept for passes to come; None where what is computed now is not kept."""
        # A compiled graph computes all anew: it would be made again for each table of what is held.
        needs_gradient = self.weight.requires_grad and torch.is_grad_enabled()
        return None if torch.compiler.is_compiling() or needs_gradient else self._kept.weights

    def hold(self, on: bool) -> None:
        """Keep what :meth:`effective_weight` gives without a gradient, until all who began to hold it have ended; see
        :func:`held_weights`."""
        kept = self._kept
        with _counting:
            before, kept.holders = kept.holders, max(0, kept.holders + (1 if on else -1))
            if (before == 0) != (kept.holders == 0):
                kept.weights, kept.biases = {} if on else None, {}

    def effective_bias(self, dtype: torch.dtype) -> Tensor | None:
        """The bias cast to ``dtype``."""
        if self.bias is None or self.bias.dtype == dtype:
            return self.bias
        kept = self._kept.biases
        if self._held() is None:
            return self.bias.to(dtype)
        if dtype not in kept:  # another thread that ends holding them begins a new table
            kept[dtype] = self.bias.detach().to(dtype)
        return kept[dtype]

    @abstractmethod
    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer's operation with explicit weights; pure."""

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_weight(x, self.effective_weight(x.dtype), self.effective_bias(x.dtype))

    def bind(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """The layer as a function, its weight normalised and cast once; for use inside a loop over time."""
        weight, bias = self.effective_weight(dtype), self.effective_bias(dtype)
        return functools.partial(self.apply_weight, weight=weight, bias=bias)


class Linear(WeightLayer):
    """Affine map of the last axis: (..., in) -> (..., out)."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, spectral: bool = True) -> None:
        super().__init__((outputs, inputs), bias=bias, spectral=spectral)

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return linear(x, weight, bias)


class Embedding(WeightLayer):
    """A learnt vector per class: labels (B,) of int64 -> (B, features), in the weight's dtype."""

    def __init__(self, classes: int, features: int, *, spectral: bool = True) -> None:
        super().__init__((classes, features), bias=False, spectral=spectral)

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.embedding(x, weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_weight(x, self.effective_weight(self.weight.dtype), None)


class Convolution(WeightLayer, ABC):
    """A size-preserving convolution that may take in the change of size beside it.

    Args:
        kernel: sizes along the axes; odd.

    Attributes:
        folding: whether a change of size is folded into the kernel, or all is computed by Winograd's algorithm, where
            that is faster: the same function, other last digits. :func:`fold_resizing` switches it.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, ...], *, bias: bool, spectral: bool
    ) -> None:
        super().__init__((outputs, inputs, *kernel), bias=bias, spectral=spectral)
        self.padding = tuple(size // 2 for size in kernel)
        self.folding = True

    def folds(self, x: Tensor, frames: int, height: int, width: int) -> bool:
        """Whether to fold what is done with ``x``; ``height`` and ``width`` are those of the smaller map."""
        return self.folding and self.weight.shape[-2:] == (3, 3) and folding_pays(x, frames, height, width)

    def by_winograd(self, x: Tensor, resizing: Resizing) -> Tensor | None:
        """The convolution and the change of size by Winograd's algorithm; None where that is not faster."""
        if not (self.folding and winograd_pays(x, self.weight, resizing)):
            return None
        bias = self.effective_bias(x.dtype)
        if self._held() is None:
            return winograd(x, self.effective_weight(x.dtype), bias, resizing)
        return winograd_by(self.effective_weight(x.dtype, winograd_kernel), x, bias, resizing)


class Conv2d(Convolution):
    """Size-preserving 2-D convolution of frames: (N, in, H, W) -> (N, out, H, W); ``kernel`` is odd."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True, spectral: bool = True
    ) -> None:
        super().__init__(inputs, outputs, (kernel, kernel), bias=bias, spectral=spectral)

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolution_like(x, weight, self.padding[0])(x, bias)

    def bind(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        return BoundConvolution(self.effective_weight(dtype), self.effective_bias(dtype), self.padding[0])

    def forward(self, x: Tensor, *, upsample: bool = False, downsample: bool = False) -> Tensor:
        """Frames (N, out, H, W) of frames (N, in, H, W).

        Args:
            upsample: double the input (nearest neighbour) before it: (N, out, 2H, 2W).
            downsample: average 2x2 cells of the output: (N, out, H/2, W/2).
        """
        frames, _, height, width = x.shape
        made = self.by_winograd(x, UPSAMPLED if upsample else POOLED if downsample else SAME)
        if made is not None:
            return made
        if upsample:
            if not self.folds(x, frames, height, width):
                return super().forward(nearest_upsample(x))
            kernel = self.effective_weight(x.dtype, upsampling_kernel)
            return convolve_upsampled(x, kernel, self.effective_bias(x.dtype))
        if downsample:
            if not self.folds(x, frames, height // 2, width // 2):
                return F.avg_pool2d(super().forward(x), 2)
            kernel = self.effective_weight(x.dtype, downsampling_kernel)
            return convolve_frames(x, kernel, self.effective_bias(x.dtype), 2, 1)
        return super().forward(x)


class Conv3d(Convolution):
    """Size-preserving 3-D convolution of clips: (B, in, T, H, W) -> (B, out, T, H, W); odd kernel sizes."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int] = (3, 3, 3),
        *,
        bias: bool = True,
        spectral: bool = True,
    ) -> None:
        super().__init__(inputs, outputs, kernel, bias=bias, spectral=spectral)

    def apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve_clip(x, weight, bias, 1, self.padding)

    def forward(self, x: Tensor, *, downsample: bool = False, halve_time: bool = False) -> Tensor:
        """A clip (B, out, T, H, W) of a clip (B, in, T, H, W).

        Args:
            downsample: average 2x2 cells of the output: (B, out, T, H/2, W/2).
            halve_time: average pairs of its steps too: (B, out, T//2, ...); a single step stays.
        """
        clips, _, steps, height, width = x.shape
        made = self.by_winograd(x, POOLED if downsample else SAME)
        if made is not None:
            return to_clip(pair_mean(from_clip(made))) if halve_time else made
        if not downsample or not self.folds(x, clips * steps, height // 2, width // 2):
            y = from_clip(super().forward(x))
            y = average_pool(y) if downsample else y
            return to_clip(pair_mean(y) if halve_time else y)
        pairs = halve_time and steps > 1 and self.weight.shape[2] == 3
        kernel = self.effective_weight(
            x.dtype, downsampling_kernel_and_time if pairs else downsampling_kernel
        )
        bias, time = self.effective_bias(x.dtype), 2 if pairs else 1
        y = convolve_clip(x, kernel, bias, (time, 2, 2), (self.padding[0], 1, 1))
        return to_clip(pair_mean(from_clip(y))) if halve_time and not pairs else y


@contextmanager
def held_weights(*modules: nn.Module) -> Iterator[None]:
    """Within, the weights in ``modules`` stay as they are, so that each is normalised, folded and cast only once.

    That holds for passes that need no gradient of them: those under ``no_grad``, and those of frozen weights. Between
    two updates of a network there are many: ::

        with held_weights(generator), torch.no_grad():
            for z, label in batches:
                show(generator(z, label))

    A change of the weights within is not seen. Blocks may lie within each other, or run in several threads: weights are
    kept until the last one that holds them ends.
    """
    layers = [layer for module in modules for layer in module.modules() if isinstance(layer, WeightLayer)]
    held: list[WeightLayer] = []
    try:
        for layer in layers:
            held.append(layer)
            layer.hold(True)
        yield
    finally:
        for layer in held:
            layer.hold(False)


def fold_resizing(module: nn.Module, on: bool) -> None:
    """Switch the folding of changes of size into kernels in all convolutions of ``module``; it is on in new ones."""
    for layer in module.modules():
        if isinstance(layer, Convolution):
            layer.folding = on


@torch.no_grad()
def power_iterate(module: nn.Module, iterations: int = 1, *, remember: bool = False) -> None:
    """Power iterations for every spectral-normed weight in ``module``; once after each update by the optimiser.

    Forward passes never take one, so this line is all that a training loop of one's own adds::

        loss.backward()
        optimiser.step()
        power_iterate(discriminator)

    Args:
        remember: use the sigmas that the last iteration has come by until the weights change, instead of computing them
            in every pass: the same numbers. torch's fused optimisers change weights unseen, so another iteration has to
            follow each of their steps at once.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, WeightLayer) and layer.spectral]
    if not layers:
        return
    matrices = [layer.weight.flatten(1) for layer in layers]
    left, right = [layer.u for layer in layers], [layer.v for layer in layers]
    for layer in layers:
        layer.forget()
    for _ in range(iterations):
        for matrix, u, v in zip(matrices, left, right, strict=True):
            torch.mv(matrix.t(), u, out=v)
        to_unit_length(right)
        for matrix, u, v in zip(matrices, left, right, strict=True):
            torch.mv(matrix, v, out=u)
        sigmas = to_unit_length(left)
    if remember:
        for layer, sigma, scaled in zip(layers, sigmas, torch._foreach_div(left, sigmas), strict=True):
            layer.remember(sigma, scaled)


# Our choice: enough for u and v to fit a fresh weight, so that sigma is right from the first step.
FIRST_POWER_ITERATIONS = 8


class InitialiserSpec(Spec, ABC):
    """How a weight is drawn before training."""

    @abstractmethod
    def fill(self, weight: Tensor, rng: torch.Generator | None) -> None:
        """Fill ``weight`` (out, ...) from ``rng``; None: from torch's global generator."""


class OrthogonalSpec(InitialiserSpec):
    """Every weight, flattened to (out, rest), has orthonormal rows or columns; biases are zero."""

    def fill(self, weight: Tensor, rng: torch.Generator | None) -> None:
        nn.init.orthogonal_(weight, generator=rng)


class NormalSpec(InitialiserSpec):
    """Every weight is drawn from N(0, deviation^2); biases are zero."""

    deviation: Positive = 0.02
    """standard deviation of the initial weights"""

    def fill(self, weight: Tensor, rng: torch.Generator | None) -> None:
        nn.init.normal_(weight, std=self.deviation, generator=rng)


@torch.no_grad()
def initialise(module: nn.Module, scheme: InitialiserSpec, rng: torch.Generator | None = None) -> None:
    """Fill the weights of all weight layers in ``module``, in the order of their definition.

    Args:
        rng: where they are drawn from; None: torch's global generator.
    """
    for layer in module.modules():
        if isinstance(layer, WeightLayer):
            scheme.fill(layer.weight, rng)
            if layer.spectral:
                u = layer.u
                u.copy_(nn.functional.normalize(torch.randn(u.shape, generator=rng), dim=0))
    power_iterate(module, FIRST_POWER_ITERATIONS)


_undrawn: ContextVar[bool] = ContextVar(
    "weight layers are constructed without drawing weights", default=False
)


@contextmanager
def undrawn_weights() -> Iterator[None]:
    """Weight layers that are constructed within have weights of zero, for which nothing is drawn.

    What :func:`torch.nn.utils.skip_init` is for: orthogonal weights of a wide model take half a minute, which is lost
    where others follow, by :func:`initialise` or from a checkpoint. On the meta device nothing is drawn anyway. ::

        with undrawn_weights():
            generator = spec.build(classes, frames)
        generator.load_state_dict(weights)
    """
    before = _undrawn.set(True)
    try:
        yield
    finally:
        _undrawn.reset(before)


def mix(u: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """u * old + (1 - u) * new, in one pass."""
    return torch.lerp(new, old, u)


def require_odd(kernel: int) -> None:
    """Raise :class:`vidgan.spec.SpecError` unless such a convolution can keep the size of its input."""
    require(kernel >= 1 and kernel % 2 == 1, f"kernel must be odd and positive, got {kernel}")
