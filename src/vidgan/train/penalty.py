"""The orthogonal penalty on a generator's weights."""

import torch
from torch import Tensor, nn

from vidgan.nn.layers import Embedding, WeightLayer


def orthogonal_penalty(module: nn.Module) -> Tensor:
    """sum over weights of ||W W^T * (1 - I)||^2 (Brock et al. 2018, Eq. 3; Luc et al. 2020, E.2).

    W is the weight flattened to (out, rest), before spectral normalisation.
    Our choice: class embeddings are left out, as BigGAN's public code leaves its shared embedding.
    """
    total: list[Tensor] = []
    for layer in module.modules():
        if isinstance(layer, WeightLayer) and not isinstance(layer, Embedding):
            total.append(off_diagonal(layer.weight.flatten(1)))
    return torch.stack(total).sum()


def off_diagonal(w: Tensor) -> Tensor:
    """||W W^T * (1 - I)||^2 of W (out, rest), with the smaller of its two Gram matrices.

    The first linear layer of a generator has many times more rows than columns (61,440 by 256 at width 120), and
    W W^T would take more memory than all activations. ||W W^T|| = ||W^T W||, of which the squared lengths of the rows
    are taken off.
    """
    rows, columns = w.shape
    if rows > columns:
        return (w.t() @ w).square().sum() - w.square().sum(dim=1).square().sum()
    gram = w @ w.t()
    return (gram - torch.diag(torch.diagonal(gram))).square().sum()
