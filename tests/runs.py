"""Run directories made by hand: no training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidgan.presets import preset
from vidgan.presets.demo import demo
from vidgan.run.checkpoints import checkpoint_path, save
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.sample.video_io import write_clip
from vidgan.tensor_file import State
from vidgan.train.state import TrainState

CLASSES = ("disc-right", '<b>bold & "co"')


def make_run(
    path: Path, experiment: Experiment | None = None, classes: Sequence[str] = CLASSES, processes: int = 1
) -> RunDirectory:
    """A run that has only been started."""
    chosen = (experiment or demo()).replace(classes=len(classes))
    data = DataRecord("synthetic", tuple(classes), 1234, "0123abcd")
    command = ["vidgan", "train", "demo", "--out", "a b"]
    return RunDirectory.create(path, chosen, data, command, processes=processes)


def cascade(path: Path, *steps: int) -> RunDirectory:
    """A run of two levels whose checkpoints stand at ``steps``, level by level, and hold nothing."""
    experiment = preset("ssw-gan-k600-48x128").replace(classes=1)
    run = RunDirectory.create(path, experiment, DataRecord("synthetic", ("all",), 1, ""), [])
    for index, step in enumerate(steps):
        file = checkpoint_path(run.checkpoints, index + 1, step)
        save(file, State({}, {"level": index + 1, "step": step}))
    return run


def tick(
    step: int, scalars: Mapping[str, float | None], level: int = 1, seconds: float | None = None
) -> dict[str, Any]:
    """A line of the log, at 0.1 s per step and 16 clips per step."""
    return {
        "level": level,
        "step": step,
        "clips": 16 * step,
        "seconds": 0.1 * step if seconds is None else seconds,
        "scalars": dict(scalars),
    }


def write_log(run: RunDirectory, lines: Sequence[Mapping[str, Any]]) -> None:
    run.log.path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def paint(path: Path, size: int = 8, columns: int = 1, rows: int = 1, seed: int = 0) -> None:
    """A small animation in the format of previews: clips with two pixels between them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (3, rows * (size + 2) - 2, columns * (size + 2) - 2, 3)
    write_clip(path, np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), 8)


def confusion(
    counts: Sequence[Sequence[int]], classes: Sequence[str] = CLASSES, step: int = 40
) -> dict[str, Any]:
    """A result with a table of counts."""
    return {
        "protocol": "oracle-accuracy",
        "value": 0.625,
        "step": step,
        "clips": sum(map(sum, counts)),
        "seed": 3,
        "values": {
            "per_class": {
                name: row[i] / sum(row) for i, (name, row) in enumerate(zip(classes, counts, strict=True))
            }
        },
        "settings": {"is": "OracleAccuracy", "clips": 16, "sigma": 0.75, "averaged": False, "seed": 3},
        "table": {
            "rows": list(classes),
            "columns": [*classes, "none"],
            "counts": [list(row) for row in counts],
        },
    }


def full_run(path: Path) -> RunDirectory:
    """A run with something in every section."""
    run = make_run(path)
    steps = range(25, 25 * 41, 25)
    write_log(
        run,
        [
            tick(
                s,
                {
                    "loss/discriminators": 2 - s / 2000,
                    "loss/generator": s / 3000,
                    "discriminator/clip/real": 1.5,
                    "discriminator/clip/fake": -0.5,
                },
            )
            for s in steps
        ],
    )
    run.metrics.append(confusion([[7, 1, 0], [2, 3, 3]]))
    for step in (25, 500, 1000):
        paint(run.samples / "fixed" / f"level1-step{step:08d}.webp", columns=8, rows=4, seed=step)
    for name in CLASSES:
        for i in range(4):
            folder = run.samples / "classes" / name
            paint(folder / f"fake-{i}.webp", seed=i)
            paint(folder / f"real-{i}.webp", seed=10 + i)
    return run


def untrained(path: Path, experiment: Experiment, classes: Sequence[str] = CLASSES) -> RunDirectory:
    """A run whose checkpoints hold weights as they are when training starts."""
    run = make_run(path, experiment, classes)
    for index in run.experiment.rounds:
        state = TrainState(run.experiment, index, torch.device("cpu"))
        facts = {"level": index + 1, "step": 1, "finished": True, "labels": [1] * run.experiment.classes}
        save(checkpoint_path(run.checkpoints, index + 1, 1), State(state.tensors(), facts))
    return run
