"""The commands on the pages about evaluation, run as they stand there at small scale: they record what they say.

Runs are tiny and untrained, networks are stand-ins that read no weights, and every number of clips, the protocols' own
too, is divided by 2,500 (by 500 where classes are scored apart), to no fewer than two. The papers' own settings are
then checked against the rows of the tables that the page names.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from paper_world import CLASSES, Capture, Command, build, divided, run, stand_in
from vidgan.evaluation.protocols import ALL
from vidgan.evaluation.results import apart, published
from vidgan.presets import preset
from vidgan.run.experiment import whole_window

DOCS = Path(__file__).parents[1] / "docs"


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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the pages call by a name."""
    place = tmp_path_factory.mktemp("pages")
    runs = {"mine": "demo", "other": "demo", "k600": "demo", "predictor": "demo-prediction"}
    named = {Path(word).name for word in words_with("runs/")} - {"copy-last.metrics.jsonl", "try"}
    build(place, {name: name for name in named} | runs)
    return place


def words_with(start: str) -> set[str]:
    return {word for command in EVALUATION for word in command.words if word.startswith(start)}


@pytest.fixture
def scaled(world: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Stand-ins for networks, and the folder that commands are called in."""
    stand_in(monkeypatch, world)
    return monkeypatch


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
        there = frames if "--random-window" in command.words else whole.frames
        form = {"frames": frames, "whole": there, "stride": whole.stride, "size": whole.size}
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
        copies = "--copy-last" in command.words
        assert copies or any(row.preset == experiment.name for row in like), "a row is of another model"


@pytest.mark.slow
def test_the_other_commands_of_the_pages_run(
    world: Path, capsys: Capture, scaled: pytest.MonkeyPatch
) -> None:
    shutil.copy(next((world / "kinetics").glob("*.mp4")), world / "VIDEO")
    other = Command(["evaluate", "runs/other", "--protocol", "frechet-random"], "")
    for command in [other, *(c for c in EVALUATION if not c.comment), *TRIVD]:
        for line in run(command, capsys, scaled):
            check(command, line)
