"""A small 3-D classifier trained on the data's own classes: features without any download.

Its numbers are never called FVD: they hold only beside numbers of the same file.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidgan.errors import UserError
from vidgan.evaluate.features.network import Outputs, check_video
from vidgan.evaluate.features.weights import Weights, describe
from vidgan.files import write_whole

FORMAT = "vidgan house classifier"
WIDTHS = (24, 48, 96, 128)


class HouseClassifier(nn.Module):
    """Four strided 3x3x3 convolutions, each with group normalisation and ReLU; then the mean and a linear map.

    ``network(video)`` gives ``(logits, features)`` for float ``video`` (B T 3 H W) in [-1, 1], at least 16x16:
    logits (B, classes), features (B, 128).
    Our choice throughout: small enough for two cores, no batch statistics, any length and size.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.convolutions = nn.ModuleList(
            # The first halves height and width alone, so that fast motion stays visible.
            nn.Conv3d(a, b, 3, stride=(1 if a == 3 else 2, 2, 2), padding=1, bias=False)
            for a, b in zip(inputs, WIDTHS, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in WIDTHS)
        self.head = nn.Linear(WIDTHS[-1], classes)

    def forward(self, video: Tensor) -> Outputs:
        check_video(video, channels=3, steps=1, side=16, network="the classifier")
        x = video.transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
        features = x.mean((2, 3, 4))
        return Outputs(self.head(features), features)


class House(NamedTuple):
    """A trained classifier and what its file says of it."""

    network: HouseClassifier
    classes: tuple[str, ...]
    facts: dict[str, Any]
    """held-out accuracy, data, settings, versions"""
    weights: Weights


def save_house(path: Path, network: HouseClassifier, classes: tuple[str, ...], facts: dict[str, Any]) -> None:
    """Write weights and facts as one safetensors file."""
    about = {
        "format": FORMAT,
        "classes": json.dumps(list(classes)),
        "facts": json.dumps(facts, sort_keys=True),
    }
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_whole(path, lambda part: save_file(state, part, about))


def load_house(path: Path | None) -> House:
    """The classifier in a file that ``vidgan train-classifier`` wrote.

    Raises:
        UserError: if it is missing, or no such file.
    """
    weights = describe(path, "the classifier (vidgan train-classifier)")
    try:
        with safe_open(weights.path, "pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about.get("format") != FORMAT:
            raise ValueError("it is of something else")
        classes, facts = tuple(json.loads(about["classes"])), json.loads(about["facts"])
        network = HouseClassifier(len(classes))
        network.load_state_dict(state)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{weights.path} holds no classifier of vidgan train-classifier: {reason}") from error
    return House(network.requires_grad_(False).eval(), classes, facts, weights)
