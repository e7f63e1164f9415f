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
            w = layer.weight.flatten(1)
            gram = w @ w.t()
            off = gram - torch.diag(torch.diagonal(gram))
            total.append(off.square().sum())
    return torch.stack(total).sum()
