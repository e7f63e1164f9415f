"""Which of several processes hang, and which are at long work: clocks and places are made up here."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch.distributed as dist

import vidgan
from vidgan.files import write_whole
from vidgan.run.progress import Beat, Pace, standing_still

MINUTE = 60.0


def lines(count: int, file: str) -> Iterator[FrameType]:
    """The frame of a function in ``file`` that comes to another line each time."""
    text = "def work():\n" + "".join(f"    yield {number}\n" for number in range(count))
    space: dict[str, Callable[[], Any]] = {}
    exec(compile(text, file, "exec"), space)
    work = space["work"]()
    for _ in work:
        yield work.gi_frame


OWN = os.path.join(os.path.dirname(str(vidgan.__file__)), "sample", "sampler.py")


def test_work_that_gets_on_is_never_still() -> None:
    """A layer or a clip every 50 minutes, for a hundred hours."""
    pace = Pace()
    for number, frame in enumerate(lines(120, OWN)):
        for minute in range(50):
            pace.look(frame, 0, MINUTE * (50 * number + minute))
            assert pace.still == MINUTE * minute
            assert pace.place == f"sample/sampler.py:{number + 2}"


def test_meeting_the_others_is_getting_on() -> None:
    pace = Pace()
    frame = next(lines(1, OWN))
    for meetings in range(100):
        pace.look(frame, meetings, MINUTE * meetings)
    assert pace.still == 0
    pace.look(frame, 99, MINUTE * 150)
    assert pace.still == 51 * MINUTE


@pytest.mark.parametrize(("file", "gets_on"), [(threading.__file__, False), ("/home/me/mine.py", True)])
def test_a_library_that_asks_again_and_again_does_not_get_on(file: str, gets_on: bool) -> None:
    """As a queue whose other end is dead; code of users counts."""
    pace = Pace()
    for number, frame in enumerate(lines(90, file)):
        pace.look(frame, 0, MINUTE * number)
    assert pace.still == (0 if gets_on else 89 * MINUTE)


def test_a_process_waits_where_it_stands_in_a_collective_operation() -> None:
    pace = Pace()
    pace.look(
        next(lines(1, os.path.join(os.path.dirname(str(dist.__file__)), "distributed_c10d.py"))), 0, 0.0
    )
    assert pace.waits
    pace.look(next(lines(1, OWN)), 0, 1.0)
    assert not pace.waits
    pace.look(None, 0, 2.0)
    assert not pace.waits


def beat(**changes: Any) -> Beat:
    return Beat(1, 5, False)._replace(**changes)


def test_a_beat_is_read_as_it_was_said() -> None:
    said = beat(still=7.5, waits=True, work="an evaluation", place="evaluation/rows.py:190")
    assert Beat.read(said.text().encode()) == said


STILL, WAITING, BUSY = beat(still=3601.0), beat(still=9999.0, waits=True), beat(still=10.0)


@pytest.mark.parametrize(
    ("beats", "named"),
    [
        ([BUSY, WAITING, WAITING], None),  # long work of one
        ([WAITING, BUSY, STILL], [2]),
        ([WAITING, beat(still=3599.0)], None),
        ([STILL, STILL], [0, 1]),
        # On a GPU those who wait stand elsewhere; they have come further.
        ([STILL._replace(meetings=6), STILL, STILL._replace(meetings=6)], [1]),
        ([WAITING, WAITING], [0, 1]),  # two that wait for different things
        # In a step, the others being at its end.
        ([WAITING, beat(in_step=True, still=1801.0)], [1]),
        ([WAITING, beat(in_step=True, still=1799.0)], None),
        # The whole step has a limit of its own.
        ([beat(in_step=True, still=9999.0), beat(in_step=True, still=9999.0, waits=True)], None),
    ],
)
def test_who_hangs(beats: list[Beat], named: list[int] | None) -> None:
    found = standing_still(beats, step=30 * MINUTE, between=60 * MINUTE)
    assert (None if found is None else found[0]) == named


def test_what_hangs_is_named() -> None:
    hung = STILL._replace(work="standing statistics", place="sample/pieces.py:88")
    assert standing_still([WAITING, hung], 1800, 3600) == (
        [1],
        "not got on for 60 minutes, in standing statistics, at sample/pieces.py:88",
    )
    assert standing_still([WAITING, WAITING], 1800, 3600) == ([0, 1], "waited for each other for 60 minutes")


def test_the_place_is_where_vidgan_stands(tmp_path: Path) -> None:
    """It has called code of others, which hangs."""
    pace = Pace()
    write_whole(tmp_path / "file", lambda part: pace.look(sys._getframe(), 0, 0.0))
    assert re.fullmatch(r"files\.py:\d+", pace.place)
