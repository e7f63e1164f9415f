"""The commands on the pages about evaluation, run as they stand there at small scale: they record what they say.

Runs are tiny and untrained, networks are stand-ins that read no weights, and every number of clips, the protocols' own
too, is divided by 2,500 (by 500 where classes are scored apart), to no fewer than two. The papers' own settings are
then checked against the rows of the tables that the page names.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import miniatures
from commands import vidgan
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
from vidgan.evaluation.results import apart, published
from vidgan.presets import preset
from vidgan.run.checkpoints import State, checkpoint_path, save
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.experiment import Experiment, whole_window
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.sample.video_io import write_clip
from vidgan.train.state import TrainState

DOCS = Path(__file__).parents[1] / "docs"
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
        return 500 if any("by-class" in word for word in self.words) else 2500


def commands_of(page: str) -> list[Command]:
    """The calls in the shell blocks of a page."""
    found, comment = [], ""
    for block in re.findall(r"^```sh\n(.*?)^```", (DOCS / page).read_text(), flags=re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            comment = line[2:] if line.startswith("# ") else comment if words else ""
            if words[:1] == ["vidgan"]:
                found.append(Command(words[1:], comment))
        comment = ""
    return found


EVALUATION, TRIVD = commands_of("evaluation.md"), commands_of("trivd-gan.md")


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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the pages call by a name."""
    place = tmp_path_factory.mktemp("pages")
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
    for name in ("mine", "k400-train"):
        shutil.copytree(place / "data" / "k600-train", place / "data" / name)
    made = open_prepared(place / "data" / "mine")
    clips = np.stack([made.read(index, 0, 9) for index in range(20)])
    np.save(place / "clips.npy", clips)
    for name, part in (("samples", clips[:9]), ("videos", clips[9:])):
        for number, clip in enumerate(part):
            (place / name).mkdir(exist_ok=True)
            np.save(place / name / f"{number}.npy", clip)
    runs = {"mine": "demo", "other": "demo", "k600": "demo", "predictor": "demo-prediction"}
    runs |= {name: name for name in (Path(word).name for word in words_with("runs/")) if name not in runs}
    for name, called in runs.items():
        if called in ("copy-last.metrics.jsonl", "try"):
            continue
        experiment = small(preset(called))
        experiment = experiment.for_classes(len(CLASSES))
        record = DataRecord(str(place / "data" / "mine"), CLASSES, len(made), made.fingerprint)
        trained = RunDirectory.create(place / "runs" / name, experiment, record, ["vidgan"], processes=1)
        for index in experiment.rounds:
            state = TrainState(experiment, index, torch.device("cpu"))
            facts = {"level": index + 1, "step": 1, "finished": True, "labels": [1] * experiment.classes}
            save(checkpoint_path(trained.checkpoints, index + 1, 1), State(state.tensors(), facts))
    return place


def words_with(start: str) -> set[str]:
    return {word for command in EVALUATION for word in command.words if word.startswith(start)}


@pytest.fixture
def scaled(world: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
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
    return monkeypatch


def divided(number: int, factor: int) -> int:
    return max(2, number // factor)


def run(command: Command, capsys: Capture, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run a call at small scale; the lines of the numbers that it records."""
    words, factor = list(command.words), command.factor
    small_words = {"--frames": {48: 9, 16: 9}, "--size": {64: SIDE}, "--runs": {10: 2}}
    for place, word in enumerate(words[:-1]):
        following = words[place + 1]
        if word in ("--clips", "--real-clips"):
            words[place + 1] = str(divided(int(following), factor))
        elif word in small_words:
            words[place + 1] = str(small_words[word][int(following)])
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


def check(command: Command, line: dict[str, Any]) -> None:
    """That a result's counts are those of the call, in its scale."""
    named = ALL[line["protocol"]].protocol
    clips, wanted = command.value("--clips") or named.clips, line["counts"]["evaluated"]
    there = line["evaluated"].get("videos")
    assert wanted == min(divided(clips, command.factor), there or 10**9), command
    real, settings = line["counts"]["real"], line["settings"]["real"]
    if named.real is None:
        assert (real, settings) == (None, None)
        return
    asked = command.value("--real-clips") or named.real.count
    videos = line["real"]["videos"] * (command.value("--windows") or 1)
    if chosen := line["settings"]["source"]["classes"]:
        videos = videos * len(chosen) // len(CLASSES)
    expected = videos if asked is None else min(divided(asked, command.factor), videos)
    assert settings["count"] == (wanted if named.features.needs_truth else expected), command
    assert real in (settings["count"], None)
    if "--runs" in command.words:
        assert (line["settings"]["runs"], len(line["per_run"])) == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in EVALUATION if c.comment], ids=lambda command: command.comment)
def test_a_papers_settings_stand_beside_its_numbers(
    command: Command, capsys: Capture, scaled: pytest.MonkeyPatch
) -> None:
    """What is recorded, at the numbers that the call has and in the form that the preset has, is like the table's."""
    paper, table = re.fullmatch(r"(.+?), (Tables? \d|[\d.A-Z]+)\b.*", command.comment).groups()  # type: ignore[union-attr]
    experiment = preset(Path(command.words[1]).name)
    whole = whole_window(experiment)
    lines = run(command, capsys, scaled)
    assert lines
    for line in lines:
        check(command, line)
        settings, named = line["settings"], ALL[line["protocol"]].protocol
        frames = command.value("--frames") or whole.frames
        settings["clips"] = command.value("--clips") or named.clips
        form = {"frames": frames, "whole": whole.frames, "stride": whole.stride, "size": whole.size}
        settings["source"] |= form
        if settings["sampling"]:
            given = experiment.levels[0].context_frames
            assert (settings["sampling"]["given"] > 0) == (given > 0)
            settings["sampling"]["given"] = given
        if settings["real"] and (count := command.value("--real-clips") or named.real.count):  # type: ignore[union-attr]
            settings["real"]["count"] = count
        if "Kinetics" in str(line["real"]):
            line["real"]["classes"] = 400 if paper == "Guide" else 600
        if per_class := line["values"].get("evaluated_clips_per_class"):
            assert set(per_class.values()) == {2}
            line["values"]["evaluated_clips_per_class"] = dict.fromkeys(per_class, settings["clips"] // 10)
        if "ucf101" in command.words[1] and "--data" not in command.words:
            line["real"]["prepared"]["layout"] = {"is": "Ucf101", "split": "train01"}  # a run's own data
        of_table = [
            row
            for row in published()
            if row.printed_by == paper
            and row.where in (table, table.replace("Tables", "Table"))
            and row.protocol == line["protocol"]
        ]
        assert of_table, (command.comment, line["protocol"])
        like = [row for row in of_table if not apart(row, line)]
        assert like, [apart(row, line) for row in of_table]


@pytest.mark.slow
def test_the_other_commands_of_the_pages_run(
    world: Path, capsys: Capture, scaled: pytest.MonkeyPatch
) -> None:
    shutil.copy(next((world / "kinetics").glob("*.mp4")), world / "VIDEO")
    other = Command(["evaluate", "runs/other", "--protocol", "frechet-random"], "")
    for command in [other, *(c for c in EVALUATION if not c.comment), *TRIVD]:
        for line in run(command, capsys, scaled):
            check(command, line)
