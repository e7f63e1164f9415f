"""Signals of a monitored step, and what discriminators say of clips that they are not trained on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.window import check_usable, in_order, random_item
from vidgan.errors import UserError
from vidgan.models.level import AdversarialLevel
from vidgan.models.losses import Scores
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.layers import WeightLayer
from vidgan.run.collapse import COLOURS
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, together_of, window_of
from vidgan.seeds import derive, stream
from vidgan.train.kernels import training_kernels
from vidgan.train.state import TrainState

DARK: Final = 0.05
"""A video whose mean pixel value, in [0, 1], is below this is dark; the protocol ``pixel-statistics`` has the same."""
HELD_OUT: Final = "held out"
TRAINED_ON: Final = "trained on"
"""What signals call the clips of :class:`HeldOut`."""


class Monitor:
    """Signals of one step, as sums and counts on the device, so that nothing waits for it before :meth:`take`.

    The same over micro-batches, discriminator updates and replicas: sums and counts are added, then divided. Nothing
    is drawn and no state is kept, so training does not depend on it. Fakes are those that the discriminators are
    trained on: raw weights and batch statistics.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def discriminators(
        self,
        level: AdversarialLevel,
        real: DiscriminatorInput,
        fake: DiscriminatorInput,
        on_real: Scores,
        on_fake: Scores,
    ) -> None:
        """What the discriminators' update saw: real and fake clips and their scores."""
        given = level.spec.context_frames
        for kind, seen, scores in (("real", real, on_real), ("fake", fake, on_fake)):
            self._clips(kind, seen, given)
            self.evaluated(level, kind, scores)

    @torch.no_grad()
    def evaluated(self, level: AdversarialLevel, kind: str, scores: Scores) -> None:
        """Scores of ``real``, ``fake``, ``held out`` or ``trained on`` clips: how many outputs are on the right side
        of 0, where the objective has one."""
        for name, output in zip(
            level.discriminators, level.spec.objective.by_discriminator(scores), strict=True
        ):
            if level.spec.objective.absolute:
                self._add(f"accuracy/{name}/{kind}", output < 0 if kind == "fake" else output > 0)
            if kind in (
                HELD_OUT,
                TRAINED_ON,
            ):  # of the others, what the hinge is given is logged at every step
                self._add(f"discriminator/{name}/{kind}", output)

    @torch.no_grad()
    def gradients(self, networks: Mapping[str, nn.Module]) -> None:
        """Norms of the gradients that the optimiser is about to use."""
        for name, network in networks.items():
            found = [p.grad for p in network.parameters() if p.grad is not None]
            norms = torch._foreach_norm(found)
            self._add(f"gradient/{name}", torch.stack(norms).double().square().sum().sqrt())

    @torch.no_grad()
    def take(self, level: AdversarialLevel, replicas: Replicas) -> dict[str, float]:
        """The step's signals, over all replicas; waits for the device. What nothing was seen of is left out."""
        for name, network in (("generator", level.generator), *level.discriminators.items()):
            if sigmas := first_singular_values(network):
                ordered = torch.stack(list(sigmas.values())).sort().values
                for curve, place in (("largest", -1), ("median", len(ordered) // 2), ("least", 0)):
                    self._add(f"singular/{name}/{curve}", ordered[place])
        totals = replicas.average({name: total for name, (total, _) in self._sums.items()})
        counts = replicas.average({name: count for name, (_, count) in self._sums.items()})
        return {name: total / counts[name] for name, total in totals.items() if counts[name]}

    def _clips(self, kind: str, seen: DiscriminatorInput, given: int) -> None:
        clip = (seen.clip.float() + 1) / 2
        made = clip[:, given:]
        for channel, colour in enumerate(COLOURS):
            self._add(f"pixel/{kind} {colour}", made[:, :, channel].mean((1, 2, 3)))
        brightness = made.mean((1, 2, 3, 4))
        self._add(f"pixel/{kind} mean", brightness)
        self._add(f"dark/{kind}", brightness < DARK)
        self._add(f"motion/{kind}", motion(clip[:, max(0, given - 1) :]))
        one_class = (seen.label[:, None] == seen.label[None]).triu(1)
        self._add(f"diversity/{kind}", distances(made) * one_class, one_class.sum())

    def _add(self, name: str, values: Tensor, count: Tensor | None = None) -> None:
        total = values.double().sum()
        count = torch.full_like(total, values.numel()) if count is None else count
        if name in self._sums:
            total, count = total + self._sums[name][0], count + self._sums[name][1]
        self._sums[name] = (total, count)


def motion(clip: Tensor) -> Tensor:
    """Mean absolute difference of a clip's (B T C H W) neighbouring frames: (B,), or (0,) of single frames."""
    if clip.shape[1] < 2:
        return clip.new_zeros(0)
    return (clip[:, 1:] - clip[:, :-1]).abs().mean((1, 2, 3, 4))


def distances(clip: Tensor) -> Tensor:
    """Root mean square difference of every two clips (B T C H W): (B, B)."""
    flat = clip.flatten(1)
    flat = flat - flat.mean(0)  # products of centred numbers keep the digits of small distances
    products = flat @ flat.t()
    norms = products.diagonal()
    squares = (norms[:, None] + norms[None] - 2 * products) / flat.shape[1]
    return squares.clamp(min=0).sqrt()


def first_singular_values(network: nn.Module) -> dict[str, Tensor]:
    """The first singular value of every spectral-normed weight, as the power iteration sees it, by layer."""
    return {
        name: layer.sigma().detach().float()
        for name, layer in network.named_modules()
        if isinstance(layer, WeightLayer) and layer.spectral
    }


class HeldOut:
    """Real clips that the discriminators score after monitored steps: as many held-out ones as ones that are trained
    on, a micro-batch of each per process, other clips every time.

    Both by the same weights: from one update to the next what a discriminator gives to all real clips may rise and
    fall by more than the two differ.

    Args:
        dataset: the held-out clips.
        trained_on: those of the training, whose classes count.

    Raises:
        UserError: if clips are too short or small, or of classes that the training data lack.
    """

    def __init__(self, dataset: Dataset, trained_on: Dataset, experiment: Experiment) -> None:
        if experiment.conditional and (
            strange := [name for name in dataset.classes if name not in trained_on.classes]
        ):
            raise UserError(
                f"held-out clips are of classes that are not trained on: {', '.join(strange[:5])}; prepare them "
                "with the same classes"
            )
        self.experiment = experiment
        self.sides = {
            kind: Drawn(clips, trained_on.classes, experiment, kind)
            for kind, clips in ((HELD_OUT, dataset), (TRAINED_ON, trained_on))
        }

    @torch.no_grad()
    @training_kernels()
    def discriminate(self, state: TrainState, monitor: Monitor) -> None:
        """Let the discriminators score clips that depend on the step and the process alone, as a training step does.

        Raises:
            UserError: if a clip cannot be read.
        """
        training, level, replicas = self.experiment.training, state.level, state.replicas
        step = state.steps - 1  # the one that was made last
        count = state.batch.share(replicas.size).per_pass
        # One clip after the other in an order of their own; what training draws is not touched.
        first = (step // self.experiment.reporting.tick * replicas.size + replicas.rank) * count
        for kind, clips in self.sides.items():
            clip, label = clips.batch(state.index, range(first, first + count), state.device)
            rng = stream(training.seed, f"views of {kind}", state.index, step, replicas.rank)
            seen = level.real_input(clip, label, self.experiment.smooth_views)
            seen = level.at(seen, level.places(count, rng))
            draws = {name: draw.to(state.device) for name, draw in level.draws(count, rng).items()}
            (scores,) = level.discriminate([seen], [draws], state.dtype)
            monitor.evaluated(level, kind, scores)


class Drawn:
    """Clips of a dataset in an order of their own, labelled by the ``classes`` of the training.

    Raises:
        UserError: if clips are too short or small.
    """

    def __init__(
        self, dataset: Dataset, classes: Sequence[str], experiment: Experiment, purpose: str
    ) -> None:
        for index in experiment.rounds:
            check_usable(dataset, window_of(experiment, index))
        self.dataset, self.experiment = dataset, experiment
        seed = experiment.training.seed
        self.seeds = {index: derive(seed, purpose, index) for index in experiment.rounds}
        self.orders = {
            index: in_order(dataset, own, together_of(experiment, index)) for index, own in self.seeds.items()
        }
        self.labels = [0] * len(dataset.classes)
        if experiment.conditional:
            self.labels = [list(classes).index(name) for name in dataset.classes]

    def batch(self, index: int, places: Iterable[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Windows of level ``index`` (B T C H W), in [-1, 1], of the clips at ``places`` of the order, and labels."""
        window, seed, order = window_of(self.experiment, index), self.seeds[index], self.orders[index]
        items = [random_item(self.dataset, window, seed, n, order) for n in places]
        clip = to_float(torch.stack([torch.from_numpy(item.frames) for item in items]).to(device))
        return clip, torch.tensor([self.labels[item.label] for item in items], device=device)
