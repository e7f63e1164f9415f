"""Dependence matrices: which outputs (b', t') move when an input (b, t) does, measured in two ways.

Perturbing the input finds whatever reaches an output; gradients find what training sees. Both are
compared with a pattern that a test declares, so batch and time mixed up in either direction are found.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Pattern = Callable[..., bool]
"""(b', t', b, t) -> whether output (b', t') depends on input (b, t); outputs may have other indices."""


def same(b2: int, t2: int, b: int, t: int) -> bool:
    """Every frame apart."""
    return b2 == b and t2 == t


def causal(b2: int, t2: int, b: int, t: int) -> bool:
    """A clip's own past and present."""
    return b2 == b and t2 >= t


def whole(b2: int, t2: int, b: int, t: int) -> bool:
    """All frames of the same clip."""
    return b2 == b


def step(b2: int, t2: int, b: int, t: int) -> bool:
    """The same time step of all clips."""
    return t2 == t


def everything(*indices: int) -> bool:
    """All of the batch."""
    return True


def near(reach: int) -> Pattern:
    """Up to ``reach`` frames away, in the same clip."""
    return lambda b2, t2, b, t: b2 == b and abs(t2 - t) <= reach


def near_any_clip(reach: int) -> Pattern:
    """Up to ``reach`` frames away, in any clip."""
    return lambda b2, t2, b, t: abs(t2 - t) <= reach


def of_clip(b2: int, t2: int, b: int) -> bool:
    """For inputs per clip: all frames of the same clip."""
    return b2 == b


def moved(function: Callable[[Tensor], Tensor], x: Tensor, outer: int, inner: int) -> Tensor:
    """Booleans (output's first ``outer`` axes..., input's first ``inner`` axes...) by perturbation."""
    with torch.no_grad():
        before = function(x)
        table = []
        for place in torch.cartesian_prod(*map(torch.arange, x.shape[:inner])).reshape(-1, inner):
            other = x.clone()
            part = other[tuple(place)]
            rng = torch.Generator().manual_seed(17)
            part += torch.randn(part.shape, generator=rng, dtype=x.dtype)
            change = (function(other) - before).abs()[..., None].flatten(outer)
            table.append(change.amax(-1) > 1e-10)
    return torch.stack(table, -1).unflatten(-1, x.shape[:inner])


def reached(function: Callable[[Tensor], Tensor], x: Tensor, outer: int, inner: int) -> Tensor:
    """The same by gradients of a random projection of each output."""
    x = x.clone().requires_grad_()
    y = function(x)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(18), dtype=y.dtype)
    targets = (y * weights)[..., None].flatten(outer).sum(-1)
    rows = []
    for target in targets.flatten():
        (gradient,) = torch.autograd.grad(target, x, retain_graph=True)
        rows.append(gradient[..., None].flatten(inner).abs().amax(-1) > 1e-14)
    return torch.stack(rows).unflatten(0, targets.shape)


def declared(pattern: Pattern, shape: tuple[int, ...]) -> Tensor:
    """The pattern as booleans."""
    places = torch.cartesian_prod(*map(torch.arange, shape)).tolist()
    return torch.tensor([pattern(*place) for place in places]).reshape(shape)


def require(
    function: Callable[[Tensor], Tensor], x: Tensor, pattern: Pattern, *, outer: int = 2, inner: int = 2
) -> None:
    """Assert that ``function`` depends on ``x`` as ``pattern`` says, by perturbation and by gradient."""
    by_change = moved(function, x, outer, inner)
    expected = declared(pattern, tuple(by_change.shape))
    assert torch.equal(by_change, expected), describe("perturbation", by_change, expected)
    by_gradient = reached(function, x, outer, inner)
    assert torch.equal(by_gradient, expected), describe("gradient", by_gradient, expected)


def describe(how: str, found: Tensor, expected: Tensor) -> str:
    """Where two matrices differ: (output's indices..., input's indices...)."""
    extra, missing = (found & ~expected).nonzero().tolist(), (expected & ~found).nonzero().tolist()
    return f"by {how}: undeclared {extra[:6]} ({len(extra)}), missing {missing[:6]} ({len(missing)})"
