"""What a plan counts between processes is what a step sends; times follow the formula of docs/clusters.md."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
from torch import Tensor

import catalog
import steps
from commands import require_one_line, vidgan
from vidgan.report.costs import beyond, phases_text
from vidgan.run.distributed import Replicas, end_process_group
from vidgan.run.experiment import Experiment
from vidgan.train.network import Machines, Prediction, Traffic, predict, traffic
from vidgan.train.operations import Operations
from vidgan.train.phases import STEP, Phase
from vidgan.train.plan import LevelPlan, Line, LowerPlan, Update


def asked(shared: bool) -> Experiment:
    return steps.batched(catalog.experiments()["demo"], 2, micro_batch=1, sync_batch_norm=shared)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_counts_are_those_of_a_step(shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a group of one process, whose collective operations are seen as they are called. Two passes."""
    sent: list[int] = []
    real = dist.all_reduce

    def seen(tensor: Tensor, **options: Any) -> Any:
        sent.append(tensor.numel() * 4)  # the step below is in float64, training in float32
        return real(tensor, **options)

    experiment = asked(shared)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        state = steps.level_state(experiment, 0, Replicas(0, 1, dist.group.WORLD))
        monkeypatch.setattr(dist, "all_reduce", seen)
        steps.run_step(state)
    finally:
        monkeypatch.undo()
        end_process_group()
    discriminators, generator = traffic(experiment, 0, passes=2)
    updates = experiment.training.discriminator_updates
    assert len(sent) == updates * discriminators.calls + generator.calls
    assert sum(sent) == updates * discriminators.bytes + generator.bytes
    assert bool(generator.statistics) == shared


def test_a_ring_and_a_tree() -> None:
    """1 GB over 4 processes at 1 GB/s: a ring sends each quarter six times; up a tree of two levels and down."""
    machines = Machines(nodes=2, gpus=2, link=1e9, matmul=1.0, latency=0.01)
    assert machines.all_reduce(10**9) == pytest.approx(1.5 + 4 * 0.01)


def test_a_step_waits_for_statistics_and_for_what_the_backward_pass_does_not_cover() -> None:
    experiment = asked(True)
    updates = experiment.training.discriminator_updates
    each = (
        Update("discriminators", Operations(67), (Line(0.0, 0.0),)),
        Update("generator", Operations(134, fixed=201), (Line(0.0, 0.0),)),
    )
    plan = LevelPlan((), each, Operations(0), 0, 0, 0, 0, ())
    machines = Machines(
        nodes=1, gpus=2, link=1.0, matmul=100.0, latency=0.0, overhead=7.0
    )  # sums take as long as their bytes
    sent = (Traffic((1, 2), (3,)), Traffic((0, 4), ()))
    # A clip and a pass in each process: 1 s and 2 s of computing, half of which covers gradients; and 3 s of the
    # generator's update whatever the clips, which come before.
    expected = Prediction(
        compute=updates * 1.0 + 5.0,
        overhead=7.0,
        statistics=updates * 3.0,
        gradients=updates * 3.0 + 4.0,
        exposed=updates * 2.5 + 4.0,
        flags=20.0,
    )
    training, share = experiment.training, experiment.batch_of(0).share(2)
    assert predict(training, plan, share, sent, machines) == pytest.approx(expected)
    assert expected.step == updates * 6.5 + 36.0
    # A lower video of 1 s that an update finds made.
    fewer = plan._replace(lower=LowerPlan(repeats=1, flops=67, kept=0))
    assert predict(training, fewer, share, sent, machines).compute == pytest.approx(
        expected.compute - 1.0, rel=0.01
    )


@pytest.mark.parametrize(("micro_batch", "passes"), [(4, 1), (1, 4)])
def test_gradients_hide_behind_the_last_of_several_passes(micro_batch: int, passes: int) -> None:
    """Four clips of each process take 4 s; half of the last pass covers its gradients, 1 s and 1 s."""
    experiment = steps.batched(
        catalog.experiments()["demo"], 8, micro_batch=micro_batch, sync_batch_norm=False
    )
    each = (
        Update("discriminators", Operations(0), (Line(0.0, 0.0),)),
        Update("generator", Operations(67), (Line(0.0, 0.0),)),
    )
    sent = (Traffic((), ()), Traffic((1, 1), ()))
    machines = Machines(nodes=1, gpus=2, link=1.0, matmul=100.0, latency=0.0)
    plan, share = LevelPlan((), each, Operations(0), 0, 0, 0, 0, ()), experiment.batch_of(0).share(2)
    found = predict(experiment.training, plan, share, sent, machines)
    assert found.exposed == pytest.approx(max(1.0, 2.0 - 0.5 * 4.0 / passes))


@pytest.mark.slow
def test_a_plan_of_machines(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("plan", "demo", "--tiny", "--nodes", 2, "--gpus", 4, "--training.batch.global-batch", 12)
    answer = vidgan(capsys, *words, "--link", "10Gbit", "--matmul", "1TFLOPs", "--overhead", 3600_000)
    assert answer.status == 0, answer.err
    (seconds,) = re.findall(r"a step is predicted to take (\S+) ms", answer.out)
    assert 3600_000 <= float(seconds) < 3700_000
    assert "2 in each of 8 processes" in answer.out
    (told,) = re.findall(r"\((\S+) clips/s\)", answer.out)
    assert float(told) == pytest.approx(12 / (float(seconds) / 1000), rel=1e-3)  # a step has a batch of 12
    assert "sums of gradients" in answer.out
    assert "a step is predicted to take" in answer.out


def test_phases_take_seconds_by_the_rate_of_matrix_products() -> None:
    """Two thirds of it are reached; the process that has most to do tells the time."""
    phases = [
        Phase("step", 1, 0, 0, 6.7e12, 1.675e12),
        Phase("previews", 1, 0, 0, 6.7e12, 4.1875e12),
        Phase("save", 1, 0, 0, 0, 0),
    ]
    _, head, step, previews, save = phases_text(phases, matmul=1e12).splitlines()
    assert head.split()[-1] == "seconds"
    assert (step.split()[-1], previews.split()[-1], save.split()[-1]) == ("2.50", "6.25", "0.00")
    assert len(save.split()) == len(step.split()) - 1  # how long files take is not known
    assert "seconds" not in phases_text(phases)


def test_phases_that_do_not_fit_where_a_step_does_are_named() -> None:
    step = Phase(STEP, 1, 2e9, 0, 0, 0)
    looks = Phase("previews", 1, 3e9, 0, 0, 0)
    told = beyond([step, looks], 2.5e9)
    assert told is not None
    assert "A step fits into 2.5 GB, but previews (3 GB) would not" in told
    assert beyond([step, looks], 3e9) is None
    assert beyond([step, looks], 1e9) is None  # of which the micro-batch is told already


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--link", "fast"), "--link is such as 400Gbit or 50GB"),
        (("--matmul", "800"), "--matmul is such as 800TFLOPs"),
        (("--latency", "0"), "--latency must be above 0"),
        (("--overhead", "-1"), "--overhead must be at least 0, got -1"),
        (("--processes", "4"), "--processes changes nothing beside --nodes and --gpus"),
    ],
)
def test_machines_that_there_are_not(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    require_one_line(vidgan(capsys, "plan", "demo", "--nodes", 2, *words), said)
    if words[0] not in ("--processes", "--matmul"):  # which are told of without machines, too
        require_one_line(
            vidgan(capsys, "plan", "demo", *words), f"{words[0]} changes nothing without --nodes"
        )
