"""A small classifier trained on the data's own classes, to measure with where no published network fits.

Its numbers are never called FVD: they hold only beside numbers of the same file.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.bounds import Bounds, Count, Positive, Seed
from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.window import Place, WindowSpec, check_usable, cut
from vidgan.errors import UserError
from vidgan.evaluation.features.network import Outputs, check_video
from vidgan.evaluation.features.weights import Weights, describe
from vidgan.forms import NUMBER, TEXT, Fields, fits
from vidgan.seeds import derive, stream
from vidgan.spec import Spec, to_json
from vidgan.tensor_file import State, load_tensors, load_weights, save_tensors

FORMAT = "vidgan in_domain classifier 2"
FACTS = Fields({"classes": [TEXT], "facts": Fields({"held_out_accuracy": NUMBER})})
"""what its file says"""
WIDTHS = (24, 48, 96, 128)


class InDomainClassifier(nn.Module):
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


class InDomain(NamedTuple):
    """A trained classifier and what its file says of it."""

    network: InDomainClassifier
    classes: tuple[str, ...]
    facts: dict[str, Any]
    """held-out accuracy, data, settings, versions"""
    weights: Weights


def save_in_domain(
    path: Path, network: InDomainClassifier, classes: tuple[str, ...], facts: dict[str, Any]
) -> None:
    """Write weights and facts as one safetensors file."""
    save_tensors(path, FORMAT, State(network.state_dict(), {"classes": list(classes), "facts": facts}))


def load_in_domain(path: Path | None) -> InDomain:
    """The classifier in a file that ``vidgan evaluate --train-classifier`` wrote.

    Raises:
        UserError: if it is missing, damaged, or no such file.
    """
    weights = describe(path, "the classifier (vidgan evaluate --train-classifier)")
    state = load_tensors(weights.path, FORMAT)
    head = state.tensors.get("head.weight")
    if not fits(state.facts, FACTS) or head is None or len(head) != len(state.facts["classes"]):
        raise UserError(f"{weights.path} is damaged: it does not say which classes it knows")
    network = InDomainClassifier(len(head))
    load_weights(network, state.tensors, weights.path)
    classes = tuple(state.facts["classes"])
    return InDomain(network.requires_grad_(False).eval(), classes, state.facts["facts"], weights)


class ClassifierSpec(Spec):
    """How a classifier is trained."""

    window: WindowSpec = WindowSpec(size=64, frames=16)
    """clips that it sees; it classifies any length and size, but was trained on these"""
    steps: Count = 600
    """updates"""
    batch: Count = 16
    """clips per update"""
    rate: Positive = 2e-3
    """largest learning rate of Adam; it falls to zero as a cosine"""
    held_out: Annotated[float, Bounds(0, 1, open_least=True, open_most=True)] = 0.2
    """share of each class that training does not see: the last clips of the class"""
    seed: Seed = 0
    """of the weights and of which clips come when"""


class Split(NamedTuple):
    """Clips by number."""

    train: Sequence[int]
    held_out: Sequence[int]


class TrainedClassifier(NamedTuple):
    """A classifier and how good it is."""

    network: InDomainClassifier
    facts: dict[str, Any]


def split(dataset: Dataset, share: float) -> Split:
    """Clips to train on, and the last ``share`` of each class, rounded up.

    Our choice: not drawn at random, because names of clips of one recording usually stand together, so that few
    recordings are on both sides.

    Raises:
        UserError: if there are fewer than two classes, or a class has a single clip.
    """
    if len(dataset.classes) < 2:
        raise UserError(
            "a classifier needs data with at least two classes: prepare a folder of videos per class"
        )
    members: dict[int, list[int]] = {label: [] for label in range(len(dataset.classes))}
    for index in range(len(dataset)):
        members[dataset.info(index).label].append(index)
    if small := [dataset.classes[label] for label, own in members.items() if len(own) < 2]:
        raise UserError(
            f"each class needs two clips, one of them to be held out; too few of {', '.join(small[:5])}"
        )
    train, held_out = [], []
    for own in members.values():
        end = len(own) - min(len(own) - 1, math.ceil(share * len(own)))
        train += own[:end]
        held_out += own[end:]
    return Split(train, held_out)


def train_classifier(
    dataset: Dataset,
    spec: ClassifierSpec,
    device: torch.device,
    advance: Callable[[int], None] = lambda done: None,
) -> TrainedClassifier:
    """Train on ``dataset``; the same spec, data and device give the same weights.

    Args:
        advance: called with a number of clips that were trained on.

    Raises:
        UserError: if the data have too few classes or clips, or clips too short or small.
    """
    check_usable(dataset, spec.window)
    parts = split(dataset, spec.held_out)
    network = InDomainClassifier(len(dataset.classes))
    initialise(network, spec.seed)
    network.to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), spec.rate, betas=(0.9, 0.99))
    for step in range(spec.steps):
        optimiser.param_groups[0]["lr"] = spec.rate * (1 + math.cos(math.pi * step / spec.steps)) / 2
        places = [place_of(dataset, spec, parts.train, step * spec.batch + i) for i in range(spec.batch)]
        video, labels = batch_of(dataset, spec.window, places, device)
        optimiser.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(video).logits, labels, label_smoothing=0.1)
        loss.backward()
        optimiser.step()
        advance(spec.batch)
    network.eval().requires_grad_(False)
    return TrainedClassifier(network, facts_of(network, dataset, spec, parts, device))


def initialise(network: InDomainClassifier, seed: int) -> None:
    """He-normal weights from ``seed`` alone; norms start as the identity."""
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            rng = stream(seed, f"classifier {name}")
            deviation = math.sqrt(2 / parameter[0].numel())
            parameter.data = deviation * torch.randn(parameter.shape, generator=rng)
        else:
            parameter.data.fill_(1.0 if "norms" in name and "weight" in name else 0.0)
    network.head.weight.data *= 0.1


def place_of(dataset: Dataset, spec: ClassifierSpec, clips: Sequence[int], n: int) -> Place:
    """Where training item ``n`` lies: clip, start and square are uniform; never mirrored."""
    window = spec.window

    def draw(purpose: str, choices: int) -> int:
        return derive(spec.seed, f"classifier {purpose}", n) % choices

    index = clips[draw("clip", len(clips))]
    info = dataset.info(index)
    height, width = window.fitted(info)
    return Place(
        clip=index,
        start=draw("start", info.frames - window.span + 1),
        top=draw("top", height - window.size + 1),
        left=draw("left", width - window.size + 1),
        flip=False,
    )


def batch_of(
    dataset: Dataset, window: WindowSpec, places: Sequence[Place], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Videos (B T 3 H W) in [-1, 1] and their labels."""
    clips = np.stack([cut(dataset, window, place) for place in places])
    labels = torch.tensor([dataset.info(place.clip).label for place in places])
    return to_float(torch.from_numpy(clips)).to(device), labels.to(device)


@torch.no_grad()
def facts_of(
    network: InDomainClassifier, dataset: Dataset, spec: ClassifierSpec, parts: Split, device: torch.device
) -> dict[str, Any]:
    """What the classifier's file says: its accuracy on the middle windows of held-out clips, and how it was made."""
    window = spec.window
    counts = np.zeros((len(dataset.classes), 2), np.int64)
    for start in range(0, len(parts.held_out), spec.batch):
        places = []
        for index in parts.held_out[start : start + spec.batch]:
            info = dataset.info(index)
            top, left = ((side - window.size) // 2 for side in window.fitted(info))
            places.append(Place(index, (info.frames - window.span) // 2, top, left, False))
        video, labels = batch_of(dataset, window, places, device)
        right = network(video).logits.argmax(1) == labels
        np.add.at(counts, (labels.cpu().numpy(), right.long().cpu().numpy()), 1)
    shares = counts[:, 1] / counts.sum(1)
    return {
        "held_out_accuracy": float(counts[:, 1].sum() / counts.sum()),
        "held_out_clips": int(counts.sum()),
        "held_out_by_class": dict(zip(dataset.classes, shares.tolist(), strict=True)),
        "trained_on_clips": len(parts.train),
        "data": dataset.fingerprint,
        "settings": to_json(spec),
    }
