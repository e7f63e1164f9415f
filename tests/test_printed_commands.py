"""What ``vidgan presets NAME`` prints: after each command the number stands beside the rows that it is printed below.

A result is made here of the words of a command and of what is known of the datasets, without measuring anything, and
set beside the rows by :func:`vidgan.evaluation.results.apart`.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from vidgan.cli.evaluate import Options, with_options
from vidgan.cli.parse import parse
from vidgan.evaluation.protocols import ALL, adjusted
from vidgan.evaluation.results import Published, apart, beside, published
from vidgan.presets import preset
from vidgan.report.scores import in_words, scores_of
from vidgan.run.experiment import Experiment, whole_window
from vidgan.spec import to_json

LAYOUTS = {
    "k600": ("Kinetics", 600),
    "k400": ("Kinetics", 400),
    "ucf101": ("Ucf101", 101),
    "bair": ("Bair", 1),
    "bdd100k": ("Bdd100k", 1),
}
"""layout and classes of prepared data, by the name of their folder"""
VIDEOS = {"bair-test": 256, "bair-balanced-test": 13_236}
"""videos of splits, where that limits a number (Luc et al. 2020, C.1: 256, and those beside 30 % of 43,264)"""
TRAINED_ON = {"Kinetics-600": "k600", "Kinetics-400": "k400", "UCF-101": "ucf101", "BDD100K": "bdd100k"}
NAMES = sorted({row.preset for row in published() if row.preset is not None})


class Printed(NamedTuple):
    """A command of a preset, and the rows that stand above it."""

    experiment: Experiment
    rows: list[Published]
    command: str


def printed(name: str) -> Iterator[Printed]:
    """The commands of a preset; where there is none, the reason."""
    experiment = preset(name)
    known = {f"  {row.where}: {in_words(row)}": row for row in published() if row.preset == name}
    above: list[Published] = []
    for line in scores_of(experiment)[1:-1]:
        if line in known:
            above.append(known[line])
        elif line.startswith(("    vidgan evaluate ", "    no command: ")):
            yield Printed(experiment, above, line.strip())
            above = []
        else:
            assert line.startswith(("    of a run that has this checkpoint:", "    vidgan train ")), line
    assert above == []


def results(asked: Printed) -> Iterator[dict[str, Any]]:
    """What is on record after a command, a line per protocol."""
    _, _, *words = shlex.split(asked.command.replace("SIGMA", "0.5"))
    options = parse(Options, "evaluate", words)
    whole, experiment = whole_window(asked.experiment), asked.experiment
    folder = options.data or f"data/{TRAINED_ON[asked.rows[0].data]}-train"
    place, _, split = folder.removeprefix("data/").partition("-")
    layout, classes = LAYOUTS[place]
    for name in options.protocol:
        protocol = adjusted(with_options(ALL[name].protocol, options), classes=options.classes)
        line: dict[str, Any] = {"protocol": name, "settings": to_json(protocol), "values": {}}
        settings = line["settings"]
        frames = options.frames or whole.frames
        there = frames if options.random_window else whole.frames
        settings["source"] |= {
            "frames": frames,
            "whole": there,
            "stride": whole.stride,
            "size": whole.size,
        }
        settings["sampling"]["given"] = experiment.levels[0].context_frames
        if settings["real"] and (videos := VIDEOS.get(f"{place}-{split}")):
            asked_for, most = settings["real"]["count"], videos * settings["real"]["windows"]
            settings["real"]["count"] = most if asked_for is None else min(most, asked_for)
        prepared = {"layout": {"is": layout, "split": split or None}}
        line["real"] = {"prepared": prepared, "classes": classes, "not_taken": 0}
        if options.classes:
            each = settings["clips"] // len(options.classes)
            line["values"]["evaluated_clips_per_class"] = dict.fromkeys(options.classes, each)
        line["step"] = experiment.training.steps if options.checkpoint == "last" else int(options.checkpoint)
        yield line


@pytest.mark.parametrize("name", NAMES)
def test_a_number_made_by_the_command_stands_beside_the_rows_above_it(name: str) -> None:
    for asked in printed(name):
        if asked.command.startswith("no command: "):
            continue
        lines = {line["protocol"]: line for line in results(asked)}
        assert sorted(lines) == sorted({str(row.protocol) for row in asked.rows})
        for row in asked.rows:
            differs = apart(row, lines[str(row.protocol)])
            assert differs == [], (row.value, asked.command, differs)
            if (
                row.split is not None
            ):  # of IS too, which is of generated clips alone, but where frames are given
                assert f"-{row.split} " in asked.command, (row.value, asked.command)
            if row.runs is not None:
                assert f" --runs {row.runs}" in asked.command


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_a_preset_stands_above_one_command_or_reason(name: str) -> None:
    rows = [row for asked in printed(name) for row in asked.rows]
    assert sorted(rows, key=repr) == sorted((r for r in published() if r.preset == name), key=repr)


def test_a_command_of_other_settings_stands_beside_other_rows() -> None:
    """The two splits of 000's Table 3, and a number of a step that the preset passes."""
    train, test = (asked for asked in printed("dvd-gan-fp-k600-16x64"))
    ((first,), (second,)) = list(results(train)), list(results(test))
    assert {row.value for row in beside(first) if row.printed_by == "DVD-GAN"} == {99.32}
    assert {row.value for row in beside(second) if row.printed_by == "DVD-GAN"} == {103.78, 170.0}
    early = next(asked for asked in printed("trivd-table2-convlstm") if asked.rows[0].where == "F.1")
    (line,) = results(early)
    assert (line["step"], {row.value for row in beside(line)}) == (180_000, {99.32, 51.8, 62.7})
    assert {row.value for row in beside({**line, "step": 500_000})} == {99.32}


def test_a_preset_that_ends_later_says_how_to_keep_the_step() -> None:
    for name, words in (
        ("trivd-table2-convlstm", "--reporting.keep-at 180000"),
        ("ssw-gan-k600-48x128-window3", "--steps 100000"),
    ):
        said = scores_of(preset(name))
        assert any(re.search(f"vidgan train {name} .*{words}$", line) for line in said)
    # Steps are in the file only where they are not those that the preset ends with.
    assert all(row.step != preset(str(row.preset)).training.steps for row in published() if row.step)


def test_the_papers_own_models_have_presets() -> None:
    """All but copies of the last given frame, which no model makes."""
    without = [row for row in published() if row.preset is None and row.cited is None]
    assert [row.model for row in without] == ["copies of the last given frame"]
