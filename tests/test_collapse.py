"""The collapse detector: rules at their thresholds, faults injected into real runs, and what a run does about them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import pages
from commands import require_one_line, vidgan
from runs import make_run, tick, write_log
from vidgan.models.discriminator import ProjectionHead
from vidgan.models.level import Level
from vidgan.models.views import DiscriminatorInput
from vidgan.report.page import write_report
from vidgan.run.best import CheckpointRetention
from vidgan.run.checkpoints import checkpoint_path, prune, save, steps_of
from vidgan.run.collapse import RULES, Alarm, CollapseDetector, CollapseSpec, Scalars
from vidgan.run.logs import read_lines
from vidgan.tensor_file import State

Capture = pytest.CaptureFixture[str]

HEALTHY: dict[str, float] = {
    "loss/discriminators": 1.4,
    "discriminator/frames/real": 0.8,
    "discriminator/frames/fake": -0.7,
    "discriminator/clip/real": 0.6,
    "discriminator/clip/fake": -0.6,
    "accuracy/frames/real": 0.9,
    "accuracy/frames/fake": 0.9,
    "accuracy/frames/trained on": 0.9,
    "accuracy/frames/held out": 0.85,
    **{f"pixel/{kind} {colour}": 0.25 for kind in ("real", "fake") for colour in ("red", "green", "blue")},
    "dark/real": 0.0,
    "dark/fake": 0.0,
    "motion/real": 0.012,
    "motion/fake": 0.012,
    "diversity/real": 0.19,
    "diversity/fake": 0.18,
}
DARK = {f"pixel/fake {colour}": 0.12 for colour in ("red", "green", "blue")}

FAULTS: dict[str, Scalars] = {
    "dark-output": DARK,
    "frozen-video": {"motion/fake": 0.0011},
    "one-mode-per-class": {"diversity/fake": 0.025},
    "discriminator-overwhelmed": {"discriminator/clip/real": 0.1, "discriminator/clip/fake": 0.06},
    "generator-overwhelmed": {"loss/discriminators": 0.01},
    "discriminator-memorises": {"accuracy/frames/held out": 0.55},
    "diverged": {"loss/generator": None},
}
ALMOST: dict[str, Scalars] = {
    "dark-output": {"dark/fake": 0.45, **dict.fromkeys(DARK, 0.13)},
    "frozen-video": {"motion/fake": 0.0013},
    "one-mode-per-class": {"diversity/fake": 0.03},
    "discriminator-overwhelmed": {"discriminator/clip/real": 0.1, "discriminator/clip/fake": 0.04},
    "generator-overwhelmed": {"loss/discriminators": 0.03},
    "discriminator-memorises": {"accuracy/frames/held out": 0.65},
    "diverged": {"loss/generator": -9e3},
}

TICKS = dict.fromkeys(FAULTS, 5) | {
    "discriminator-overwhelmed": 10,
    "generator-overwhelmed": 10,
    "diverged": 1,
}
"""at which a fault is named, counted from its onset"""


def alarms_of(spec: CollapseSpec, ticks: Sequence[tuple[int, Scalars]]) -> list[Alarm]:
    """All alarms of a level's ticks."""
    detector = CollapseDetector(spec)
    return [alarm for step, scalars in ticks for alarm in detector.see(step, scalars)]


def course(*parts: tuple[int, Scalars], every: int = 100) -> list[tuple[int, Scalars]]:
    """Ticks of healthy signals, changed as each part says for so many of them."""
    changes = [changed for count, changed in parts for _ in range(count)]
    return [(every * (i + 1), {**HEALTHY, **changed}) for i, changed in enumerate(changes)]


def told(*parts: tuple[int, Scalars], spec: CollapseSpec = CollapseSpec()) -> list[tuple[str, int, int]]:
    return [(alarm.rule, alarm.onset, alarm.step) for alarm in alarms_of(spec, course(*parts))]


@pytest.mark.parametrize("rule", FAULTS)
def test_every_rule_is_named_so_many_ticks_after_its_onset_and_once(rule: str) -> None:
    noticed = 2000 + 100 * TICKS[rule]
    assert told((20, {}), (30, FAULTS[rule])) == [(rule, 2100, noticed)]
    assert told((20, {}), (300, ALMOST[rule])) == []


def test_a_discriminator_is_overwhelmed_by_itself() -> None:
    """One discriminator is beaten now and another then: that is usual, and each has ten ticks of its own."""
    frames, clip = (
        {f"discriminator/{name}/real": 0.0, f"discriminator/{name}/fake": 0.5} for name in ("frames", "clip")
    )
    well = {"discriminator/clip/real": 0.6, "discriminator/clip/fake": -0.6}
    turns = [part for _ in range(10) for part in ((1, {**well, **frames}), (1, {**well, **clip}))]
    assert told((20, well), *turns) == []
    both = {**frames, **clip}
    assert told((20, well), (4, {**well, **frames}), (6, both)) == [("discriminator-overwhelmed", 2100, 3000)]
    assert told((20, well), (4, {**well, **frames}), (10, both)) == [
        ("discriminator-overwhelmed", 2100, 3000),
        ("discriminator-overwhelmed", 2500, 3400),
    ]


def test_every_rule_has_its_fault_here() -> None:
    assert [rule.name for rule in RULES] == list(FAULTS)


def test_dark_videos_count_although_bright_ones_hold_up_the_mean() -> None:
    assert told((20, {}), (9, {"dark/fake": 0.5})) == [("dark-output", 2100, 2500)]
    assert told((20, {"dark/real": 0.9}), (9, {"dark/real": 0.9, "dark/fake": 1.0})) == []


def test_a_model_a_little_darker_than_its_data_is_well() -> None:
    dim = {f"pixel/fake {colour}": 0.2 for colour in ("red", "green", "blue")}
    assert told((20, dim), (9, DARK)) == [("dark-output", 2100, 2500)]
    assert told((20, dim), (9, DARK), spec=CollapseSpec(dark_ratio=0)) == []


def test_a_model_that_has_not_learnt_yet_is_no_alarm_before_its_grace_is_over() -> None:
    still = FAULTS["frozen-video"]
    assert told((39, still), (60, {})) == []
    assert told((60, still)) == [("frozen-video", 100, 4100)]
    assert told((60, still), spec=CollapseSpec(grace=10)) == [("frozen-video", 100, 1100)]
    # Once it has been well for five ticks, grace is over; four are not enough, nor is being half well.
    assert told((3, still), (5, {}), (5, still)) == [("frozen-video", 900, 1300)]
    assert told((3, still), (4, {}), (5, still)) == []
    assert told((3, still), (9, {"motion/fake": 0.0022}), (5, still)) == []


def test_a_rule_that_was_quiet_for_long_fires_again() -> None:
    still = FAULTS["frozen-video"]
    assert told((9, {}), (6, still), (4, {}), (6, still)) == [("frozen-video", 1000, 1400)]
    again = told((9, {}), (6, still), (5, {}), (6, still))
    assert again == [("frozen-video", 1000, 1400), ("frozen-video", 2100, 2500)]


def test_ticks_without_signals_do_not_count() -> None:
    """As where a run was interrupted, or no two clips were of one class."""
    nothing = {name: None for name in HEALTHY if name.startswith("diversity")}
    ticks = [
        (step, {name: value for name, value in scalars.items() if value is not None})
        for step, scalars in course((20, {}), (4, FAULTS["one-mode-per-class"]), (9, nothing), (1, DARK))
    ]
    last = (ticks[-1][0] + 100, {**HEALTHY, **FAULTS["one-mode-per-class"]})
    assert alarms_of(CollapseSpec(), ticks) == []
    (alarm,) = alarms_of(CollapseSpec(), [*ticks[:-1], last])
    assert (alarm.onset, alarm.step) == (2100, last[0])


def test_a_limit_of_zero_switches_a_rule_off() -> None:
    off = CollapseSpec(
        dark_share=0,
        dark_ratio=0,
        frozen_ratio=0,
        one_mode_ratio=0,
        discriminator_gap=0,
        discriminator_loss=0,
        memory_gap=0,
    )
    everything = {
        key: value for fault in FAULTS.values() for key, value in fault.items() if value is not None
    }
    assert told((99, everything), spec=off) == []


# Faults in real runs: what the networks give is spoilt from update FIRST_BAD on; a tick is one step here.
FIRST_BAD = 9
RUN = ["--tiny", "--data", "synthetic", "--conditional", "False", "--workers", 0, "--steps"]
SELDOM = ["--reporting.samples", 100, "--reporting.checkpoint", 2, "--reporting.keep", 1]
Spoil = Callable[[torch.Tensor], torch.Tensor]


def spoil_fakes(monkeypatch: pytest.MonkeyPatch, change: Spoil) -> None:
    """Change the generator's clips from step FIRST_BAD on; each step of tiny demo makes two batches of them."""
    generate_fake, calls = Level.generate_fake, [0]

    def spoilt(self: Level, *args: Any) -> DiscriminatorInput:
        made = generate_fake(self, *args)
        calls[0] += 1
        return made._replace(clip=change(made.clip)) if calls[0] > 2 * (FIRST_BAD - 1) else made

    monkeypatch.setattr(Level, "generate_fake", spoilt)


def dark_output(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_fakes(monkeypatch, lambda clip: 0.01 * clip - 0.99)


def frozen_video(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_fakes(monkeypatch, lambda clip: clip[:, :1].expand_as(clip) + 1e-4 * clip)


def one_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_fakes(monkeypatch, lambda clip: clip[:1].expand_as(clip) + 1e-3 * clip)


def overwhelmed_discriminator(monkeypatch: pytest.MonkeyPatch) -> None:
    forward, calls = ProjectionHead.forward, [0]

    # Six calls a step: the demo's two discriminators score real clips, fakes, and the fakes of the generator's update.
    def spoilt(self: ProjectionHead, h: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        scores = forward(self, h, label)
        return 0.001 * scores if calls[0] > 6 * (FIRST_BAD - 1) else scores

    monkeypatch.setattr(ProjectionHead, "forward", spoilt)


def not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_fakes(monkeypatch, lambda clip: clip * float("nan"))


INJECTED = {
    "dark-output": dark_output,
    "frozen-video": frozen_video,
    "one-mode-per-class": one_mode,
    "discriminator-overwhelmed": overwhelmed_discriminator,
    "diverged": not_a_number,
}


NAMES = [
    "frozen-video",
    *(pytest.param(name, marks=pytest.mark.slow) for name in sorted({*INJECTED} - {"frozen-video"})),
]


@pytest.mark.slow
@pytest.mark.parametrize("rule", NAMES)
def test_injected_faults_are_named_in_time(
    rule: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    steps = FIRST_BAD + TICKS[rule]
    INJECTED[rule](monkeypatch)
    said = vidgan(
        capsys, "train", "demo", *RUN, steps, *SELDOM, "--reporting.collapse.grace", 8, "--out", out
    )
    found = [alarm for line in read_lines(out / "log.jsonl") for alarm in line.get("alarms", [])]
    alarms = [alarm for alarm in found if alarm["rule"] == rule]
    assert len(alarms) == (2 if rule == "discriminator-overwhelmed" else 1)  # each of the discriminators
    for alarm in alarms:
        assert alarm["onset"] == FIRST_BAD
        assert alarm["step"] == FIRST_BAD + TICKS[rule] - 1
        # Rotation keeps one; that from before the onset stays beside it.
        assert alarm["keeps"] == [8]
    assert 8 in steps_of(out / "checkpoints", 1)
    words = [line for line in said.out.splitlines() if f"ALARM: {rule}" in line]
    assert len(words) == len(alarms)
    assert all("level1-step00000008.safetensors" in each for each in words)
    if rule == "diverged":
        require_one_line(said, "diverged", f"step {FIRST_BAD}")
    else:
        assert said.status == 0, said.err
        assert steps_of(out / "checkpoints", 1) == [8, steps]


@pytest.mark.slow
def test_the_detector_may_stop_a_run_which_can_be_resumed(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    frozen_video(monkeypatch)
    command = ["train", "demo", *RUN, 14, *SELDOM, "--out", out, "--reporting.collapse.grace", 8]
    require_one_line(
        vidgan(capsys, *command, "--reporting.collapse.stop", "True"), "collapse detector", "--resume"
    )
    (alarm,) = read_lines(out / "log.jsonl")[-1]["alarms"]
    assert alarm["step"] == 13
    assert steps_of(out / "checkpoints", 1) == [8, 13]
    assert vidgan(capsys, *command, "--resume").status == 0
    told = [line["step"] for line in read_lines(out / "log.jsonl") if "alarms" in line]
    assert told == [13]  # known already, so not told again
    assert steps_of(out / "checkpoints", 1) == [8, 14]


def test_a_suspicion_keeps_what_an_alarm_would_need(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_log(run, [tick(25 * i, HEALTHY) for i in range(1, 11)])
    retention = CheckpointRetention(run, 1)
    for step in (200, 225, 250):
        save(checkpoint_path(run.checkpoints, 1, step), State({}, {"level": 1, "step": step}))
    for step, value in ((200, 2.0), (225, 3.0)):
        run.metrics.append(evaluated(step, value))
    for step in (251, 252, 253, 254):
        assert retention.alarms(step, {**HEALTHY, "motion/fake": 0.0}) == []
        save(checkpoint_path(run.checkpoints, 1, step), State({}, {"level": 1, "step": step}))
        prune(run.checkpoints, 1, 1, retention.kept())
        run.metrics.append(evaluated(step, 1 / step))  # whatever the protocol thinks of still videos
    assert steps_of(run.checkpoints, 1) == [200, 250, 253, 254]
    (alarm,) = retention.alarms(255, {**HEALTHY, "motion/fake": 0.0})
    assert alarm["keeps"] == [200, 250]
    retention.alarms(256, HEALTHY)
    assert retention.kept() == {200, 250, 254}  # an alarm's stay for good, beside the best of all
    run.log.append(tick(255, HEALTHY) | {"alarms": [alarm]})
    assert CheckpointRetention(run, 1).kept() == {200, 250, 254}


def evaluated(step: int, value: float) -> dict[str, object]:
    """A line of metrics.jsonl."""
    return {
        "step": step,
        "value": value,
        "protocol": "p",
        "settings": {},
        "during": "training",
        "larger_is_better": False,
    }


def test_a_detector_that_is_fed_the_log_is_as_if_it_had_never_left() -> None:
    ticks = course((20, {}), (9, FAULTS["frozen-video"]), (9, DARK))
    whole: list[Alarm] = alarms_of(CollapseSpec(), ticks)
    assert len(whole) == 2
    for cut in (3, 22, 26, 31):
        detector = CollapseDetector(CollapseSpec())
        before = [alarm for step, scalars in ticks[:cut] for alarm in detector.see(step, scalars)]
        after = [alarm for step, scalars in ticks[cut:] for alarm in detector.see(step, scalars)]
        assert before + after == whole


def test_the_report_marks_alarms(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    alarm = {"rule": "frozen-video", "step": 50, "onset": 25, "text": "frozen-video <at> 50", "keeps": []}
    damaged = tick(75, HEALTHY) | {"alarms": ["nonsense"]}
    write_log(run, [tick(25, HEALTHY), tick(50, HEALTHY) | {"alarms": [alarm]}, damaged])
    curves = pages.Page.read(write_report(run.path)).section("Training curves")
    assert len(curves.all("g", "alarm")) == len(curves.all("figure", "chart")) - 1  # all but the speed
    assert "Alarm: frozen-video <at> 50." in curves.text
