"""Products by oneDNN are those of torch in float64, values, gradients and gradients of these."""

import pytest
import torch
from torch import Tensor

from vidgan.nn import processor, products
from vidgan.nn.products import by_onednn, linear, multiply_batches, product


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN for all products in float32, whatever the processor."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch is built without oneDNN")
    monkeypatch.setattr(products, "LEAST", 1)
    monkeypatch.setattr(products, "multiplies_by_half", lambda: True)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_near(found: Tensor, expected: Tensor) -> None:
    assert found.dtype == torch.float32
    found, expected = found.detach(), expected.detach()
    assert float((found.double() - expected).abs().max()) <= 1e-6 * float(expected.abs().max())


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_linear_map(with_bias: bool) -> None:
    tensors = [random(2, 5, 7, seed=0), random(6, 7, seed=1)] + [random(6, seed=2)] * with_bias
    made = []
    for dtype in (torch.float32, torch.float64):
        x, weight, *rest = [tensor.to(dtype).requires_grad_() for tensor in tensors]
        bias = rest[0] if rest else None
        y = linear(x, weight, bias)
        once = torch.autograd.grad(y.square().sum(), [x, weight, *rest], create_graph=True)
        steepness = torch.stack([each.square().sum() for each in once]).sum()
        twice = torch.autograd.grad(steepness, [x, weight])
        made.append([y, *once, *twice])
    assert by_onednn(tensors[0], 1)
    for found, expected in zip(*made, strict=True):
        assert_near(found, expected)


@pytest.mark.usefixtures("always")
def test_views_are_multiplied_as_they_are() -> None:
    """Transposed, and with a row between rows."""
    a, b = random(7, 5, seed=0), random(6, 14, seed=1)
    assert_near(product(a.t(), b[:, ::2].t()), a.double().t() @ b.double()[:, ::2].t())


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("add", [True, False])
def test_batches(add: bool) -> None:
    a, b, held = random(3, 4, 5, seed=0), random(3, 6, 5, seed=1).transpose(1, 2), random(3, 4, 6, seed=2)
    to = held.clone()
    multiply_batches(a, b, to, add=add)
    expected = torch.einsum("nij,njk->nik", a.double(), b.double())
    assert_near(to, expected + held.double() if add else expected)


def test_the_gradient_of_a_transposed_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """By torch's own products, too."""
    monkeypatch.setattr(products, "multiplies_by_half", lambda: False)
    a, b = random(4, 3, seed=0).double(), random(5, 3, seed=1).double().requires_grad_()
    torch.autograd.gradcheck(lambda b: product(a, b.t()), [b])


@pytest.mark.parametrize(
    ("there", "half", "amx"),
    [
        ({}, False, True),
        ({"cpu_name": "AMD EPYC", "avx512_f": True, "amx_bf16": False}, True, False),
        ({"cpu_name": "AMD EPYC", "avx512_f": False, "amx_bf16": False}, False, False),
        ({"cpu_name": "Intel(R) Xeon(R)", "avx512_f": True, "amx_bf16": True}, False, True),
    ],
)
def test_processors(there: dict[str, object], half: bool, amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "capabilities", lambda: there)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert processor.multiplies_by_half() is half
    assert processor.has_matrix_unit() is amx
