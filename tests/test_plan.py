"""`vidgan plan` against what training steps really hold, on the CPU; the micro-batch that fits."""

import re
from pathlib import Path

import pytest
import torch

import catalog
from commands import require_one_line, vidgan
from vidgan.presets import preset
from vidgan.run.batch import BatchSpec, Share
from vidgan.run.experiment import Experiment
from vidgan.train.operations import Operations
from vidgan.train.plan import (
    FEW,
    META,
    DryRun,
    LevelPlan,
    Line,
    LiveTensors,
    Update,
    batched,
    line,
    plan_level,
    prime,
)
from vidgan.train.state import TrainState

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")
NONE = Operations(0)
PHASES = (
    "reading data",
    "resuming",
    "checkpoint",
    "previews",
    "standing statistics",
    "evaluation",
    "sampling 4 frames",
)


def with_clips(experiment: Experiment, share: int, micro: int) -> Experiment:
    batch = BatchSpec(global_batch=share, micro_batch=micro)
    return experiment.replace(training=experiment.training.replace(batch=batch))


def measured(experiment: Experiment, index: int) -> int:
    """The most that tensors hold at a time in two training steps, the model and Adam included."""
    with LiveTensors() as live:
        dry_run = DryRun(experiment, index, CPU)
        for _ in range(2):
            dry_run.step()
    return live.most


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "index", "share", "micro"),
    [
        ("demo", 0, 12, 12),
        ("demo-prediction", 0, 6, 6),
        ("demo-cascade", 1, 4, 2),
    ],
)
def test_memory_is_what_training_steps_take(name: str, index: int, share: int, micro: int) -> None:
    """At tiny width, at batches that were not counted; `benchmarks/bench_plan.py` does it at larger ones."""
    experiment = with_clips(catalog.experiments()[name], share, micro)
    plan = plan_level(experiment, index)
    assert plan.memory(Share(share, micro)) == pytest.approx(measured(experiment, index), rel=0.15)
    level = TrainState(experiment, index, CPU).level
    numbers = sum(parameter.numel() for parameter in level.parameters())
    assert plan.adam == pytest.approx(2 * 4 * numbers, rel=0.05)  # both moments, and a step per tensor


def test_the_real_clips_of_a_step_are_counted_once() -> None:
    """Peaks are counted at a batch of one micro-batch, whose clips of 5 bytes they hold; a batch may have more."""
    fixed, per_clip, clip = 100, 30, 5
    low, high = (fixed + (per_clip + clip) * clips for clips in FEW)
    update = Update("generator", NONE, (line(FEW, low, high, clip),))
    plan = LevelPlan((), (update,), NONE, 0, 0, 0, clip, ())
    for share, micro in ((2, 2), (12, 6), (12, 1)):
        assert plan.memory(Share(share, micro)) == fixed + per_clip * micro + clip * share


@pytest.mark.slow
def test_memory_at_other_micro_batches_is_counted_where_it_is_largest() -> None:
    """At full size the discriminators' peak is at a weight with few clips, and at maps with many."""
    experiment = preset("guide-k400-12x64")
    plan = plan_level(experiment, 0)
    for clips in (20, 108):
        with LiveTensors() as live:
            dry_run = DryRun(batched(experiment, clips), 0, META)
            prime(dry_run.state)
            for update, work in zip(
                plan.updates, (dry_run.discriminators_step, dry_run.generator_step), strict=True
            ):
                live.most = live.now
                work()
                planned = plan.state + update.peak(clips) + clips * plan.clip
                assert planned == pytest.approx(live.most, rel=0.03)


def test_live_tensors_count_what_lives() -> None:
    with LiveTensors() as live:
        a = torch.empty(1000)
        b = a.view(10, 100)  # the same storage
        assert live.now == 4000
        c = a + 1
        assert live.now == 8000
        del a
        assert live.now == 8000  # b holds it
        del b, c
        assert live.now == 0
    assert live.most == 8000


def test_the_largest_micro_batch_that_fits() -> None:
    updates = (
        Update("discriminators", NONE, (Line(100.0, 30.0),)),
        Update("generator", NONE, (Line(50.0, 40.0),)),
    )
    plan = LevelPlan((), updates, NONE, 500, 200, 1000, 2, ())
    share = Share(12, 12)
    # 1700 stay, 12 real clips of 2 bytes wait; the peaks cross at 5 clips.
    assert plan.memory(Share(12, 3)) == 1700 + 24 + 100 + 90
    assert plan.memory(Share(12, 6)) == 1700 + 24 + 50 + 240
    exactly = plan.memory(Share(12, 6)) / 0.92
    assert plan.fitting(share, exactly + 1) == Share(12, 6)
    assert plan.fitting(share, exactly - 1) == Share(12, 4)
    assert plan.fitting(share, 1e9) == share
    assert plan.fitting(share, 1000) is None
    assert plan.fitting(Share(12, 4), 1e9) == Share(12, 4)  # no more than is asked for
    # Eight processes share 108 clips, so some have 13 and none can go clip by clip.
    uneven = BatchSpec(global_batch=108, micro_batch=108).share(8)
    assert plan.fitting(uneven, (plan.memory(Share(14, 1)) + 1) / 0.92) is None
    assert plan.fitting(uneven, (plan.memory(Share(14, 2)) + 1) / 0.92) == Share(14, 2, uneven=True)
    # Three passes, of 4, 3 and 3 clips: a micro-batch need not divide a share.
    assert plan.fitting(Share(10, 10), (plan.memory(Share(10, 4)) + 1) / 0.92) == Share(10, 4)


@pytest.mark.slow
def test_all_that_the_command_tells_is_of_the_micro_batch_that_fits(capsys: Capture) -> None:
    """Memory, phases, what is sent and how long a step takes: those of the same command with that micro-batch."""
    micro, batch = "--training.batch.micro-batch", ("--training.batch.global-batch", 256)
    words = ("plan", "demo", "--tiny", "--nodes", 1, "--gpus", 2, *batch, micro, 100)
    told = [line for line in vidgan(capsys, *words, "--device-memory", "20M").out.splitlines() if line]
    (fits,) = [line for line in told if " fits (" in line]
    found = re.search(rf"{micro} (\d+) fits", fits)
    assert found is not None
    assert 1 < int(found[1]) < 64
    told.remove(fits)
    again = vidgan(capsys, *words, micro, found[1], "--device-memory", "1G").out.splitlines()
    assert told == [line for line in again if line and " fits (" not in line]
    assert f"micro-batches of {found[1]}" in "".join(told)


@pytest.mark.slow
def test_the_command_says_what_fits_and_how_long(capsys: Capture, tmp_path: Path) -> None:
    options = ("--tiny", "--training.batch.global-batch", 1000, "--training.batch.micro-batch", 1000)
    answer = vidgan(
        capsys,
        "plan",
        "demo",
        *options,
        "--device-memory",
        "100M",
        "--clips-per-second",
        10,
        "--training.steps",
        864,
    )
    assert answer.status == 0, answer.err
    for part in (
        "GFLOP per clip",
        "Adam",
        "in all",
        "micro-batch",
        "accumulated passes",
        "take 1.0 days",
        *PHASES,
    ):
        assert part in answer.out, part
    require_one_line(vidgan(capsys, "plan", "demo", "--device-memory", "much"), "80G", "much")
    require_one_line(vidgan(capsys, "plan", "dmeo"), "did you mean 'demo'")
    require_one_line(vidgan(capsys, "plan", "--tiny"), "the preset comes first")


@pytest.mark.slow
def test_the_command_counts_sampling_longer_videos(capsys: Capture) -> None:
    longer = ("plan", "demo-cascade", "--tiny", "--sample-frames", 32)
    answer = vidgan(capsys, *longer, "--sample-chunk", 4)
    assert answer.status == 0, answer.err
    assert "sampling 32 frames in chunks of 4" in answer.out.splitlines()[-1]
    assert "statistics, 32 frames" in answer.out.splitlines()[-2]
    for words, said in (
        (("plan", "demo-cascade", "--tiny", "--sample-chunk", 4), "changes nothing without --sample-frames"),
        (("plan", "demo", "--tiny", "--sample-frames", 8, "--sample-chunk", 4), "this model has one level"),
        (("plan", "demo", "--tiny", "--sample-frames", 1), "frames must be at least"),
        ((*longer, "--sample-chunk", 0), "--sample-chunk must be at least 1"),
        (("plan", "demo-prediction", "--tiny", "--sample-frames", 30), "in rounds of its own length"),
    ):
        require_one_line(vidgan(capsys, *words), said)
