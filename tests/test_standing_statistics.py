"""Standing statistics: how classes are drawn, and passes that are cut to fit into memory without a trace."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import catalog
from vidgan.data.dataset import ClipInfo
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel, whole
from vidgan.models.generator import NOTHING, Conditioning, Generator, join
from vidgan.nn.norm import StandingStatistics
from vidgan.presets import preset
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, TrainingSpec, label_counts, whole_window
from vidgan.run.tiny import LATENT, tiny
from vidgan.sample import standing
from vidgan.sample.model import Model
from vidgan.sample.noise import Scaled, Threshold
from vidgan.sample.passes import Trained, at_once, brief_statistics
from vidgan.sample.previews import column_classes
from vidgan.sample.sampler import parts_of
from vidgan.sample.standing import GivenFrames, StatisticsStore, frozen_levels, standing_statistics
from vidgan.sample.video_io import to_bytes
from vidgan.seeds import derive, stream
from vidgan.train.state import TrainState

CPU = torch.device("cpu")
BRIEF = StandingStatisticsSpec(batches=2, clips=6)


def with_micro(experiment: Experiment, micro: int) -> Experiment:
    batch = BatchSpec(global_batch=12, micro_batch=micro)
    return experiment.replace(training=experiment.training.replace(batch=batch, standing_statistics=BRIEF))


def untrained(experiment: Experiment) -> Model:
    """Generators as they are when training starts."""
    data = SyntheticDataset(
        SyntheticSpec(size=experiment.size, frames=whole_window(experiment).span, clips=20)
    )
    states = [TrainState(experiment, index, CPU) for index in range(len(experiment.levels))]
    generators = [state.level.generator for state in states]
    return Model(experiment, generators, data.classes, 0, [1] * experiment.classes, GivenFrames.of(data))


def table_of(level: FrozenLevel) -> dict[str, torch.Tensor]:
    assert isinstance(level.statistics, StandingStatistics)
    return dict(level.statistics.table)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Clips of every pass of a generator, and whether it had standing statistics."""
    seen: list[tuple[int, bool]] = []
    real = Generator.generate

    def generate(self: Generator, z: torch.Tensor, *args: object, **more: object) -> object:
        statistics = args[2]
        seen.append((len(z), isinstance(statistics, StandingStatistics)))
        return real(self, z, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Generator, "generate", generate)
    return seen


def five_clips(model: Model) -> torch.Tensor:
    size, context = model.experiment.size, model.experiment.levels[0].context_frames
    if context == 0:
        return model.sample(5, [0, 1, 2], seed=3)
    given = torch.linspace(-1, 1, 5 * context * 3 * size * size).view(5, context, 3, size, size)
    return model.sampler().predict(given, range(5), [0] * 5, 3).video


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssw-gan-k600-48x128", "trivd-gan-fp-k600-16x64"])
def test_cutting_changes_nothing(name: str, passes: list[tuple[int, bool]]) -> None:
    made: list[tuple[list[dict[str, torch.Tensor]], torch.Tensor]] = []
    for micro in (6, 2):
        passes.clear()
        model = untrained(with_micro(tiny(preset(name)), micro))
        made.append(([table_of(level) for level in model.sampler().levels], five_clips(model)))
        assert max(clips for clips, standing in passes if standing) <= micro
    (tables, videos), (cut_tables, cut_videos) = made
    torch.testing.assert_close(cut_tables, tables, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(cut_videos, videos, rtol=1e-4, atol=1e-4)


def test_parts_cover_all_clips_in_order() -> None:
    base = preset("demo")  # micro-batch 8
    small = base.replace(training=base.training.replace(batch=BatchSpec(global_batch=12, micro_batch=4)))
    for experiment, processes, most in ((base, 1, 8), (small, 1, 4), (base, 8, 2), (base, 32, 1)):
        trained = Trained(experiment, processes)
        for clips in (0, 1, 4, 16, 33):
            parts = [
                list(range(clips))[rows] for rows in parts_of(clips, at_once(trained, experiment.levels))
            ]
            assert [clip for part in parts for clip in part] == list(range(clips))
            assert all(len(part) <= most for part in parts)
            assert len(parts) == -(-clips // most)


@pytest.mark.parametrize(
    ("standing_statistics", "batch", "processes", "expected"),
    [
        ((100, 256), (512, 512), 1, (10, 256)),  # the papers': a tenth of the passes
        ((100, 256), (512, 32), 1, (80, 32)),  # as many clips in smaller passes
        ((100, 256), (512, 512), 128, (10, 256)),  # two clips of each process
        ((100, 256), (512, 4), 16, (40, 64)),  # four of each
        ((100, 256), (108, 108), 8, (24, 108)),  # 14 or 13
        ((16, 64), (16, 16), 1, (7, 16)),
        ((2, 3), (3, 3), 1, (2, 3)),  # never fewer than two
    ],
)
def test_previews_take_passes_that_fit(
    standing_statistics: tuple[int, int], batch: tuple[int, int], processes: int, expected: tuple[int, int]
) -> None:
    training = TrainingSpec(
        standing_statistics=StandingStatisticsSpec(
            batches=standing_statistics[0], clips=standing_statistics[1]
        ),
        batch=BatchSpec(global_batch=batch[0], micro_batch=batch[1]),
    )
    brief = brief_statistics(Trained(preset("demo").replace(training=training), processes), 0)
    assert (brief.batches, brief.clips) == expected


def test_joined_conditioning_keeps_the_order() -> None:
    state, skip = torch.arange(5.0).view(5, 1, 1, 1), torch.arange(5.0, 10.0).view(5, 1, 1, 1)
    parts = [Conditioning({4: state[rows]}, {8: skip[rows]}, None) for rows in (slice(0, 3), slice(3, 5))]
    whole = join(parts)
    assert torch.equal(whole.states[4], state)
    assert torch.equal(whole.skips[8], skip)
    assert whole.below is None


def drawn_labels(labels: tuple[int, ...]) -> torch.Tensor:
    """The labels of 400 clips that standing statistics are taken of."""
    experiment = catalog.experiments()["demo"].replace(classes=len(labels))
    generator = TrainState(experiment, 0, CPU).level.generator
    seen: list[torch.Tensor] = []

    def given(batch: int, label: torch.Tensor) -> list[Conditioning]:
        seen.append(label)
        return [NOTHING]

    passes = StandingStatisticsSpec(batches=4, clips=100)
    standing_statistics(generator, [whole(1)], labels, passes, 5, given)
    return torch.cat(seen)


@pytest.mark.parametrize("labels", [(1, 1), (1, 0, 6, 3), (1,) * 8, (2, 1, 0), (0, 5, 5), (1,)])
def test_classes_are_drawn_as_often_as_the_data_have_them(labels: tuple[int, ...]) -> None:
    """Each count within four deviations of a binomial; and each clip's class is that of its ticket: of as many tickets
    as the data have clips, every class has as many, in order."""
    drawn = drawn_labels(labels)
    counts, total = torch.bincount(drawn, minlength=len(labels)).tolist(), sum(labels)
    for count, share in zip(counts, labels, strict=True):
        p = share / total
        assert abs(count - 400 * p) <= 4 * (400 * p * (1 - p)) ** 0.5
    owners = [label for label, share in enumerate(labels) for _ in range(share)]
    tickets: list[int] = []
    for batch in range(4):
        rng = stream(5, "settle", batch)
        torch.randn((100, LATENT), generator=rng)  # the noise is drawn first
        tickets += torch.randint(0, total, (100,), generator=rng).tolist()
    assert drawn.tolist() == [owners[ticket] for ticket in tickets]


def test_the_noise_has_the_deviation_that_is_asked_for() -> None:
    """What statistics see of each clip: sigma times the same normal draws (Luc et al. 2020, E.2)."""
    generator = TrainState(catalog.experiments()["demo"], 0, CPU).level.generator
    seen: list[torch.Tensor] = []
    generator.start.register_forward_pre_hook(lambda module, given: seen.append(given[0].clone()))
    for sigma in (1.0, 0.25, 0.0):
        passes = StandingStatisticsSpec(batches=1, clips=50, sigma=sigma)
        standing_statistics(generator, [whole(1)], [1, 1], passes, 5, lambda batch, label: [NOTHING])
    plain, scaled, none = (z[:, :LATENT] for z in seen)
    assert abs(plain.std() - 1) < 0.2
    assert torch.equal(scaled, 0.25 * plain)
    assert not none.any()


@pytest.mark.parametrize(("sigma", "threshold"), [(None, None), (0.25, None), (None, 0.8)])
def test_samples_have_statistics_of_noise_like_their_own(
    sigma: float | None, threshold: float | None, passes: list[tuple[int, bool]]
) -> None:
    """Luc et al. 2020, E.2 takes them for each evaluation; a threshold counts as the deviation that it leaves."""
    model = untrained(with_micro(tiny(preset("demo")), 6))
    seen: list[torch.Tensor] = []
    model.generators[0].start.register_forward_pre_hook(
        lambda module, given: seen.append(given[0][:, :LATENT])
    )
    own = model.sample(3, seed=1, sigma=sigma, threshold=threshold)
    taken = [z for z, (_, standing) in zip(seen, passes, strict=True) if not standing]
    drawn = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    kept = drawn[drawn.abs() < threshold] if threshold else drawn * (1 if sigma is None else sigma)
    plain = [torch.randn((6, LATENT), generator=stream(derive(0, "level", 0), "settle", n)) for n in (0, 1)]
    torch.testing.assert_close(taken, [kept.std() * z for z in plain], rtol=1e-2, atol=1e-3)
    # The deviation may be set instead; it is that of the samples unless they are truncated.
    model.experiment = model.experiment.with_statistics(1.0)
    assert torch.equal(own, model.sample(3, seed=1, sigma=sigma, threshold=threshold)) == (
        (sigma, threshold) == (None, None)
    )


def test_given_frames_come_with_their_own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that continues videos by class: in its standing statistics, and in previews."""
    experiment = with_micro(tiny(preset("demo-prediction")).replace(conditional=True, classes=8), 6)
    model = untrained(experiment)
    labels: list[torch.Tensor] = []
    given: list[torch.Tensor] = []
    embed, encode = Generator.embed_label, Generator.encode

    def embedded(self: Generator, label: torch.Tensor) -> torch.Tensor:
        labels.append(label)
        return embed(self, label)

    def encoded(self: Generator, frames: torch.Tensor) -> Conditioning:
        given.append(frames)
        return encode(self, frames)

    monkeypatch.setattr(Generator, "embed_label", embedded)
    monkeypatch.setattr(Generator, "encode", encoded)
    model.sampler()
    assert model.data is not None
    data = model.data.open()
    assert isinstance(data, SyntheticDataset)
    firsts = {data.read(i, 0, 1).tobytes(): data.info(i).label for i in range(len(data))}
    shown = [firsts.get(to_bytes(clip[None, :1])[0].numpy().tobytes()) for clip in torch.cat(given)]
    found = [pair for pair in zip(torch.cat(labels).tolist(), shown, strict=True) if pair[1] is not None]
    assert len(found) > 3
    assert all(ours == theirs for ours, theirs in found)
    # Another order of classes is other classes: the labels would mean something else.
    model.class_names = tuple(reversed(model.class_names))
    other = Model(experiment, model.generators, model.class_names, 0, [1] * 8, GivenFrames.of(data))
    with pytest.raises(UserError, match="other classes"):
        other.sampler()


@pytest.mark.parametrize("limit", [1e-9, 1e-4, 1.1e-4, 0.05, 0.8, 2, 9])
def test_a_threshold_leaves_the_deviation_of_a_cut_normal_law(limit: float) -> None:
    z = torch.linspace(-limit, limit, 200_001, dtype=torch.float64)
    density = torch.exp(-z * z / 2)
    expected = (torch.trapezoid(density * z * z, z) / torch.trapezoid(density, z)).sqrt()
    assert Threshold(limit=limit).deviation == pytest.approx(float(expected), rel=1e-6)


def test_every_clip_that_is_given_frames_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = standing.random_item

    def recorded(dataset: object, window: object, seed: int, n: int) -> object:
        seen.append(n)
        return real(dataset, window, seed, n)  # type: ignore[arg-type]

    monkeypatch.setattr(standing, "random_item", recorded)
    untrained(with_micro(tiny(preset("trivd-gan-fp-k600-16x64")), 2)).sampler()
    assert seen == list(range(BRIEF.batches * BRIEF.clips))


def test_every_video_below_has_noise_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the deviation that is asked for; clip i of pass n is number n B + i."""
    seen: list[tuple[int, float]] = []
    real = standing.latents

    def recorded(seed: int, level: int, clips: range, dimension: int, noise: Scaled) -> object:
        assert level == 0
        seen.extend((clip, noise.sigma) for clip in clips)
        return real(seed, level, clips, dimension, noise)

    monkeypatch.setattr(standing, "latents", recorded)
    untrained(with_micro(tiny(preset("demo-cascade")), 4)).sampler(truncation=Scaled(sigma=0.5))
    assert seen == [(clip, 0.5) for clip in range(BRIEF.batches * BRIEF.clips)]


def test_every_video_below_has_the_class_of_its_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six clips a pass, of the first level in pieces of four and two; of the second, whose videos are longer than the
    windows that it is trained on, in pieces of two, each with the videos that it is made from."""
    seen: list[tuple[int, list[int]]] = []
    embed = Generator.embed_label

    def recorded(self: Generator, label: torch.Tensor) -> torch.Tensor:
        seen.append((self.spec.size, label.tolist()))
        return embed(self, label)

    monkeypatch.setattr(Generator, "embed_label", recorded)
    untrained(with_micro(tiny(preset("demo-cascade")), 4)).sampler()
    assert [(size, len(label)) for size, label in seen[:4]] == [(8, 4), (8, 2)] * 2
    pairs = list(zip(seen[4::2], seen[5::2], strict=True))
    assert len(pairs) == 6
    for (size, label), below in pairs:
        assert (size, len(label)) == (16, 2)
        assert below == (8, label)


def changed_labels(model: Model) -> None:
    model.label_counts = (2, *model.label_counts[1:])


def changed_training(model: Model, **changes: object) -> None:
    training = model.experiment.training.replace(**changes)
    model.experiment = model.experiment.replace(training=training)


def changed_weight(model: Model, level: int) -> None:
    with torch.no_grad():
        next(model.generators[level].parameters()).view(-1)[0] += 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "levels"),
    [
        (lambda model: None, 0),
        (changed_labels, 2),
        (lambda model: changed_training(model, seed=3), 2),
        (lambda model: changed_training(model, standing_statistics=BRIEF.replace(clips=5)), 2),
        (lambda model: changed_training(model, standing_statistics=BRIEF.replace(sigma=0.5)), 2),
        (lambda model: changed_weight(model, 1), 1),
        (lambda model: changed_weight(model, 0), 2),  # which makes what level 2 is given
    ],
    ids=["nothing", "labels", "seed", "clips", "sigma", "upper weights", "lower weights"],
)
def test_statistics_are_kept_by_all_that_they_depend_on(
    change: Callable[[Model], None], levels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a cascade of two levels, as many are taken anew as depend on what changed."""
    monkeypatch.setattr(standing, "statistics_of_level", lambda *given: {"a/mean": torch.zeros(1)})
    experiment = with_micro(tiny(preset("ssw-gan-k600-48x128")), 2)
    for number, changed in enumerate((lambda model: None, change)):
        model = untrained(experiment)
        model.statistics = StatisticsStore(write=tmp_path)
        changed(model)
        model.sampler()
        assert len(list(tmp_path.iterdir())) == 2 + number * levels
    longer = 2 * experiment.levels[-1].frames
    model.sampler(longer)
    assert len(list(tmp_path.iterdir())) == 4 + levels


def test_statistics_of_given_frames_are_kept_by_their_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "statistics_of_level", lambda *given: {"a/mean": torch.zeros(1)})
    experiment = with_micro(tiny(preset("trivd-gan-fp-k600-16x64")), 2)
    generators = untrained(experiment).generators
    for fingerprint, files in (("a", 1), ("b", 2), ("a", 2)):
        data = GivenFrames(fingerprint, lambda: SyntheticDataset(SyntheticSpec(clips=1)))
        frozen_levels(experiment, generators, [1], data, StatisticsStore(write=tmp_path))
        assert len(list(tmp_path.iterdir())) == files
    with pytest.raises(UserError, match="takes standing statistics of data"):
        frozen_levels(experiment, generators, [1])


class Unbalanced(SyntheticDataset):
    """Twelve clips of the first class, none of the second and four of the third."""

    def info(self, index: int) -> ClipInfo:
        return super().info(index)._replace(label=0 if index < 12 else 2)


def test_classes_are_counted_in_lowest_terms() -> None:
    experiment = catalog.experiments()["demo"].replace(classes=3)
    spec = SyntheticSpec(shapes=("disc",), motions=("right", "left", "grow"), clips=16)
    assert label_counts(experiment, Unbalanced(spec)) == (3, 0, 1)
    assert label_counts(experiment.replace(classes=1, conditional=False), Unbalanced(spec)) == (1,)
    # Balanced data draw labels as a single clip of each class would.
    assert label_counts(preset("demo"), SyntheticDataset(SyntheticSpec())) == (1,) * 8


@pytest.mark.usefixtures("whole_previews")
@pytest.mark.parametrize("classes", [1, 3, 8, 600])
def test_a_column_of_previews_shows_one_class(classes: int) -> None:
    made = column_classes(classes)
    assert len(made) == 8 * 4
    columns = [set(made[i::8]) for i in range(8)]
    assert all(len(column) == 1 for column in columns)
    assert len(set().union(*columns)) == min(classes, 8)
