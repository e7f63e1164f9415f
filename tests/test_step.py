"""What a training step is fed with: windows of the levels below, held-out clips."""

from collections import Counter
from itertools import product

import pytest
import torch
from torch import Tensor

import catalog
import steps
from cascades import GRU, SEPARABLE, frozen_level, level_spec
from vidgan.data.loader import Batch
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.data.window import WindowSpec
from vidgan.models.cascade import by_label, sample_levels
from vidgan.models.level import Level
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.layers import Embedding, WeightLayer
from vidgan.run.batch import BatchSpec
from vidgan.run.collapse import CollapseSpec, discriminator_memorises
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, TrainingSpec, whole_window
from vidgan.seeds import stream
from vidgan.train import monitor as monitor_file
from vidgan.train import step as step_file
from vidgan.train.levels_below import levels_below
from vidgan.train.monitor import HeldOut, Monitor
from vidgan.train.state import TrainState
from vidgan.train.step import mean_scalars, real_input, update_generator

CPU = torch.device("cpu")


def test_fakes_of_an_upper_level_come_from_anywhere_in_the_video_below() -> None:
    """SSW-GAN, 3.2: windows of the lower video, uniformly; those of a process are rows of the global batch."""
    clips, seed, step, update = 60, 3, 5, 1
    low, high = levels = level_spec(6, 4, 2, GRU), level_spec(12, 8, 1, SEPARABLE, window=4)
    training = TrainingSpec(seed=seed, batch=BatchSpec(global_batch=clips), bf16=False)
    experiment = Experiment(name="x", levels=levels, classes=3, training=training)
    below = frozen_level(levels, 0)
    below.generator.float()
    sample = levels_below(experiment, [below])
    assert sample is not None
    label = torch.arange(clips) % 3
    made = sample(label, step, update, 0)

    def noise(level: int, dimension: int) -> Tensor:
        return torch.randn((clips, dimension), generator=stream(seed, "noise below", 1, level, step, update))

    (whole,) = sample_levels([below], noise, by_label(label))
    frames = high.window * low.frames // high.frames if high.window else 0
    assert made.shape == (clips, 2, 3, *whole.shape[3:])
    starts = []
    for window, video in zip(made, whole, strict=True):
        fits = [s for s in range(low.frames - frames + 1) if torch.allclose(window, video[s : s + frames])]
        assert len(fits) == 1
        starts += fits
    counts = Counter(starts)
    for start in range(5):  # each within four deviations of a binomial
        assert abs(counts[start] - clips / 5) <= 4 * (clips * 0.2 * 0.8) ** 0.5
        assert counts[start] > 0
    part = sample(label[20:30], step, update, 20)
    torch.testing.assert_close(part, made[20:30])
    assert not torch.allclose(sample(label, step + 1, update, 0), made)


def test_the_first_level_has_none_below() -> None:
    assert levels_below(catalog.experiments()["demo"], ()) is None


@pytest.mark.parametrize("conditional", [True, False])
def test_held_out_clips_keep_their_classes(conditional: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The held-out data name the same classes in another order; each clip is scored under its own."""
    experiment = catalog.experiments()["demo"]
    classes = ("disc-right", "disc-left", "disc-up")
    batch = BatchSpec(global_batch=8)
    experiment = experiment.replace(
        conditional=conditional,
        classes=3 if conditional else 1,
        training=experiment.training.replace(batch=batch),
    )
    (level,) = experiment.levels
    held_out = SyntheticDataset(
        SyntheticSpec(
            shapes=("disc",), motions=("up", "left", "right"), size=level.size, frames=level.frames, clips=24
        )
    )
    assert set(held_out.classes) == set(classes)
    seen: list[DiscriminatorInput] = []
    real_input = Level.real_input

    def recorded(self: Level, clip: Tensor, label: Tensor, smooth: bool) -> DiscriminatorInput:
        seen.append(real_input(self, clip, label, smooth))
        return seen[-1]

    monkeypatch.setattr(Level, "real_input", recorded)
    state, monitor = TrainState(experiment, 0, CPU), Monitor()
    state.steps = 1
    trained_on = SyntheticDataset(held_out.spec.replace(motions=("right", "left", "up")))
    assert trained_on.classes == classes
    HeldOut(held_out, trained_on, experiment).discriminate(state, monitor)
    given = seen[0]
    videos = [torch.from_numpy(held_out.read(i, 0, level.frames)) for i in range(len(held_out))]
    names = []
    for clip in given.clip:
        shown = ((clip.permute(0, 2, 3, 1) + 1) * 127.5).round().to(torch.uint8)
        (index,) = [i for i, video in enumerate(videos) if torch.equal(shown, video)]
        names.append(held_out.classes[held_out.info(index).label])
    assert len(set(names)) == 3
    assert given.label.tolist() == [classes.index(name) if conditional else 0 for name in names]
    signals = monitor.take(state.level, state.replicas)
    assert 0 <= signals["accuracy/frames/held out"] <= 1


def test_every_update_of_every_step_draws_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise, windows and what views pick: from (seed, purpose, level, step, update), the generator's update after the
    discriminators', and nothing drawn twice."""
    keys: list[tuple[object, ...]] = []

    def recorded(*key: object) -> torch.Generator:
        keys.append(key)
        return stream(*key)  # type: ignore[arg-type]

    monkeypatch.setattr(step_file, "stream", recorded)
    experiment = steps.batched(catalog.experiments()["demo-cascade"], 4)
    training = experiment.training.replace(seed=7, discriminator_updates=2)
    state = steps.level_state(experiment.replace(training=training), 1)
    for _ in range(2):
        steps.run_step(state)
    purposes = ("noise", "places", "views of real", "views of fake")
    assert sorted(keys) == sorted(product((7,), purposes, (1,), range(2), range(3)))


def test_a_fake_knows_of_a_real_clip_what_it_is_given() -> None:
    """It begins with the given frames, and those alone make the rest: neither later frames nor those of other clips."""
    experiment = steps.batched(catalog.experiments()["trivd-gan-fp-k600-16x64"], 3)
    state = steps.level_state(experiment, 0)
    (real, *_), count = steps.real_batches(state), experiment.levels[0].context_frames
    assert 0 < count < real.clip.shape[1] - count
    z = torch.randn(
        (3, state.level.latent), generator=torch.Generator().manual_seed(0), dtype=real.clip.dtype
    )
    later, earlier = real.clip.clone(), real.clip.clone()
    later[:, count:] *= -1
    earlier[:, 0] *= -1
    fake, same, other = (
        state.level.generate_fake(real._replace(clip=clip), z, None, state.statistics).clip.detach()
        for clip in (real.clip, later, earlier)
    )
    assert torch.equal(fake[:, :count], real.clip[:, :count])
    assert torch.equal(fake, same)
    assert not torch.allclose(fake[:, count:], other[:, count:])


def test_each_process_scores_held_out_clips_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two clips, ticks of five steps: clip after clip, two for every process at every tick."""
    experiment = steps.batched(catalog.experiments()["demo"], 4, micro_batch=2)
    experiment = experiment.replace(reporting=experiment.reporting.replace(tick=5))
    (level,) = experiment.levels
    data = SyntheticDataset(SyntheticSpec(size=level.size, frames=level.frames, clips=8))
    trained_on = SyntheticDataset(data.spec.replace(clips=12))
    held_out = HeldOut(data, trained_on, experiment.replace(classes=len(data.classes)))
    state, seen = TrainState(held_out.experiment, 0, CPU), list[int]()
    real = monitor_file.random_item

    def recorded(dataset: object, window: object, seed: int, n: int, order: object) -> object:
        if dataset is data:
            seen.append(n)
        return real(dataset, window, seed, n, order)  # type: ignore[arg-type]

    monkeypatch.setattr(monitor_file, "random_item", recorded)
    for step in (5, 10, 15):
        for rank in (0, 1):
            state.steps, state.replicas = step, Replicas(rank, 2)
            held_out.discriminate(state, Monitor())
    assert seen == list(range(12))


def test_an_update_that_moves_all_scores_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out clips are compared with clips scored by the same weights, not with those that the update saw."""
    experiment = catalog.experiments()["demo"]
    (level,) = experiment.levels
    data = SyntheticDataset(SyntheticSpec(size=level.size, frames=level.frames, clips=8))
    state, monitor = TrainState(experiment.replace(classes=len(data.classes)), 0, CPU), Monitor()
    state.steps, before = 1, [torch.ones(8, 2) for _ in level.discriminators]
    monitor.evaluated(state.level, "real", before)
    after = [-scores for scores in before]
    monkeypatch.setattr(Level, "discriminate", lambda *_: [after])
    HeldOut(data, data, state.experiment).discriminate(state, monitor)
    signals = monitor.take(state.level, state.replicas)
    assert (signals["accuracy/clip/real"], signals["accuracy/clip/held out"]) == (1, 0)
    assert discriminator_memorises(CollapseSpec(), signals)["clip"].severity == 0


def test_held_out_clips_are_scored_by_the_kernels_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = catalog.experiments()["demo"]
    (level,) = experiment.levels
    data = SyntheticDataset(SyntheticSpec(size=level.size, frames=level.frames, clips=8))
    state, told = TrainState(experiment.replace(classes=len(data.classes)), 0, CPU), list[str]()
    state.steps = 1

    def discriminate(*_: object) -> list[list[Tensor]]:
        told.append(torch.backends.cudnn.conv.fp32_precision)
        return [[torch.ones(8, 2) for _ in level.discriminators]]

    monkeypatch.setattr(Level, "discriminate", discriminate)
    HeldOut(data, data, state.experiment).discriminate(state, Monitor())
    assert told == ["tf32"] * 2


@pytest.mark.parametrize("index", [0, 1])
def test_held_out_clips_are_windows_of_the_level_in_training(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = catalog.experiments()["demo-cascade"]
    data = SyntheticDataset(
        SyntheticSpec(size=experiment.size, frames=whole_window(experiment).span, clips=8)
    )
    state = TrainState(experiment.replace(classes=len(data.classes)), index, CPU)
    state.steps, seen, real = 1, list[tuple[int, int]](), monitor_file.random_item

    def recorded(dataset: object, window: WindowSpec, *more: object) -> object:
        seen.append((window.frames, window.stride))
        return real(dataset, window, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(monitor_file, "random_item", recorded)
    HeldOut(data, data, state.experiment).discriminate(state, Monitor())
    level = experiment.levels[index]
    assert set(seen) == {(level.trained_frames, level.stride)}


def test_the_orthogonal_penalty_is_added_to_the_generators_loss() -> None:
    """Luc et al. 2020, E.2: its weight times the gradient of ||W W^T * (1 - I)||^2, class embeddings left out."""
    experiment, found = catalog.experiments()["demo"], []
    for weight in (0.0, 0.5):
        training = experiment.training.replace(orthogonal_penalty=weight)
        state = steps.level_state(experiment.replace(training=training), 0)
        generator = state.level.generator
        weights = {name: p.detach().clone().requires_grad_(True) for name, p in generator.named_parameters()}
        update_generator(state, steps.micro_batches(state)[-1])
        found.append({name: p.grad.clone() for name, p in generator.named_parameters() if p.grad is not None})
    without, with_penalty = found
    layers = [
        name
        for name, module in generator.named_modules()
        if isinstance(module, WeightLayer) and not isinstance(module, Embedding)
    ]
    assert len(layers) > 5
    for name in with_penalty:
        added = torch.zeros_like(weights[name])
        if name.removesuffix(".weight") in layers:
            w = weights[name].flatten(1)
            gram = w @ w.T
            (added,) = torch.autograd.grad((gram * (1 - torch.eye(len(w)))).square().sum(), weights[name])
        torch.testing.assert_close(with_penalty[name] - without[name], 0.5 * added, rtol=1e-6, atol=1e-9)


def test_the_average_is_told_how_many_steps_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step is number 1: where averaging begins late, or looks back on a part of them, it counts."""
    state, seen = steps.level_state(catalog.experiments()["demo"], 0), list[int]()
    assert state.average is not None
    monkeypatch.setattr(state.average, "update", lambda generator, step: seen.append(step))
    for _ in range(2):
        steps.run_step(state)
    assert seen == [1, 2]


@pytest.mark.slow
def test_real_clips_come_as_the_experiment_says() -> None:
    """Without classes all labels are 0; the view below is bilinear where views are smooth, else every other pixel."""
    experiment = catalog.experiments()["demo-cascade"]
    state = TrainState(experiment, 1, CPU)
    level = experiment.levels[1]
    video = torch.randint(0, 256, (3, level.trained_frames, level.size, level.size, 3), dtype=torch.uint8)
    batch = Batch(video, torch.tensor([1, 0, 1]))
    below = []
    for conditional, smooth in ((True, False), (False, True)):
        state.experiment = experiment.replace(conditional=conditional, classes=2, smooth_views=smooth)
        seen = real_input(state, batch)
        assert seen.label.tolist() == ([1, 0, 1] if conditional else [0, 0, 0])
        assert seen.below is not None
        below.append(seen.below)
    values = [set(part.unique().tolist()) <= set(seen.clip.unique().tolist()) for part in below]
    assert values == [True, False]


def test_scalars_are_means_over_the_clips_of_micro_batches() -> None:
    logged = [{"loss": torch.tensor(value)} for value in (1.0, 2.0, 6.0)]
    assert mean_scalars(logged, [2, 2, 2]) == {"loss": torch.tensor(3.0)}
    assert mean_scalars(logged, [1, 2, 5]) == {"loss": torch.tensor(35.0 / 8)}
