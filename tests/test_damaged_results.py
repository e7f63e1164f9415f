"""Results with one field left out or of another kind: every reader of them reads on, or refuses in one line."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runs import confusion, make_run
from vidgan.cli.compare import read, scores_by_class, show
from vidgan.cli.plot import Results
from vidgan.errors import UserError
from vidgan.evaluation.protocols import ALL
from vidgan.evaluation.results import groups
from vidgan.report.collect import collect
from vidgan.report.compare import measured
from vidgan.report.figures import FUTURES, SPECTRA, best_of, spectra
from vidgan.report.page import page
from vidgan.run.best import best_of_run
from vidgan.run.directory import RunDirectory
from vidgan.sample.card import figures_of
from vidgan.sample.origin import origin_of
from vidgan.spec import to_json

Capture = pytest.CaptureFixture[str]
Place = tuple[Any, ...]
COUNTS = {"a": 2, "b": 3}
MOTION = {"a": 0.5, "b": 0.25}


def result(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A result by a named protocol of what a model made."""
    settings: Any = to_json(ALL[name].protocol)
    settings["source"] |= {"frames": 4, "whole": 4, "stride": 1, "size": 24}
    settings["features"] |= {"positions": [1, 2, 3]} if name == "psd" else {}
    return {
        **{"protocol": name, "value": 0.5, "step": 1, "clips": 16, "seed": 0, "values": values},
        **{"deviation": {"value": 0.25, "over": "bootstrap", "times": 20}, "warnings": ["few"]},
        **{"settings": settings, "network": {"sha256": "0"}, "data": "0", "larger_is_better": False},
        **{
            "real": {"classes": 2, "not_taken": 4, "prepared": {"layout": {"is": "Ucf101"}}},
            "during": "training",
        },
    }


RESULTS = (
    *(
        result(
            "motion-by-class",
            {"per_class": MOTION, "real_motion_per_class": MOTION} | {"real_clips_per_class": COUNTS},
        ),
        result("frechet-random-by-class", {"per_class": MOTION, "evaluated_clips_per_class": COUNTS}),
        result("ssim-best-of-100", {"best_of": {"1": [0.5, 0.25]}, "copy_last_per_frame": [0.5, 0.25]}),
        result("psd", dict.fromkeys(("real", "real_deviation", "fake", "fake_deviation"), [[1.0, 2.0]] * 3)),
        result("fvd-reference", {}),
    ),
    confusion([[2, 1, 0], [0, 3, 0]], ("a", "b")),
)
LEFT_OUT = object()
WRONG = (LEFT_OUT, None, "x", [None])


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where there is a value in a line, of lists the first item alone."""
    if place:
        yield place
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*place, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*place, 0))


def changed(line: dict[str, Any], place: Place, wrong: object) -> dict[str, Any]:
    found = copy.deepcopy(line)
    holder: Any = found
    for key in place[:-1]:
        holder = holder[key]
    if wrong is LEFT_OUT:
        del holder[place[-1]]
    else:
        holder[place[-1]] = wrong
    return found


def compared(run: RunDirectory) -> None:
    for group in groups(read(run.path)):
        show(group, "UCF-101", "test")


def by_class(run: RunDirectory) -> None:
    scores_by_class(str(run.path), read(run.path))


def futures(run: RunDirectory) -> None:
    for _, line in Results(out=Path("f.svg"), results=(str(run.path),)).newest("ssim-best-of-100", FUTURES):
        best_of("run", line)


def frames(run: RunDirectory) -> None:
    for _, line in Results(out=Path("f.svg"), results=(str(run.path),)).newest("psd", SPECTRA):
        spectra(line)


def curve(run: RunDirectory) -> None:
    measured([run], "fvd-reference")


def reported(run: RunDirectory) -> None:
    page(collect(run.path))


def chosen(run: RunDirectory) -> None:
    best_of_run(run)
    best_of_run(run, before=5)
    figures_of(origin_of(run, 1))


@pytest.mark.slow
@pytest.mark.parametrize("reader", [compared, by_class, futures, frames, curve, chosen, reported])
def test_a_result_with_one_odd_field_is_read_or_refused(
    reader: Callable[[RunDirectory], None], tmp_path: Path, capsys: Capture
) -> None:
    run = make_run(tmp_path / "run")
    run.metrics.path.write_text("".join(f"{json.dumps(line)}\n" for line in RESULTS))
    reader(run)  # whole ones are all read
    assert not capsys.readouterr().err
    for number, line in enumerate(RESULTS):
        beside = RESULTS[1 - number] if number < 2 else line  # both are needed for the table of classes
        settings = [place for place in places(line["settings"]) if line is RESULTS[4] or "positions" in place]
        there = [("settings", *place) for place in settings]
        for place in [place for place in places(line) if place[0] != "settings"] + there:
            for wrong in WRONG[:: 4 if reader is reported else 1]:
                both = (beside, changed(line, place, wrong))
                run.metrics.path.write_text("".join(f"{json.dumps(each)}\n" for each in both))
                try:
                    reader(run)
                except UserError:
                    pass
                except Exception as error:
                    pytest.fail(f"{line['protocol']}, {place} {wrong!r}: {error!r}")
