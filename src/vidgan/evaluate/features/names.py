"""The names that public checkpoints give to I3D's and C3D's tensors, turned into ours."""

import re

import torch
from torch import Tensor

from vidgan.errors import UserError

# Inside an Inception block, by branch and position: ours, TensorFlow's and hassony2's.
BRANCHES = {
    "b0": ("Branch_0/Conv3d_0a_1x1", "branch_0"),
    "b1a": ("Branch_1/Conv3d_0a_1x1", "branch_1.0"),
    "b1b": ("Branch_1/Conv3d_0b_3x3", "branch_1.1"),
    "b2a": ("Branch_2/Conv3d_0a_1x1", "branch_2.0"),
    "b2b": ("Branch_2/Conv3d_0b_3x3", "branch_2.1"),
    "b3b": ("Branch_3/Conv3d_0b_1x1", "branch_3.1"),
}
TF_BRANCHES = {tf: ours for ours, (tf, _) in BRANCHES.items()} | {
    # A slip of the original in Mixed_5b, kept in all its checkpoints.
    "Branch_2/Conv3d_0a_3x3": "b2b",
}
HASSONY_BRANCHES = {theirs: ours for ours, (_, theirs) in BRANCHES.items()}
TF_LEAVES = {
    "conv_3d/w": "conv3d.weight",
    "conv_3d/b": "conv3d.bias",
    "batch_norm/beta": "bn.bias",
    "batch_norm/gamma": "bn.weight",
    "batch_norm/moving_mean": "bn.running_mean",
    "batch_norm/moving_variance": "bn.running_var",
}


def i3d_from_tensorflow(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """I3D's state dict from TensorFlow variables, with or without the prefix of the RGB or flow stream."""
    state: dict[str, Tensor] = {}
    for name, value in variables.items():
        if name.endswith("/Momentum") or name == "global_step":
            continue
        key = _tensorflow_key(name.rpartition("inception_i3d/")[2])
        if key in state:
            raise UserError(
                f"the checkpoint holds two variables for {key}: both streams cannot be loaded at once"
            )
        # (kt, kh, kw, in, out) -> (out, in, kt, kh, kw); batch norm vectors may be [1, 1, 1, 1, C].
        state[key] = value.permute(4, 3, 0, 1, 2) if key.endswith("conv3d.weight") else value.reshape(-1)
    for key in [key for key in state if key.endswith("bn.running_mean")]:
        # Sonnet's batch norm has no gamma.
        state.setdefault(key.replace("running_mean", "weight"), torch.ones_like(state[key]))
    return state


def i3d_from_pytorch(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """I3D's state dict from one of the PyTorch ports: piergiaj's and VideoGPT's names, or hassony2's."""
    if any(".batch3d." in key for key in state):
        return {_hassony_key(key): value for key, value in state.items()}
    return dict(state)


def c3d_from_chainer(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """C3D's state dict from Chainer's names ``LAYER/W`` and ``LAYER/b``."""
    leaves = {"W": "weight", "b": "bias"}
    state = {}
    for name, value in arrays.items():
        layer, _, leaf = name.strip("/").rpartition("/")
        if leaf in leaves:
            state[f"{layer}.{leaves[leaf]}"] = value
    return state


def _tensorflow_key(name: str) -> str:
    for theirs, leaf in TF_LEAVES.items():
        unit = name.removesuffix("/" + theirs)
        if unit == name:
            continue
        if unit == "Logits/Conv3d_0c_1x1":
            return f"logits.{leaf}"
        block, _, branch = unit.partition("/")
        if not branch:
            return f"{block}.{leaf}"
        if branch in TF_BRANCHES:
            return f"{block}.{TF_BRANCHES[branch]}.{leaf}"
    raise UserError(f"the checkpoint holds {name!r}, which is no variable of I3D")


def _hassony_key(name: str) -> str:
    match = re.fullmatch(
        r"(mixed_\w\w|conv3d_\w\w_\dx\d)\.(branch_\d(?:\.\d)?\.)?(conv3d|batch3d)\.(\w+)", name
    )
    if match is None:
        raise UserError(f"the file holds {name!r}, which is no tensor of I3D")
    block, branch, layer, leaf = match.groups()
    layer = "bn" if layer == "batch3d" else layer
    if block == "conv3d_0c_1x1":
        return f"logits.{layer}.{leaf}"
    ours = HASSONY_BRANCHES[branch.rstrip(".")] + "." if branch else ""
    return f"{block.capitalize()}.{ours}{layer}.{leaf}"
