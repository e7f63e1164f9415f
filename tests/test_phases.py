"""Phases of a run beside training steps: their operations and memory against the run's own functions.

Operations are counted while they are done on the CPU. Memory is that of the same functions with as many clips as a run
gives them, on the meta device, where they take a GPU's ways through the code.
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import catalog
import steps
from runs import make_run
from vidgan.data import loader
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.models.cascade import FrozenLevel
from vidgan.models.costs import networks
from vidgan.models.generator import Generator
from vidgan.nn.recurrent.unit import every_step_anew
from vidgan.run.data import training_loader
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, whole_window
from vidgan.sample.model import Model, unrolled
from vidgan.sample.passes import Trained
from vidgan.sample.pieces import bytes_waiting
from vidgan.sample.previews import write_previews
from vidgan.sample.sampler import Sampler
from vidgan.sample.standing import statistics_of_level
from vidgan.train.longer import longer_statistics
from vidgan.train.phases import phases, sample_pass, statistics_pass, statistics_phase
from vidgan.train.plan import META, LiveTensors, plan_level, prime, untrained_levels
from vidgan.train.state import TrainState
from vidgan.train.step import data_indices

CPU = torch.device("cpu")
CLIPS = 5
SPEC = StandingStatisticsSpec(batches=2, clips=CLIPS)
CASES = ("dvd-gan-k600-12x64", "dvd-gan-fp-k600-16x64", "ssw-gan-k600-48x128")


def wide(name: str, width: int = 2, bf16: bool = False) -> Experiment:
    """A tiny experiment whose generators have other widths, and whose changes of size are not folded."""
    experiment = catalog.experiments()[name]
    levels = tuple(
        level.replace(generator=level.generator.replace(width=width)) for level in experiment.levels
    )
    training = experiment.training.replace(bf16=bf16, folded=False)
    return experiment.replace(levels=levels, training=training)


def clips_of(experiment: Experiment) -> SyntheticDataset:
    frames = whole_window(experiment).span
    return SyntheticDataset(SyntheticSpec(size=experiment.size, frames=frames, clips=7))


def taking(experiment: Experiment, levels: list[FrozenLevel], clips: int) -> Callable[[], object]:
    """Takes standing statistics of the top level, so many clips at a time."""
    *below, top = levels
    arguments = (
        *(experiment, len(below), top.generator, below, [1] * experiment.classes),
        *(clips_of(experiment), SPEC),
    )
    return functools.partial(statistics_of_level, *arguments, at_once=clips)


def operations(work: Callable[[], object]) -> int:
    with every_step_anew(), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def peak(work: Callable[[], object]) -> int:
    with LiveTensors() as live:
        work()
    return live.most


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_statistics_do_what_is_counted(name: str) -> None:
    """All clips at once and in pieces, with new videos of the levels below for each of them."""
    experiment = wide(name)
    count = len(experiment.levels)
    passed = statistics_pass(Trained(experiment, 1), untrained_levels(experiment, count, META))
    levels = untrained_levels(experiment, count, CPU)
    for clips in (CLIPS, 2):
        phase = statistics_phase(passed, clips, SPEC, 0.0, 1)
        assert phase.flops == phase.longest == operations(taking(experiment, levels, clips))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_statistics_take_the_memory_that_is_counted(name: str) -> None:
    """All in one place, what is on the device and what waits adds up."""
    experiment = wide(name, width=8, bf16=True)
    levels = untrained_levels(experiment, len(experiment.levels), META)
    passed = statistics_pass(Trained(experiment, 1), levels)
    top = levels[-1].spec
    assert passed.waiting == bytes_waiting(top.generator, top.frames, size=2)  # bfloat16
    for clips in (CLIPS, 2):
        phase = statistics_phase(passed, clips, SPEC, 0.0, 1)
        measured = peak(taking(experiment, levels, clips))
        # Of several pieces, the one at work waits nowhere.
        assert 0.99 <= (phase.device + phase.host) / measured < (1.01 if clips == CLIPS else 1.2)


@pytest.mark.slow
def test_processes_pass_a_clip_each_where_there_are_fewer_clips() -> None:
    experiment = wide("dvd-gan-k600-12x64")
    passed = statistics_pass(Trained(experiment, 1), untrained_levels(experiment, 1, META))
    one = passed.whole.flops
    for processes, each in ((1, CLIPS), (2, 3), (CLIPS, 1), (8, 1)):
        phase = statistics_phase(passed, CLIPS, SPEC, 0.0, processes)
        assert phase.longest == SPEC.batches * each * one
        assert phase.flops == SPEC.batches * max(CLIPS, processes) * one


def sampling(experiment: Experiment, levels: list[FrozenLevel], clips: int) -> Callable[[], Tensor]:
    """Makes videos as previews, evaluations and ``vidgan sample`` make them."""
    sampler, top = Sampler(levels, clips, dtype=experiment.training.dtype), experiment.levels[-1]
    if top.context_frames:
        place = sampler.device
        frames = torch.zeros(clips, top.context_frames, 3, top.size, top.size, device=place)
        return lambda: sampler.predict(frames, range(clips), [0] * clips, 3).video
    return lambda: sampler.sample(range(clips), [0] * clips, 3)


PREDICTION = "trivd-gan-fp-k600-16x64"
"""its units warp"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, PREDICTION])
def test_samples_do_what_is_counted(name: str) -> None:
    experiment = wide(name)
    count = len(experiment.levels)
    planned = sample_pass(experiment, untrained_levels(experiment, count, META))
    work = sampling(experiment, untrained_levels(experiment, count, CPU), 3)
    assert 3 * planned.flops == operations(work)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, PREDICTION])
@pytest.mark.parametrize("bf16", [False, True])
def test_samples_take_the_memory_that_is_counted(
    name: str, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the dtype of training, motion fields included where units warp."""
    experiment = wide(name, width=8, bf16=bf16)
    levels = untrained_levels(experiment, len(experiment.levels), META)
    planned = sample_pass(experiment, levels)
    work, most = sampling(experiment, levels, CLIPS), list[int]()

    def leave_the_device(made: Tensor) -> Tensor:
        most.append(live.most)
        return made  # there is nothing to copy

    monkeypatch.setattr(Tensor, "cpu", leave_the_device)
    with LiveTensors() as live:
        work()
    assert planned.peak(CLIPS) == pytest.approx(most[0], rel=0.03)


@pytest.mark.slow
def test_operations_of_a_sample_are_those_of_the_layers() -> None:
    """Whether changes of size are folded or not: docs/costs.md counts the same."""
    experiment = catalog.experiments()["dvd-gan-k600-12x64"]
    (level,) = experiment.levels
    generator, *_ = networks((level,), 0, experiment.classes)
    for folded in (False, True):
        own = experiment.replace(training=experiment.training.replace(folded=folded))
        assert sample_pass(own, untrained_levels(own, 1, META)).flops == generator.flops


@pytest.mark.long
@pytest.mark.slow
def test_the_time_of_phases_is_that_of_the_process_with_most() -> None:
    """Five clips over two processes are three and two; previews are made by one."""
    experiment = wide("dvd-gan-k600-12x64")
    plan = plan_level(experiment, 0)
    found = {
        processes: phases(experiment, 0, plan, experiment.batch_of(0).share(processes), processes)
        for processes in (1, 2)
    }
    clips = experiment.batch_of(0).global_batch
    one, two = ({phase.name: phase for phase in phases} for phases in found.values())
    step = "training step"
    assert one[step].longest == one[step].flops == plan.flops.of(clips)
    assert two[step].longest == plan.flops.of(-(-clips // 2))
    assert two[step].flops == plan.flops.of(clips) + plan.flops.fixed
    sample = one["evaluation, 1000 clips"].flops / 1000
    assert two["evaluation, 1000 clips"].longest == 500 * sample
    assert two["previews"].longest >= 32 * sample


@pytest.mark.slow
@pytest.mark.usefixtures("whole_previews")
@pytest.mark.parametrize(
    ("index", "clips", "micro"), [(0, 10, 2), pytest.param(1, 16, 16, marks=pytest.mark.long)]
)
def test_several_processes_do_what_is_planned(
    index: int, clips: int, micro: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of four, which has most clips: how many at once, and all operations; the others are not there."""
    four = Replicas(0, 4)
    experiment = steps.batched(wide("demo-cascade"), clips, micro_batch=micro)
    training = experiment.training.replace(standing_statistics=StandingStatisticsSpec(batches=2, clips=10))
    run = make_run(tmp_path / "run", experiment.replace(training=training))
    experiment, data = run.experiment, clips_of(run.experiment)
    found = phases(experiment, index, plan_level(experiment, index), experiment.batch_of(index).share(4), 4)
    planned = {phase.name: phase for phase in found}
    *below, top = untrained_levels(experiment, index + 1, CPU)
    made, begin = list[int](), Generator.begin

    def counted(self: Generator, condition: Tensor, *more: Any) -> Tensor:
        if self is top.generator:
            made.append(len(condition))
        return begin(self, condition, *more)

    monkeypatch.setattr(Generator, "begin", counted)
    labels = [1] * experiment.classes
    work = functools.partial(write_previews, run, index, [top.generator], 1, below, labels, data, four)
    assert operations(work) == planned["previews"].longest
    assert max(made) == planned["previews"].clips
    made.clear()
    spec = experiment.training.standing_statistics
    statistics = functools.partial(
        statistics_of_level, experiment, index, top.generator, below, labels, data, spec, replicas=four
    )
    assert operations(statistics) == planned["standing statistics"].longest
    assert max(made) == planned["standing statistics"].clips
    own, generators = experiment.up_to(index + 1), [level.generator for level in (*below, top)]
    model = Model(own, generators, run.class_names, 1, labels, processes=four.size)
    for phase in ("evaluation, 1000 clips", f"sampling {own.levels[-1].frames} frames"):
        assert planned[phase].clips == model.at_once() == model.sampler().at_once


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [None, pytest.param(4, marks=pytest.mark.long)])
def test_longer_videos_take_the_statistics_that_are_planned(
    chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that two processes trained, by one: operations, clips at once, and memory, where nothing waits apart
    from the device."""
    experiment = steps.batched(wide("demo-cascade", width=4), 8)
    training = experiment.training.replace(standing_statistics=StandingStatisticsSpec(batches=2, clips=5))
    experiment = experiment.replace(training=training)
    frames = 4 * experiment.levels[-1].frames
    planned = longer_statistics(Trained(experiment, 2), frames, chunk)
    assert planned is not None
    made, begin = list[int](), Generator.begin

    def counted(self: Generator, condition: Tensor, *more: Any) -> Tensor:
        made.append(len(condition))
        return begin(self, condition, *more)

    monkeypatch.setattr(Generator, "begin", counted)

    def model(device: torch.device) -> Model:
        generators = [level.generator for level in untrained_levels(experiment, 2, device)]
        names = [str(label) for label in range(experiment.classes)]
        return Model(experiment, generators, names, 1, [1] * len(names), processes=2)

    assert operations(lambda: model(CPU).sampler(frames, chunk=chunk)) == planned.flops
    assert max(made) == planned.clips
    assert longer_statistics(Trained(experiment, 2), experiment.levels[-1].frames) is None


@pytest.mark.long
@pytest.mark.slow
def test_statistics_in_chunks_take_the_memory_that_is_counted() -> None:
    """With what the level below keeps of its own video meanwhile."""
    trained = wide("ssw-gan-k600-48x128", width=8, bf16=True)
    experiment = unrolled(trained, 4 * trained.levels[-1].frames)
    levels, chunk = untrained_levels(experiment, 2, META), 4
    passed = statistics_pass(Trained(trained, 1), levels, chunk)
    *below, top = levels
    arguments = (experiment, 1, top.generator, below, [1] * experiment.classes, None, SPEC, chunk)
    for clips in (CLIPS, 2):
        phase = statistics_phase(passed, clips, SPEC, 0.0, 1)
        measured = peak(functools.partial(statistics_of_level, *arguments, at_once=clips))
        assert 0.97 <= (phase.device + phase.host) / measured < (1.05 if clips == CLIPS else 1.25)


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, pytest.param(1, marks=pytest.mark.long)])
def test_the_host_holds_what_is_read(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint as it comes from the disk; batches in use, and as many as workers have room for."""
    experiment = steps.batched(catalog.experiments()["demo-cascade"], 6)
    plan, data = plan_level(experiment, index), clips_of(experiment)
    state = TrainState(experiment, index, CPU)
    prime(state)
    held = sum(tensor.nbytes for tensor in state.tensors().values())
    slots: list[int] = []
    share_memory = loader._shared_slots

    def noted(shape: tuple[int, ...]) -> Tensor:
        slots.append(math.prod(shape))
        return share_memory(shape)

    monkeypatch.setattr(loader, "_shared_slots", noted)
    for workers in (0, 2):
        found = phases(experiment, index, plan, experiment.batch_of(index).share(2), 2, workers)
        planned = {phase.name: phase for phase in found}
        assert planned["resuming"].host == planned["checkpoint"].host == pytest.approx(held, rel=0.01)
        with training_loader(data, experiment, index, workers, CPU) as reader:
            batches = reader.batches(data_indices(6, Replicas(0, 2), 0))
            used = [next(batches).video for _ in range(experiment.training.discriminator_updates)]
        (in_use,) = {video.nbytes for video in used}
        room = slots[0] if workers else in_use
        assert planned["reading data"].host == len(used) * in_use + room


@pytest.mark.slow
def test_a_run_without_samples_has_no_previews() -> None:
    experiment = catalog.experiments()["demo"]
    plan, share = plan_level(experiment, 0), experiment.batch_of(0).share(1)
    none = experiment.replace(reporting=experiment.reporting.replace(samples=None))
    names = [phase.name for phase in phases(experiment, 0, plan, share)]
    assert [phase.name for phase in phases(none, 0, plan, share)] == [
        name for name in names if name != "previews"
    ]
    assert "previews" in names
