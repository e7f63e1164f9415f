"""What the page Train shows and starts, without Gradio: forms from specs, curves of several runs, runs stopped."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pages import Page
from runs import make_run, paint, tick, write_log
from vidgan.cli.experiment import FIELDS, Values
from vidgan.cli.parse import flags
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.collapse import CollapseSpec
from vidgan.studio import curves, train
from vidgan.studio.curves import overlaid, signals, standing
from vidgan.studio.jobs import Jobs, answer_of
from vidgan.studio.served import Served
from vidgan.studio.settings import form_of, helps, options_of, settings_of

PRESETS = ("demo", "demo-cascade", "trivd-gan-fp-k600-16x64", "cvg-k600-48x128")


@pytest.mark.parametrize("name", PRESETS)
def test_the_form_has_every_option_of_the_command_but_those_of_parts_that_are_not_there(name: str) -> None:
    experiment = preset(name)
    options = list(flags(Values(**{field: getattr(experiment, field) for field in FIELDS})))
    found = [setting.name for setting in settings_of(experiment)]
    left = set(options) - set(found)
    assert [option for option in options if option not in left] == found
    # What stays out is a part (a pixel loss, a list of temporal layers) that the preset does without.
    for option in left:
        value: Any = experiment
        for step in option.split("."):
            value = value[int(step)] if step.isdecimal() else getattr(value, step.replace("-", "_"))
        assert value in (None, ()), option


def test_every_setting_has_help_and_a_type() -> None:
    for setting in settings_of(preset("demo")):
        assert setting.help, setting.name
    steps = next(each for each in settings_of(preset("demo")) if each.name == "training.steps")
    assert (steps.kind, steps.optional, steps.many) == (int, False, False)
    assert steps.bounds is not None
    assert (steps.bounds.least, steps.bounds.most) == (0, 99_999_999)


class Base:
    size: int = 3
    """pixels
    of a side"""
    other: int = 4


class Derived(Base):
    other: int = 5
    """frames"""


def test_help_is_what_stands_below_a_field() -> None:
    assert helps(Derived) == {"size": "pixels of a side", "other": "frames"}


def test_every_field_of_the_form_has_a_label_and_its_help() -> None:
    page = Page()
    page.feed(form_of(preset("demo-cascade")))
    fields = [e for kind in ("input", "select") for e in page.root.all(kind)]
    labels = {label.attributes["for"] for label in page.root.all("label")}
    helped = {small.attributes["id"] for small in page.root.all("small") if "id" in small.attributes}
    assert len(fields) == len(settings_of(preset("demo-cascade")))
    for field in fields:
        assert field.attributes["id"] in labels
        assert field.attributes["aria-describedby"] in helped
    by_name = {field.attributes["data-name"]: field.attributes for field in fields}
    assert by_name["training.steps"]["type"] == "number"
    assert (by_name["training.steps"]["min"], by_name["training.steps"]["step"]) == ("0", "1")
    assert by_name["levels.0.window"]["type"] == "text"  # which may be none


def test_what_was_changed_becomes_options() -> None:
    experiment = preset("demo")
    channels = next(each for each in settings_of(experiment) if each.many and each.kind is int)
    changed = {
        "training.steps": "7",
        "training.bf16": "True",
        "training.seed": "-3",
        "training.batch.global-batch": str(experiment.training.batch.global_batch),  # as it is
        channels.name: "1 2",
    }
    assert options_of(experiment, changed) == [
        "--training.steps=7",
        "--training.bf16=True",
        "--training.seed=-3",
        f"--{channels.name}",
        "1",
        "2",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        None,
        "--help",
        ["training.steps"],
        {"out": "/etc"},
        {"code": "evil.py"},
        {"training.steps --out /tmp/x": "1"},
        {"../training": "1"},
        {3: "1"},
        {"training.steps": 1},
        {"training.steps": None},
        {"training.steps": "1" * 201},
        {"training.steps": "1\n--out=/tmp"},
        {"reporting.evaluate": "a --out=/tmp/x"},
        {"training.stepz": "1"},
    ],
    ids=str,
)
def test_what_is_no_setting_is_refused(changed: Any) -> None:
    with pytest.raises(UserError) as fault:
        options_of(preset("demo"), changed)
    assert "\n" not in str(fault.value)


def scalars(step: int, by: float) -> dict[str, float | None]:
    return {"loss/generator": by * step, "pixel/fake red": 0.5, "motion/fake": 0.01, "motion/real": 0.2}


@pytest.fixture
def served(tmp_path: Path) -> Served:
    for name, by in (("a", 1.0), ("b", 2.0)):
        run = make_run(tmp_path / "runs" / name)
        lines = [tick(step, scalars(step, by)) for step in (25, 50)]
        lines[1]["alarms"] = [
            {"rule": "frozen-video", "step": 50, "onset": 25, "text": f"frozen {name}", "keeps": []}
        ]
        write_log(run, lines)
        for step in (25, 50):
            paint(run.samples / "fixed" / f"level1-step{step:08d}.webp", columns=8, rows=4, seed=step)
    return Served([str(tmp_path / "runs")], out=tmp_path / "runs")


def test_curves_of_several_runs_stand_in_one_chart(served: Served) -> None:
    names = list(served.runs())
    found = overlaid(curves.by_level(train.shown_runs(served, names)))
    losses = next(each for each in found if each.title == "Losses: generator")
    assert [(curve.name, list(curve.points)) for curve in losses.curves] == [
        (names[0], [(25, 25.0), (50, 50.0)]),
        (names[1], [(25, 50.0), (50, 100.0)]),
    ]
    assert [(alarm.rule, alarm.onset) for alarm in losses.alarms] == [
        (f"frozen-video ({name})", 25) for name in names
    ]
    # 16 clips in 0.1 s a step.
    assert [list(curve.points) for curve in found[-1].curves] == [
        [(25, pytest.approx(160)), (50, pytest.approx(160))]
    ] * 2


def test_signals_are_the_severities_of_the_rules(served: Served) -> None:
    (name, _) = served.runs()
    (run,) = train.shown_runs(served, [name])
    drawn = signals(name, run.shown.ticks, CollapseSpec(frozen_ratio=0.1))
    assert drawn is not None
    frozen = next(curve for curve in drawn.curves if curve.name == "frozen-video")
    # The limit over the ratio: 0.1 / (0.01 / 0.2) = 2.
    assert [value for _, value in frozen.points] == [pytest.approx(2.0)] * 2
    html = train.drawn(served, [name], ["Alarm signals"])
    assert "frozen a" in html
    assert 'data-rule="frozen-video"' in html


def test_runs_that_were_named_are_drawn_first(served: Served, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert train.at_first(Served([str(runs / "a")], out=runs)) == [str(runs / "a")], "b is newer"
    assert sorted(train.at_first(Served([], out=runs))) == [str(runs / "a"), str(runs / "b")]


def test_runs_stand_in_a_table(served: Served, tmp_path: Path) -> None:
    (tmp_path / "runs" / "c").mkdir()
    (tmp_path / "runs" / "c" / "experiment.json").write_text("{}")
    html = train.overview(served)
    page = Page()
    page.feed(html)
    rows = [
        [cell.text for cell in row.walk() if getattr(cell, "name", "") in ("th", "td")]
        for row in page.root.all("tr")
    ]
    assert [row[2] for row in rows[1:]] == ["stopped", "stopped"]
    assert rows[1][4] == "frozen-video"
    assert "is of another version" in html


def test_fixed_latents_over_time(served: Served) -> None:
    (name, _) = served.runs()
    assert "step 25 (1 of 2)" in train.fixed_at(served, name, 0)
    assert "step 50 (2 of 2)" in train.fixed_at(served, name, 1)
    for odd in (99, -1, None, float("nan"), "x", [1]):
        assert "of 2)" in train.fixed_at(served, name, odd)


@pytest.mark.parametrize("names", [None, "a", ["a"], ["../a"], [None], ["x"] * 9, {"a": 1}])
def test_only_runs_of_the_folders_are_shown(served: Served, names: Any) -> None:
    with pytest.raises(UserError):
        train.drawn(served, names, ["Losses"])


@pytest.mark.parametrize("folder", ["..", ".", "../x", "a/b", "/tmp/x", "-x", "a" * 101, "a\n", "a", 3, "ü"])
def test_a_run_starts_in_a_new_folder_of_its_own(served: Served, folder: Any) -> None:
    before = sorted(served.out.rglob("*"))  # type: ignore[union-attr]
    with pytest.raises(UserError):
        train.plan(served, "demo", True, "synthetic", folder, {})
    assert sorted(served.out.rglob("*")) == before  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("dmeo", "synthetic"),
        ("../x.json", "synthetic"),
        ("demo", "/etc"),
        ("demo", None),
        (None, "synthetic"),
    ],
)
def test_only_presets_and_datasets_that_are_offered_are_trained(served: Served, name: Any, data: Any) -> None:
    with pytest.raises(UserError):
        train.plan(served, name, True, data, "new", {})


def test_nothing_starts_that_was_not_planned(served: Served, tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for odd in (None, ("train", "demo"), ["--help"], {"words": []}):
        with pytest.raises(UserError, match="look at its plan first"):
            train.start(jobs, odd)
    assert jobs.all == []


@pytest.mark.slow
def test_a_plan_is_that_of_the_command_and_its_faults_are_one_line(served: Served) -> None:
    html, planned = train.plan(served, "demo", True, "synthetic", "new", {"training.steps": "3"})
    assert "clips per update" in html
    assert planned is not None
    assert list(planned.words) == [
        *("train", "demo", "--tiny", "--training.steps=3", "--data", "synthetic"),
        *("--out", str(served.out / "new")),  # type: ignore[operator]
    ]
    with pytest.raises(UserError, match=r"training\.steps"):
        train.plan(served, "demo", True, "synthetic", "new", {"training.steps": "-1"})
    html, planned = train.plan(served, "demo", True, "synthetic", "", {})
    assert "clips per update" in html
    assert "Give the run a name" in html
    assert planned is None


SLEEPER = """
import pathlib, sys, time
from vidgan.run.lock import RunLock
lock = RunLock.acquire(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def trainer(served: Served) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock of run a."""
    path = next(iter(served.runs().values()))
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_run_that_trains_is_told_to_stop_and_no_other(
    served: Served, trainer: "subprocess.Popen[str]"
) -> None:
    first, second = served.runs()
    assert standing(first, served.runs()[first]).state == "training"
    assert train.trained(served) == [first]
    with pytest.raises(UserError, match="nobody trains"):
        train.stop(served, second)
    for odd in (None, 1, "../a", str(trainer.pid)):
        with pytest.raises(UserError):
            train.stop(served, odd)
    with pytest.raises(UserError, match="choose a run"):
        train.stop(served, None)
    assert trainer.poll() is None
    before = train.seen(served)
    assert before.trained == (first,)
    assert str(trainer.pid) in train.stop(served, first)
    assert trainer.wait(20) == -signal.SIGTERM
    # No file is newer than when it trained, and yet the page has to be told.
    after = train.seen(served)
    assert after.changed == before.changed
    assert after != before
    assert after.trained == ()
    # Its lock is there still, and names a process that is not.
    with pytest.raises(UserError, match="nobody trains"):
        train.stop(served, first)


def test_a_lock_that_is_a_link_or_odd_is_nobodys(served: Served, tmp_path: Path) -> None:
    path = next(iter(served.runs().values()))
    (tmp_path / "elsewhere").write_text(json.dumps({"pid": 1}))
    (path / "training.lock").symlink_to(tmp_path / "elsewhere")
    assert curves.holder_of(path) is None
    (path / "training.lock").unlink()
    (path / "training.lock").write_text("[1")
    assert curves.holder_of(path) is None


def test_so_many_commands_run_at_once_and_what_they_say_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys, time; print('said', flush=True); time.sleep(60)"
    monkeypatch.setattr("vidgan.studio.jobs.command", lambda words: [sys.executable, "-c", code])
    monkeypatch.setattr("vidgan.studio.jobs.MOST", 1)
    jobs = Jobs(tmp_path)
    job = jobs.start("first", ["x"])
    try:
        with pytest.raises(UserError, match="1 commands run already"):
            jobs.start("second", ["x"])
        end = time.monotonic() + 20
        while not job.lines() and time.monotonic() < end:
            time.sleep(0.05)
        assert job.lines() == ["said"]
        assert job.state == "running"
        job.stop()
        job.process.wait(20)
        assert job.state == f"ended with status {-signal.SIGTERM}"
    finally:
        job.process.kill()
        job.process.wait()


def test_what_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "vidgan.studio.jobs.command", lambda words: [sys.executable, "-c", "import time; time.sleep(9)"]
    )
    with pytest.raises(UserError, match="use the command itself, vidgan plan demo"):
        answer_of(["plan", "demo"], seconds=0.2)
