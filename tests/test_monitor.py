"""What the monitor measures, against plain loops; and that being monitored changes nothing."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import steps
from commands import require_one_line, vidgan
from vidgan.models.losses import RelativeHingeSpec, SumThenHingeSpec
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.layers import power_iterate
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path, load
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.shapes import as_video
from vidgan.train.monitor import Monitor, first_singular_values
from vidgan.train.state import TrainState

Capture = pytest.CaptureFixture[str]
Values = NDArray[np.float64]


class Batch(NamedTuple):
    """Made-up clips and scores of two discriminators."""

    real: DiscriminatorInput
    fake: DiscriminatorInput
    on_real: list[Tensor]
    on_fake: list[Tensor]


def demo_state() -> TrainState:
    return TrainState(tiny(preset("demo")), 0, steps.CPU)


def made_up(seed: int, labels: list[int], frames: int = 4) -> Batch:
    rng = torch.Generator().manual_seed(seed)

    def real_input(brightness: float) -> DiscriminatorInput:
        clip = torch.rand((len(labels), frames, 3, 6, 6), generator=rng) * 2 * brightness - 1
        clip[0] *= 0.01
        clip[0] -= 0.99  # dark, whatever the others are
        return DiscriminatorInput(as_video(clip), None, torch.tensor(labels))

    real, fake = real_input(1.0), real_input(0.5)
    scores = [torch.randn((len(labels), 3), generator=rng) for _ in range(4)]
    return Batch(real, fake, scores[:2], scores[2:])


def monitored(batches: list[Batch], replicas: Replicas = Replicas()) -> dict[str, float]:
    state, monitor = demo_state(), Monitor()
    for batch in batches:
        monitor.discriminators(state.level, *batch)
    return monitor.take(state.level, replicas)


def in_plain_loops(batches: list[Batch], kind: str) -> dict[str, float]:
    """The signals of a kind of clips, from their definitions."""
    found: dict[str, list[float]] = {
        name: [] for name in ("red", "mean", "dark", "motion", "diversity", "frames")
    }
    for batch in batches:
        seen, scores = (batch.real, batch.on_real) if kind == "real" else (batch.fake, batch.on_fake)
        clips = ((seen.clip.double() + 1) / 2).numpy()
        for i, clip in enumerate(clips):
            found["red"].append(float(clip[:, 0].mean()))
            found["mean"].append(float(np.mean([clip[:, channel].mean() for channel in range(3)])))
            found["dark"].append(float(clip.mean() < 0.05))
            steps_ = [np.abs(clip[t + 1] - clip[t]).mean() for t in range(len(clip) - 1)]
            found["motion"].append(float(np.mean(steps_)))
            for j in range(i):
                if seen.label[i] == seen.label[j]:
                    found["diversity"].append(math.sqrt(float(((clip - clips[j]) ** 2).mean())))
            total = float(scores[0][i].sum())
            found["frames"].append(float(total > 0 if kind == "real" else total < 0))
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_signals_are_those_of_plain_loops_over_all_micro_batches(kind: str) -> None:
    assert preset("demo").levels[0].objective == SumThenHingeSpec(mean=True)  # so the sign is that of the sum
    batches = [made_up(0, [0, 1, 0, 0, 1]), made_up(1, [2, 2, 1])]
    ours, expected = monitored(batches), in_plain_loops(batches, kind)
    assert 0 < expected["dark"] < 1
    names = {
        "red": f"pixel/{kind} red",
        "mean": f"pixel/{kind} mean",
        "dark": f"dark/{kind}",
        "motion": f"motion/{kind}",
        "diversity": f"diversity/{kind}",
        "frames": f"accuracy/frames/{kind}",
    }
    for theirs, name in names.items():
        assert ours[name] == pytest.approx(expected[theirs], rel=2e-4), name


def test_the_step_from_the_last_given_frame_is_the_first_motion() -> None:
    """Of a model that is given two frames: what it was given does not count, neither in motion nor in brightness."""
    experiment = tiny(preset("dvd-gan-fp-k600-16x64"))
    (level,) = experiment.levels
    assert level.context_frames == 2
    state, monitor, batch = TrainState(experiment, 0, steps.CPU), Monitor(), made_up(0, [0, 1, 0], frames=5)
    monitor.discriminators(state.level, *batch)
    ours = monitor.take(state.level, Replicas())
    clips = ((batch.fake.clip.double() + 1) / 2).numpy()
    moves = [np.abs(clip[t + 1] - clip[t]).mean() for clip in clips for t in (1, 2, 3)]
    assert ours["motion/fake"] == pytest.approx(np.mean(moves), rel=1e-4)
    assert ours["pixel/fake green"] == pytest.approx(clips[:, 2:, 1].mean(), rel=1e-4)


def test_nothing_is_told_of_what_was_not_seen() -> None:
    ours = monitored([made_up(0, [0, 1, 2], frames=1)])
    assert not {"diversity/fake", "motion/fake"} & ours.keys()
    assert "pixel/fake red" in ours


def test_scores_without_a_zero_have_no_right_side() -> None:
    experiment = tiny(preset("demo"))
    (level,) = experiment.levels
    experiment = experiment.replace(levels=(level.replace(objective=RelativeHingeSpec()),))
    state, monitor = TrainState(experiment, 0, steps.CPU), Monitor()
    monitor.discriminators(state.level, *made_up(0, [0, 1, 0]))
    ours = monitor.take(state.level, Replicas())
    assert "pixel/fake red" in ours
    assert not [name for name in ours if name.startswith("accuracy/")]


def test_small_distances_keep_their_digits() -> None:
    batch = made_up(0, [0, 0])
    clip = batch.fake.clip[1:].repeat(2, 1, 1, 1, 1)
    clip[1] += 2e-4
    assert monitored([batch._replace(fake=batch.fake._replace(clip=clip))])[
        "diversity/fake"
    ] == pytest.approx(1e-4, rel=0.05)


class Half(Replicas):
    """One of two replicas, whose other one has seen what is handed in."""

    other: Any

    def average(self, values: Any) -> dict[str, float]:
        theirs = self.other.pop(0)
        return {name: (float(v) + theirs[name]) / 2 for name, v in values.items()}


class Recorder(Replicas):
    """Remembers what it was asked to average."""

    asked: Any

    def average(self, values: Any) -> dict[str, float]:
        self.asked.append({name: float(v) for name, v in values.items()})
        return super().average(values)


def test_replicas_count_for_as_much_as_they_saw() -> None:
    """Two pairs of one class here and one there: a mean of means would be another number."""
    mine, theirs = made_up(0, [0, 0, 1, 1]), made_up(1, [0, 1, 2, 2])
    recorder = Recorder()
    recorder.asked = []
    monitored([theirs], recorder)
    half = Half()
    half.other = recorder.asked
    whole = monitored([mine, theirs])
    assert monitored([mine], half) == pytest.approx(whole)
    parts = monitored([mine])["diversity/fake"], monitored([theirs])["diversity/fake"]
    assert whole["diversity/fake"] != pytest.approx(sum(parts) / 2)


@pytest.mark.slow
def test_gradient_norms_and_singular_values() -> None:
    state = demo_state()
    rng = torch.Generator().manual_seed(3)
    squares = 0.0
    for parameter in state.level.generator.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=rng)
        squares += float(parameter.grad.double().square().sum())
    with torch.no_grad():
        for factor, parameter in enumerate(state.level.generator.parameters(), 1):
            parameter *= factor
    monitor = Monitor()
    monitor.gradients({"generator": state.level.generator})
    power_iterate(state.level.generator, 300)
    ours = monitor.take(state.level, Replicas())
    assert ours["gradient/generator"] == pytest.approx(math.sqrt(squares), rel=1e-5)
    weights = dict(state.level.generator.named_parameters())
    largest = {
        name: float(torch.linalg.svdvals(weights[f"{name}.weight"].detach().flatten(1).double())[0])
        for name in first_singular_values(state.level.generator)
    }
    assert len(largest) > 5
    assert ours["singular/generator/largest"] == pytest.approx(max(largest.values()), rel=1e-3)
    middle = sorted(largest.values())[len(largest) // 2]
    assert min(largest.values()) < middle < max(largest.values())
    assert ours["singular/generator/median"] == pytest.approx(middle, rel=1e-3)
    assert ours["singular/generator/least"] == pytest.approx(min(largest.values()), rel=1e-3)


def step_of(experiment: Experiment, index: int, monitor: Monitor | None) -> TrainState:
    state = steps.level_state(experiment, index, dtype=torch.float32)
    steps.run_step(state, monitor)
    return state


@pytest.mark.slow
@pytest.mark.parametrize(("name", "index"), [("demo", 0), ("ssw-gan-k600-48x128", 1)])
def test_a_monitored_step_is_the_same_step(name: str, index: int) -> None:
    experiment = steps.one_discriminator_update(steps.batched(tiny(preset(name)), 2, micro_batch=1))
    monitor, before = Monitor(), torch.get_rng_state()
    seen, unseen = step_of(experiment, index, monitor), step_of(experiment, index, None)
    assert torch.equal(torch.get_rng_state(), before)
    ours = monitor.take(seen.level, Replicas())
    for key, value in unseen.tensors().items():
        assert torch.equal(seen.tensors()[key], value), key
    assert ours["pixel/real red"] != ours["pixel/fake red"]
    discriminators = list(seen.level.discriminators)
    assert {f"accuracy/{discriminator}/fake" for discriminator in discriminators} <= ours.keys()
    assert all(ours[f"gradient/{discriminator}"] > 0 for discriminator in ("generator", *discriminators))


@pytest.mark.slow
def test_a_run_logs_signals_at_ticks_and_scores_held_out_clips(tmp_path: Path, capsys: Capture) -> None:
    command = ["train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--steps", 4]
    rarely = ["--reporting.samples", 100, "--reporting.checkpoint", 100]
    plain, apart = tmp_path / "plain", tmp_path / "apart"
    vidgan(capsys, *command, *rarely, "--out", plain, "--reporting.tick", 3)
    vidgan(capsys, *command, *rarely, "--out", apart, "--held-out", "synthetic")
    known = {line["step"]: line["scalars"] for line in read_lines(plain / "log.jsonl")}
    assert "motion/fake" in known[3]
    assert "motion/fake" not in known[4]  # the end of training is no tick
    held_out = [line["scalars"] for line in read_lines(apart / "log.jsonl")]
    for discriminator in ("frames", "clip"):
        assert f"discriminator/{discriminator}/held out" not in known[3]
        assert len({scalars[f"discriminator/{discriminator}/held out"] for scalars in held_out}) == 4
    # Scoring them draws nothing that training draws: the same weights in the end.
    ours, theirs = (load(checkpoint_path(run / "checkpoints", 1, 4)).tensors for run in (plain, apart))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)


def test_held_out_clips_have_known_classes(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    said = vidgan(
        capsys, "train", "demo", "--tiny", "--data", "synthetic", "--out", out, "--held-out", tmp_path / "no"
    )
    require_one_line(said, str(tmp_path / "no"))
    assert not out.exists()
