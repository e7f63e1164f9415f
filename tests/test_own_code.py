"""Experiments of one's own on the command line: files, JSON, ``--code``, and values of one's own classes."""

import json
import signal
from pathlib import Path

import pytest
import torch

import kills
from commands import Answer, require_one_line, start, vidgan
from test_own_experiments import UNIT
from vidgan.cli.experiment import OfExperiment, parse_with_values
from vidgan.nn.recurrent import UnitSpec
from vidgan.nn.temporal import RecurrentSpec
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path, load, steps_of
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.train.trainer import Trainer

Capture = pytest.CaptureFixture[str]
UNIT_OF = "levels.0.generator.stages.0.temporal.0.unit"


def with_values(*words: str) -> Experiment:
    """The experiment that ``vidgan plan WORDS`` plans."""
    return parse_with_values(OfExperiment, "plan", list(words))[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / f"{tmp_path.name}.py"
    path.write_text(UNIT)
    return path


def alone(*words: object) -> Answer:
    """``vidgan WORDS`` in a process of its own, which has imported nothing."""
    process = start(*words)
    out, err = process.communicate(timeout=120)
    return Answer(process.returncode, out, err)


def unit_of(experiment: Experiment) -> UnitSpec:
    """The unit of the first recurrent layer."""
    layer = experiment.levels[0].generator.stages[0].temporal[0]
    assert isinstance(layer, RecurrentSpec)
    return layer.unit


def test_values_of_the_class_that_stands_in_an_abstract_field_can_be_set(file: Path) -> None:
    changed = with_values("demo", f"--{UNIT_OF}.kernel", "5", "--levels.0.discriminators.0.view.k", "3")
    assert unit_of(changed) == unit_of(preset("demo")).replace(kernel=5)
    assert changed.levels[0].discriminators[0].view == preset("demo").levels[0].discriminators[
        0
    ].view.replace(k=3)
    mine = tiny(preset(f"{file}:mine"))
    changed = with_values(f"{file}:mine", "--tiny", f"--{UNIT_OF}.keep", "0.75")
    assert unit_of(changed) == unit_of(mine).replace(keep=0.75)
    assert changed.replace(levels=mine.levels) == mine


@pytest.mark.slow
def test_help_shows_values_of_ones_own_class(file: Path, capsys: Capture) -> None:
    said = vidgan(capsys, "plan", f"{file}:mine", "--help")
    assert said.status == 0, said.err
    assert f"--{UNIT_OF}.keep FLOAT" in said.out
    assert "(default: 0.25)" in said.out
    assert f"--{UNIT_OF}.kernel" not in said.out
    require_one_line(
        vidgan(capsys, "plan", f"{file}:mine", f"--{UNIT_OF}.kep", 1), f"did you mean '--{UNIT_OF}.keep'"
    )
    require_one_line(vidgan(capsys, "plan", f"{file}:mine", f"--{UNIT_OF}.keep", "x"), "'x' is not a number")


def test_what_presets_prints_is_what_is_read(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(vidgan(capsys, "presets", "trivd-gan-fp-k600-16x64", "--json").out)
    read = with_values(str(path), "--training.steps", "7")
    expected = preset("trivd-gan-fp-k600-16x64")
    assert read == expected.replace(training=expected.training.replace(steps=7))


def test_code_that_cannot_be_imported(tmp_path: Path, capsys: Capture) -> None:
    bad = tmp_path / f"{tmp_path.name}.py"
    bad.write_text("import vidgan\nx = 1 / 0\n")
    for words in (("presets", "demo"), ("plan", "demo"), ("sample", "run", "--out", tmp_path / "x")):
        require_one_line(vidgan(capsys, *words, "--code", bad), "line 2: ZeroDivisionError")
        require_one_line(vidgan(capsys, *words, "--code", tmp_path / "none.py"), "no Python file")


DATA = """
import numpy as np

class Clips:
    classes = ("dark", "bright")

    def __len__(self):
        return 16

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return rng.integers(0, 128, (8, 24, 24, 3), np.uint8) + np.uint8(127 * (index % 2)), index % 2

clips = Clips()
"""


@pytest.mark.slow
def test_a_run_with_a_unit_and_data_of_ones_own(file: Path, tmp_path: Path, capsys: Capture) -> None:
    """Killed with -9 in the middle and resumed, it ends as one in memory that nobody killed; then every other verb.

    Until a command of this process names the file, this process knows nothing of it.
    """
    run, record, data = tmp_path / "run", tmp_path / "experiment.json", tmp_path / "my_data.py"
    data.write_text(DATA)
    answer = alone("presets", f"{file}:mine", "--json")
    assert answer.status == 0, answer.err
    record.write_text(answer.out.replace('"keep": 0.25', '"keep": 0.5'))
    assert json.loads(record.read_text())["name"] == "mine"
    reporting = ("--reporting.checkpoint", 2, "--reporting.samples", 10**6)
    train = ("train", record, "--tiny", "--data", f"{data}:clips", *reporting)
    code = ("--code", file)
    assert kills.train((*train, *code, "--steps", 10**6), run, step=3) == -signal.SIGKILL
    saved = max(steps_of(run / "checkpoints", 1))
    assert saved >= 2
    last = kills.last_step(run) + 1
    measure = ("evaluate", run, "--protocol", "pixel-statistics", "--clips", 4, "--data", f"{data}:clips")
    verbs: tuple[tuple[object, ...], ...] = (
        (*train, "--workers", 0, "--out", run, "--steps", last, "--resume"),
        ("plan", record, "--tiny"),
        ("sample", run, "--clips", 2, "--out", tmp_path / "videos"),
        ("sample", run, "--interpolate", "--clips", 1, "--points", 2, "--out", tmp_path / "between"),
        measure,
        ("compare", run),
        ("plot", "levels", run, "--out", tmp_path / "levels.png"),
        ("report", run),
    )
    for words in verbs:
        if words[0] != "compare":  # which has nothing to read yet
            require_one_line(vidgan(capsys, *words), f"--code {file.name}")
    answer = alone(*verbs[0], *code)
    assert answer.status == 0, answer.err
    assert f"resumes at step {saved} " in answer.out
    assert [line["step"] for line in read_lines(run / "log.jsonl")] == list(range(1, last + 1))
    require_one_line(vidgan(capsys, *measure[:-2], *code), f"--data {data}:clips")
    for words in verbs[1:]:
        answer = vidgan(capsys, *words, *code)
        assert answer.status == 0, (words, answer.err)
    require_one_line(alone("compare", run), f"--code {file.name}")
    assert len(list((tmp_path / "videos").iterdir())) == 2
    assert read_lines(run / "metrics.jsonl")[0]["step"] == last
    assert json.loads((run / "experiment.json").read_text())["experiment"]["name"] == "mine"
    memory = Trainer(tiny(preset(str(record))), f"{data}:clips", device="cpu", workers=0, progress=False)
    assert memory.fit(steps=last)
    ends, expected = load(checkpoint_path(run / "checkpoints", 1, last)).tensors, memory.state.tensors()
    trained = [name for name in expected if not name.startswith("average/")]
    assert "level/generator.stages.0.temporal.0.unit.keep" in trained
    assert all(torch.equal(ends[name], expected[name]) for name in trained)
