"""The index of docs/papers.md: every figure and table of the papers is in it, and its commands run, in miniature.

``runs/NAME`` is a run of the preset NAME, never trained; ``runs/NAME-0`` one of seed 0. Counts of clips are divided as
in test_page_commands.py.
"""

import functools
import itertools
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from paper_world import CLASSES, Capture, Command, build, run, stand_in
from vidgan.evaluation.results import Published, published
from vidgan.presets import preset, presets
from vidgan.run.experiment import whole_window

PAGE = Path(__file__).parents[1] / "docs" / "papers.md"
INDEX = "## Every figure and table"


def numbered(kind: str, numbers: Sequence[object]) -> set[str]:
    return {f"{kind} {number}" for number in numbers}


PRINTED: Final[Mapping[str, set[str]]] = {
    "DVD-GAN": numbered("Figure", range(1, 21)) | numbered("Table", range(1, 5)),
    "TrIVD-GAN": numbered("Figure", range(1, 7)) | numbered("Table", range(1, 5)),
    "SSW-GAN": numbered("Figure", range(1, 14)) | numbered("Table", range(1, 5)),
    "CVG": numbered("Figure", range(1, 6)) | numbered("Table", range(1, 5)),
    "Guide": numbered("Figure", ("1.1", *(f"2.{n}" for n in range(1, 8)), "3.1"))
    | numbered("Figure", [f"4.{n}" for n in range(1, 17)])
    | numbered("Table", ("2.1", "3.1", "3.2", "3.3", "4.1")),
}
"""What each paper prints."""


class Row(NamedTuple):
    """A line of the index."""

    paper: str
    what: str
    """the figures and tables"""
    shows: str
    command: str
    """commands in backticks, or why there is none"""

    @property
    def printed(self) -> set[str]:
        """Each figure and table that it names: "Figures 12-14" are three."""
        found = set()
        for kind, several in re.findall(r"(Figure|Table)s? ([\d.]+(?:(?:-|, )[\d.]+)*)", self.what):
            for part in several.split(", "):
                first, _, last = part.partition("-")
                found |= numbered(kind, range(int(first), int(last) + 1) if last else [first])
        return found

    @property
    def calls(self) -> list[list[str]]:
        """The words of its commands, without ``vidgan``."""
        spans = re.findall(r"`(vidgan [^`]+)`", self.command)
        return [shlex.split(span)[1:] for span in spans]

    @property
    def repeated(self) -> list[list[str]]:
        """Its commands, and those that "the same of `NAME`" stands for."""
        found = []
        for part in self.command.split("; "):
            calls = self._replace(command=part).calls
            named = re.findall(r"`([\w.-]+)`", part.partition("the same of ")[2])
            runs = {f"runs/{name}" for name in named if name in presets()}
            found += calls + [
                [run if word.startswith("runs/") else word for word in call] for call in calls for run in runs
            ]
        return found

    @property
    def reason(self) -> str:
        """Why there is no command; empty where there is one."""
        return self.command.removeprefix("none: ") if self.command.startswith("none: ") else ""


def rows() -> list[Row]:
    """The lines of the tables below the heading, a table per paper."""
    _, _, text = PAGE.read_text().partition(f"{INDEX}\n")
    text, _, _ = text.partition("\n## ")
    found = []
    for part in text.split("\n### ")[1:]:
        paper, _, table = part.partition("\n")
        for line in re.findall(r"^\| ((?:Figure|Table).*) \|$", table, flags=re.M):
            found.append(Row(paper.strip(), *re.split(r" \| ", line)))
    return found


ROWS = rows()
CALLED = [row for row in ROWS if row.calls]


@pytest.mark.parametrize("paper", PRINTED)
def test_everything_that_a_paper_prints_is_in_the_index_once(paper: str) -> None:
    found = [one for row in ROWS if row.paper == paper for one in row.printed]
    assert sorted(found) == sorted(PRINTED[paper])


def test_a_row_has_a_command_or_says_why_not() -> None:
    assert {row.paper for row in ROWS} >= set(PRINTED)
    for row in ROWS:
        assert row.calls or "`python experiments/" in row.command or row.reason, row


def test_ranges_of_figures_are_read() -> None:
    row = Row("", "Figures 2, 12-14, Table 3", "", "none: a drawing")
    assert row.printed == {"Figure 2", "Figure 12", "Figure 13", "Figure 14", "Table 3"}
    assert Row("", "Figure 4.10", "", "`vidgan presets demo`").printed == {"Figure 4.10"}


def test_scripts_of_the_index_exist() -> None:
    for row in ROWS:
        for script in re.findall(r"`python (experiments/\w+\.py)", row.command):
            assert (PAGE.parents[1] / script).is_file(), row


def value(call: Sequence[str], option: str) -> str | None:
    """What follows an option; None where it is not given."""
    return call[call.index(option) + 1] if option in call else None


@functools.cache
def frames_of(name: str) -> int:
    """Of a whole window of a preset."""
    return whole_window(preset(name)).frames


def measures(call: Sequence[str], printed: Published) -> bool:
    """Whether a call measures a run of the preset as the number was: protocol, data, lengths and counts."""
    if printed.truncated and call[:2] == ["plot", "truncation"]:
        return call[2] == f"runs/{printed.preset}" and value(call, "--protocol") == printed.protocol
    whole = frames_of(str(printed.preset))
    frames, clips = printed.frames or whole, printed.clips
    if printed.category is not None:  # so many of each class that is named
        classes = itertools.takewhile(
            is_value, call[call.index("--classes") + 1 :] if "--classes" in call else ()
        )
        clips = (clips or 0) * len(list(classes))
    asked = {
        "--frames": None if frames == whole else frames,
        "--clips": clips,
        **{"--real-clips": printed.real_clips, "--windows": printed.windows},
        **{"--runs": printed.runs, "--checkpoint": printed.step},
    }
    data = value(call, "--data")
    return (
        call[0] == "evaluate"
        and call[1] == f"runs/{printed.preset}"
        and printed.protocol in itertools.takewhile(is_value, call[call.index("--protocol") + 1 :])
        and (printed.category is None or printed.category in call)
        and all(value(call, option) == (number and str(number)) for option, number in asked.items())
        and ("--random-window" in call) == (frames != whole and printed.whole is None)
        and not printed.truncated
        and (data is None or data.endswith(f"-{printed.split or 'train'}"))
    )


def is_value(word: str) -> bool:
    return not word.startswith("--")


@pytest.mark.slow
def test_each_number_of_a_table_has_its_command_in_the_row_of_the_table() -> None:
    missing = []
    for printed in published():
        named = [row for row in ROWS if row.paper == printed.printed_by and printed.where in row.printed]
        if printed.preset is None or printed.protocol is None or not named:
            continue  # not its own, without a definition, or in a sentence
        (row,) = named
        if not any(measures(call, printed) for call in row.repeated):
            missing.append(
                (printed.printed_by, printed.where, printed.preset, printed.protocol, printed.frames)
            )
    assert missing == []


def in_miniature(call: Sequence[str]) -> list[str]:
    """With classes of the miniature data for those that the papers name."""
    words, after = list(call), False
    for place, word in enumerate(words):
        if after and not word.startswith("--"):
            words[place] = CLASSES[place % len(CLASSES)]
        else:
            after = word == "--classes"
    return words


EVERY = 4
"""of the rows, `make test` tries one in so many, and `make test-all` the others"""
SAMPLED = [
    pytest.param(row, id=f"{row.paper}, {row.what}", marks=() if place % EVERY == 0 else pytest.mark.long)
    for place, row in enumerate(CALLED)
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the commands call by a name."""
    place = tmp_path_factory.mktemp("index")
    words = {word for row in CALLED for call in row.calls for word in call}
    named = {Path(word).name for word in words if word.startswith("runs/")}
    build(place, {name: re.sub(r"-seed\d$", "", name) for name in named})
    return place


@pytest.mark.slow
@pytest.mark.parametrize("row", SAMPLED)
def test_the_commands_of_a_row_run(
    row: Row, world: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, world)
    for call in row.calls:
        fewer = ["--futures", "2"] if "ssim-best-of-100" in call else []
        run(Command([*in_miniature(call), *fewer], ""), capsys, monkeypatch)
        if "--out" in call:
            assert Path(call[call.index("--out") + 1]).exists(), call


def test_runs_are_called_by_their_presets() -> None:
    known = set(presets())
    for row in CALLED:
        for call in row.calls:
            for word in call:
                if word.startswith("runs/"):
                    assert re.sub(r"-seed\d$", "", Path(word).name) in known, row
