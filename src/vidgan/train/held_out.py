"""Real clips that training never sees: a critic that tells them from training clips remembers instead of judging."""

import torch

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.pipeline import random_item
from vidgan.data.window import check_usable
from vidgan.errors import UserError
from vidgan.models.level import Game
from vidgan.run.experiment import Experiment
from vidgan.sample.settling import window_of
from vidgan.seeds import derive, stream
from vidgan.train.monitor import Monitor
from vidgan.train.replicas import Replicas


class HeldOut:
    """Judges held-out clips in watched steps: a micro-batch per replica, other clips at every step.

    Args:
        classes: of the training data, which labels count.

    Raises:
        UserError: if clips are too short or small, or of classes that the training data lack.
    """

    def __init__(self, dataset: Dataset, experiment: Experiment, classes: tuple[str, ...]) -> None:
        for index in experiment.rounds:
            check_usable(dataset, window_of(experiment, index))
        self.dataset, self.experiment = dataset, experiment
        self.labels = [0] * len(dataset.classes)
        if experiment.conditional:
            if strange := [name for name in dataset.classes if name not in classes]:
                raise UserError(
                    f"held-out clips are of classes that are not trained on: {', '.join(strange[:5])}; prepare them "
                    "with the same classes"
                )
            self.labels = [classes.index(name) for name in dataset.classes]

    @torch.no_grad()
    def judge(self, level: Game, index: int, step: int, monitor: Monitor, replicas: Replicas) -> None:
        """Let the critics of level ``index`` judge clips that depend on the step and the replica alone.

        Raises:
            UserError: if a clip cannot be read.
        """
        training = self.experiment.training
        count = training.batch.micro
        # One clip after the other in an order of their own; what training draws is not touched.
        first = (step // self.experiment.reporting.tick * replicas.size + replicas.rank) * count
        seed, window = derive(training.seed, "held out", index), window_of(self.experiment, index)
        items = [random_item(self.dataset, window, seed, n) for n in range(first, first + count)]
        device = next(level.generator.parameters()).device
        clip = to_float(torch.stack([torch.from_numpy(item.frames) for item in items]).to(device))
        label = torch.tensor([self.labels[item.label] for item in items], device=device)
        rng = stream(training.seed, "views of held out", index, step, replicas.rank)
        seen = level.evidence(clip, label, self.experiment.smooth_views)
        seen = level.at(seen, level.places(count, rng))
        draws = {name: draw.to(device) for name, draw in level.draws(count, rng).items()}
        dtype = torch.bfloat16 if training.bf16 else None
        (scores,) = level.judge([seen], [draws], dtype)
        monitor.judged(level, "held out", scores)
