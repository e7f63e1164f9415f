"""What commands on the pages call by a name, in miniature: prepared data, videos, runs that were never trained, and
stand-ins for networks, which read no weights."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import miniatures
from commands import vidgan
from runs import tick, write_log
from vidgan.cli.evaluate import results_beside
from vidgan.data.prepare import prepare_by
from vidgan.data.published.bair import Bair
from vidgan.data.published.kinetics import Kinetics
from vidgan.data.published.ucf101 import Ucf101
from vidgan.data.store import PrepareSpec, open_prepared
from vidgan.evaluation.features.network import Outputs
from vidgan.evaluation.features.weights import Weights
from vidgan.evaluation.protocols import ALL
from vidgan.evaluation.protocols.networks import HalfPixelBilinear, LegacyBilinear
from vidgan.presets import preset
from vidgan.run.checkpoints import State, checkpoint_path, save
from vidgan.run.collapse import COLOURS
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.sample.video_io import write_clip
from vidgan.train.state import TrainState

BY_CLASS = 500
CLASSES = (
    *("bungee jumping", "capoeira", "cheerleading", "kitesurfing", "skydiving"),
    *("doing nails", "cooking egg", "crying", "reading book", "yawning"),
)
FRAMES, SIDE = 40, 32
"""of the videos"""
Capture = pytest.CaptureFixture[str]


class Command(NamedTuple):
    """A call on a page, and the comment before it."""

    words: list[str]
    comment: str

    def value(self, option: str) -> int | None:
        """The number that is given for an option."""
        return int(self.words[self.words.index(option) + 1]) if option in self.words else None

    @property
    def factor(self) -> int:
        """By which numbers of clips are divided."""
        return BY_CLASS if any("by-class" in word for word in self.words) else 2500


def small(experiment: Experiment) -> Experiment:
    """Tiny, but long enough for I3D, and for C3D where the paper scores by it."""
    made = tiny(experiment)
    c3d = "ucf101-16x128" in experiment.name
    first, *upper = made.levels
    if upper:
        base = 8 if c3d else 5
        levels = tuple(level.replace(frames=base * 2**index) for index, level in enumerate(made.levels))
    else:
        levels = (first.replace(frames=16 if c3d else 9 - first.context_frames),)
    return made.replace(levels=levels)


class StandIn(nn.Module):
    """A network of as many classes: fixed random sums of a clip's values."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weights = torch.randn(classes, 48, generator=torch.Generator().manual_seed(0))

    def forward(self, x: Tensor) -> Outputs:
        values = x.flatten(1)[:, :: max(1, x[0].numel() // 48)][:, :48]
        return Outputs(values @ self.weights.T, values[:, :8])


def build(place: Path, runs: dict[str, str]) -> None:
    """Data, videos and runs in the folder ``place``; ``runs`` names the preset of each."""
    rng, source, rows = (
        np.random.default_rng(0),
        place / "kinetics",
        ["label,youtube_id,time_start,time_end,split"],
    )
    source.mkdir()
    for number in range(20):
        base = rng.integers(0, 200, (1, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
        clip = base + rng.integers(0, 56, (FRAMES, 1, 1, 1))
        write_clip(source / f"video{number:06d}_000000_000010.mp4", clip.astype(np.uint8), 25.0)
        splits = ("train", "val", "test") if number < 2 else ("train",)
        rows += [f"{CLASSES[number % 10]},video{number:06d},0,10,{split}" for split in splits]
    (source / "all.csv").write_text("\n".join(rows))
    for name, layout, origin in (
        *((f"k600-{split}", Kinetics(split=split), source) for split in ("train", "val", "test")),
        ("bair-test", Bair(split="test"), miniatures.bair(place / "bair")),
        ("bair-balanced-test", Bair(split="balanced-test"), place / "bair"),
        ("ucf101-test01", Ucf101(split="test01"), miniatures.ucf101(place / "ucf101")),
    ):
        prepare_by(origin, place / "data" / name, PrepareSpec(layout=layout, size=SIDE), workers=0)
    for name in ("mine", "k400-train", "bdd100k-train"):
        shutil.copytree(place / "data" / "k600-train", place / "data" / name)
    made = open_prepared(place / "data" / "mine")
    clips = np.stack([made.read(index, 0, 9) for index in range(20)])
    np.save(place / "clips.npy", clips)
    for name, part in (("samples", clips[:9]), ("videos", clips[9:])):
        for number, clip in enumerate(part):
            (place / name).mkdir(exist_ok=True)
            np.save(place / name / f"{number}.npy", clip)
    for name, called in runs.items():
        experiment = small(preset(called))
        experiment = experiment.for_classes(len(CLASSES))
        record = DataRecord(str(place / "data" / "mine"), tuple(made.classes), len(made), made.fingerprint)
        trained = RunDirectory.create(place / "runs" / name, experiment, record, ["vidgan"], processes=1)
        for index in experiment.rounds:
            state = TrainState(experiment, index, torch.device("cpu"))
            facts = {"level": index + 1, "step": 1, "finished": True, "labels": [1] * experiment.classes}
            save(checkpoint_path(trained.checkpoints, index + 1, 1), State(state.tensors(), facts))
        pixels = {f"pixel/{kind} {colour}": 0.5 for kind in ("real", "fake") for colour in (*COLOURS, "mean")}
        write_log(trained, [tick(step, pixels) for step in (1, 2)])


def stand_in(monkeypatch: pytest.MonkeyPatch, world: Path) -> None:
    """Stand-ins for networks, and the folder that commands are called in."""
    home = "vidgan.evaluation.protocols.networks"
    facts = Weights(Path("weights"), "0")
    for name, classes in (("load_i3d", 400), ("load_c3d", 101), ("load_r2plus1d", 400)):
        monkeypatch.setattr(f"{home}.{name}", lambda *given, n=classes: (StandIn(n), facts))
    monkeypatch.setattr(f"{home}.load_c3d_mean", lambda path: (torch.zeros(3, 16, 128, 171), facts))
    monkeypatch.setattr(f"{home}.is_torchscript", lambda path: False)
    for kind in (LegacyBilinear, HalfPixelBilinear):
        monkeypatch.setattr(kind, "apply", lambda self, frames, side: frames.float())
    monkeypatch.chdir(world)


def divided(number: int, factor: int) -> int:
    """At small scale; two of each class where classes are measured one by one."""
    return max(2 * len(CLASSES) if factor == BY_CLASS else 2, number // factor)


def run(command: Command, capsys: Capture, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run a call at small scale; the lines of the numbers that it records."""
    words, factor = list(command.words), command.factor
    small_words = {"--frames": {50: 20, 48: 9, 16: 9, 12: 10, 6: 6}, "--size": {64: SIDE}, "--runs": {10: 2}}
    for place, word in enumerate(words[:-1]):
        following = words[place + 1]
        if word in ("--clips", "--real-clips"):
            words[place + 1] = str(divided(int(following), factor))
        elif word == "--checkpoint":
            words[place + 1] = "1"  # the only one of a run that was never trained
        elif word in small_words and words[0] != "plan":
            words[place + 1] = str(small_words[word][int(following)])
    if words[0] == "prepare":
        words += ["--workers", "0"]
    if words[0] == "plan":
        # A tiny cascade makes 8 frames, of which its frame discriminator draws 7.
        scaled = {"24": "8", "48": "16", "96": "8", "140": "16"} | {"12": "8"}
        words = [scaled.get(word, word) for word in words] + ["--tiny"]
    if "psd" in words:
        words += [
            "--frames",
            "10",
            "--positions",
            "1",
            "9",
            "--clips",
            "6",
            "--real-clips",
            "6",
        ]  # three groups
    if "--train-classifier" in words:
        words += ["--steps", "2", "--batch", "2"]
    with patch.context() as scale:
        for name, named in ALL.items():
            own = named.protocol
            real = own.real and own.real.replace(count=own.real.count and divided(own.real.count, factor))
            fewer = own.replace(clips=divided(own.clips, factor), real=real)
            scale.setitem(ALL, name, named._replace(protocol=fewer))  # type: ignore[arg-type]
        evaluates = words[0] == "evaluate" and "--train-classifier" not in words
        log = results_beside(Path(words[1])) if evaluates else Path()
        if evaluates and words[1].startswith("runs/"):
            log = Path(words[1]) / ("copy-last." * ("--copy-last" in words) + "metrics.jsonl")
        before = len(read_lines(log)) if log.is_file() else 0
        answer = vidgan(capsys, *words)
        assert answer.status == 0, (command, answer.err)
    return read_lines(log)[before:] if evaluates else []
