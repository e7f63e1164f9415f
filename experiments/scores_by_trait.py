"""Whether the discriminators of a run on built-in clips tell small shapes from large ones, slow from fast ones.

``python experiments/scores_by_trait.py runs/demo`` scores held-out real clips, and as many generated ones with
statistics of their batch. For the real clips of each class the scores' mean among each fifth by size and by way
travelled is told, in deviations of the class's scores, averaged over classes; clips that grow travel none. Where
generated clips are too alike, discriminators that see it score both ends higher than the middle.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidgan.data.loader import to_float
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec, draw_scene
from vidgan.errors import UserError
from vidgan.models.level import AdversarialLevel
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.norm import BatchStatistics
from vidgan.run.checkpoints import latest
from vidgan.run.directory import RunDirectory
from vidgan.run.networks import adversarial_level
from vidgan.seeds import stream
from vidgan.tensor_file import load_weights, part

PASS: Final = 8
"""clips of a class that are scored at once, as discriminators of packs see them"""
LEAST: Final = 10
"""clips of a class, so that no fifth is empty"""
FIFTHS: Final = (0.2, 0.4, 0.6, 0.8)

Scores = dict[str, NDArray[np.float64]]
"""of each discriminator, by clip"""


@torch.no_grad()
def scores(level: AdversarialLevel, clips: Tensor, label: Tensor) -> Scores:
    """Every discriminator's score of each clip (N T 3 H W), the mean over its frames or steps."""
    found = {name: np.zeros(len(label)) for name in level.discriminators}
    for number in label.unique().tolist():
        for rows in (label == number).nonzero()[:, 0].split(PASS):
            seen = DiscriminatorInput(clips[rows], None, label[rows])
            draws = level.draws(len(rows), stream(0, "views", int(rows[0])))
            for name, made in zip(found, level.discriminate([seen], [draws])[0], strict=True):
                found[name][rows.numpy()] = made.flatten(1).mean(1).numpy()
    return found


@torch.no_grad()
def generated(level: AdversarialLevel, real: Tensor, label: Tensor) -> Tensor:
    """A clip for each real one, under its class."""
    made = []
    for rows in torch.arange(len(label)).split(PASS):
        z = torch.randn((len(rows), level.latent), generator=stream(0, "noise", int(rows[0])))
        like = DiscriminatorInput(real[rows], None, label[rows])
        made.append(level.generate_fake(like, z, None, BatchStatistics()).clip)
    return torch.cat(made)


def by_fifth(
    values: NDArray[np.float64], trait: NDArray[np.float64], label: Tensor, classes: Sequence[int]
) -> list[float]:
    """Means of ``values`` among each fifth of a class by ``trait``, in the class's deviations, over ``classes``."""
    table = []
    for number in classes:
        own = (label == number).numpy()
        within = (values[own] - values[own].mean()) / values[own].std()
        fifth = np.digitize(trait[own], np.quantile(trait[own], FIFTHS))
        table.append([within[fifth == each].mean() for each in range(len(FIFTHS) + 1)])
    return [float(mean) for mean in np.mean(table, axis=0)]


def main(path: Path, clips: int, seed: int) -> None:
    """Print the scores."""
    run = RunDirectory.open(path)
    found = latest(run.checkpoints, 1)
    if found is None:
        raise UserError(f"{path} has no checkpoint yet")
    level = adversarial_level(run.experiment, 0)
    load_weights(level, part(found.state.tensors, "level/"), found.path)
    data = SyntheticDataset(SyntheticSpec(seed=seed, clips=clips))
    spec = run.experiment.levels[0]
    if run.class_names != data.classes or spec.context_frames or spec.size != data.spec.size:
        raise UserError(f"{path} was not trained to make clips of the built-in classes")
    if clips < LEAST * len(data.classes):
        raise UserError(f"fifths need --clips of {LEAST * len(data.classes)} or more")
    real = to_float(torch.stack([torch.from_numpy(data.read(i, 0, spec.frames)) for i in range(clips)]))
    label = torch.arange(clips) % len(data.classes)
    scenes = [draw_scene(data.spec, i) for i in range(clips)]
    every = range(len(data.classes))
    traits = {
        "size": (np.array([scene.radius for scene in scenes]), every),
        "way": (
            np.array([scene.travel for scene in scenes]),
            [number for number in every if not data.classes[number].endswith("grow")],
        ),
    }
    of_real, of_made = scores(level, real, label), scores(level, generated(level, real, label), label)
    for name, values in of_real.items():
        made = of_made[name]
        print(
            f"{name}, step {found.state.facts['step']}: real {values.mean():.2f} ± {values.std():.2f}, "
            f"generated {made.mean():.2f} ± {made.std():.2f}"
        )
        for trait, (drawn, classes) in traits.items():
            print(f"  by {trait}, least first: " + told(by_fifth(values, drawn, label, classes)))


def told(numbers: Sequence[float]) -> str:
    """With their signs."""
    return ", ".join(f"{number:+.2f}" for number in numbers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--clips", type=int, default=1600, help="real clips, and generated ones (1,600)")
    parser.add_argument("--seed", type=int, default=5, help="of the real clips (5)")
    asked = parser.parse_args()
    try:
        main(asked.run, asked.clips, asked.seed)
    except UserError as error:
        raise SystemExit(str(error)) from error
