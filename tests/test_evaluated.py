"""Which clips a protocol looks at, of models, copies and finished videos: every frame and label, told by its pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.data.raw_videos import ArrayClips
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.clips import Clips, DataClips, GeneratedClips, order_of
from vidgan.evaluation.evaluated import CopyBaseline, Evaluated, FinishedVideos, ModelSamples
from vidgan.evaluation.measure import Deviation, Floor, Measured, warnings_of
from vidgan.evaluation.protocols.base import (
    ClipForm,
    Draw,
    EvaluationBatch,
    Extractor,
    Features,
    Metric,
    Protocol,
    Resources,
    Sampling,
    Score,
    Scorer,
    Table,
)
from vidgan.evaluation.protocols.metrics import (
    BestFuture,
    FrechetDistance,
    InceptionScore,
    PrecisionRecall,
    SpectralGap,
)
from vidgan.evaluation.protocols.networks import RandomFeatures
from vidgan.evaluation.record import Result, evaluate_by
from vidgan.evaluation.rows import Kept, Work, folder_of, key_of
from vidgan.presets import preset
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, StandingStatisticsSpec
from vidgan.run.tiny import tiny
from vidgan.sample.noise import Scaled, Threshold, Truncation
from vidgan.seeds import derive

NAMES = ("a", "b", "c")
DEMO = tiny(preset("demo")).replace(classes=3)
PREDICTING = tiny(preset("trivd-gan-fp-k600-16x64")).replace(classes=3)
CONDITIONAL = PREDICTING.replace(conditional=True)


def painted(codes: Sequence[int], size: int) -> Frames:
    """A frame of one grey for each code."""
    shape = (len(codes), size, size, 3)
    return np.broadcast_to((np.array(codes) % 256).astype(np.uint8)[:, None, None, None], shape).copy()


class Numbered(Dataset):
    """Frame t of clip i has the grey 16 i + t; classes alternate; clips are of two lengths."""

    def __init__(self, size: int, count: int = 12, lengths: tuple[int, ...] = (10, 13)) -> None:
        self.size, self.count, self.lengths = size, count, lengths

    @property
    def classes(self) -> tuple[str, ...]:
        return NAMES

    @property
    def fingerprint(self) -> str:
        return f"{self.size} {self.count} {self.lengths}"

    def __len__(self) -> int:
        return self.count

    def labels(self) -> NDArray[np.int64]:
        return np.arange(self.count) % 3

    def info(self, index: int) -> ClipInfo:
        return ClipInfo(index % 3, self.lengths[index % len(self.lengths)], self.size, self.size)

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        return painted([16 * index + start + stride * t for t in range(frames)], self.size)


def code(number: int, label: int, seed: int, t: int) -> int:
    """The grey that :class:`Painter` gives a frame."""
    return (5 * number + 89 * label + 29 * seed + t) % 256


class Made(NamedTuple):
    video: Tensor


class Painter:
    """Stands for a model: the grey of a frame tells its clip, class, seed and time."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.class_names, self.step = experiment, NAMES, 17
        self.generators = [nn.Linear(2, 2)]
        self.size, self.frames = experiment.size, experiment.levels[-1].frames
        self.truncations: list[Truncation] = []
        self.asked: list[int] = []

    def sampler(
        self, statistics: StandingStatisticsSpec, window: None, replicas: Replicas = Replicas()
    ) -> "Painter":
        return self

    def _video(self, clips: list[list[int]]) -> Tensor:
        made = np.stack([painted(codes, self.size) for codes in clips])
        return torch.from_numpy(made).permute(0, 1, 4, 2, 3) / 127.5 - 1

    def sample(
        self, numbers: Sequence[int], labels: Sequence[int], seed: int, truncation: Truncation
    ) -> Tensor:
        self.truncations.append(truncation)
        both = zip(numbers, labels, strict=True)
        return self._video([[code(n, label, seed, t) for t in range(self.frames)] for n, label in both])

    def predict(
        self, first: Tensor, numbers: Sequence[int], labels: Sequence[int], seed: int, truncation: Truncation
    ) -> Made:
        """A future is as bright as the last given frame, and 20 and its number more, modulo 256."""
        assert first.shape[1] == self.experiment.levels[0].context_frames
        self.asked += labels
        last = ((first[:, -1, 0, 0, 0] + 1) * 127.5).round().int().tolist()
        both = zip(numbers, last, strict=True)
        return Made(
            self._video(
                [[(20 + given + n + 29 * seed + t) % 256 for t in range(self.frames)] for n, given in both]
            )
        )


class Codes(Features):
    """The greys of a clip's frames."""

    truth: bool = False

    @property
    def needs_truth(self) -> bool:
        return self.truth

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> dict[str, Any]:
            found = {"codes": batch.videos[:, :, 0, 0, 0].astype(np.int64)}
            return found if batch.truth is None else found | {"truth": batch.truth[:, :, 0, 0, 0]}

        return Extractor(rows, {}, self)


class Listing(Metric):
    """The rows themselves; the number is their mean."""

    real: bool = True
    futures: int = 1

    @property
    def needs_real(self) -> bool:
        return self.real

    def dimension(self, fake: Table) -> int:
        return 2

    def against(self, real: Table | None) -> Scorer:
        def score(fake: Table) -> Score:
            tables = {"fake": fake, "real": real}
            values: dict[str, Any] = {}
            for name, table in tables.items():
                if table is not None:
                    values[name] = table.get("codes").tolist()
                    values[f"{name}_labels"] = [table.classes[label] for label in table.labels.tolist()]
            if "truth" in fake.rows:
                values["truth"] = fake.get("truth").tolist()
            return Score(float(fake.get("codes").mean()), values)

        return score


def listed(evaluated: Evaluated, real: Dataset | None, protocol: Protocol) -> Result:
    (result,) = evaluate_by(evaluated, real, {"listing": protocol})
    return result


def of_model(experiment: Experiment) -> ModelSamples:
    painter: Any = Painter(experiment)
    return ModelSamples(experiment, NAMES, lambda: painter)


def shuffled(count: int, seed: int) -> list[int]:
    words = np.random.PCG64(derive(seed, "evaluation order")).random_raw(count)
    return sorted(range(count), key=lambda index: words[index])


@pytest.mark.parametrize("asked", [(), ("c", "a")])
def test_samples_of_a_model(asked: tuple[str, ...]) -> None:
    """More clips than are read at once; classes alternate; real clips of the same classes, in an order by the seed."""
    data, frames = Numbered(DEMO.size), 3
    protocol = Protocol(
        metric=Listing(),
        features=Codes(),
        real=Draw(shuffled=True, count=5),
        clips=40,
        runs=2,
        seed=3,
        source=ClipForm(frames=frames, stride=2, classes=asked),
    )
    samples = of_model(DEMO)
    result = listed(samples, data, protocol)
    names = asked or NAMES
    labels = [NAMES.index(names[n % len(names)]) for n in range(40)]
    for run, value in enumerate(result.per_run):
        codes = [[code(n, labels[n], 3 + run, t) for t in range(frames)] for n in range(40)]
        assert value == pytest.approx(np.mean(codes))
        assert run or result.values["fake"] == codes
    assert result.values["fake_labels"] == [NAMES[label] for label in labels]
    order = [index for index in shuffled(12, 3) if NAMES[index % 3] in names][:5]
    assert result.values["real"] == [[16 * index + 2 * t for t in range(frames)] for index in order]
    assert result.values["real_labels"] == [NAMES[index % 3] for index in order]
    assert result.counts == {"evaluated": 40, "real": 5}
    assert result.settings.source == ClipForm(
        frames=frames,
        whole=DEMO.levels[0].frames,
        stride=2,
        size=DEMO.size,
        classes=asked,
        real_codec="none",
        fake_codec="none",
    )
    assert result.step == 17
    assert result.deviation is not None
    assert result.deviation == (np.std(result.per_run, ddof=1), "runs", 2)


def test_noise_is_drawn_as_the_protocol_says() -> None:
    samples = of_model(DEMO)
    for truncation in (Scaled(sigma=0.5), Threshold(limit=1.0)):
        protocol = Protocol(
            metric=Listing(real=False), features=Codes(), clips=2, sampling=Sampling(truncation=truncation)
        )
        listed(samples, None, protocol)
        painter: Any = samples.model
        assert painter.truncations[-1] == truncation


@pytest.mark.parametrize("in_front", [True, False])
def test_continuations_of_a_model(in_front: bool) -> None:
    """Real clips in turns, as many as the draw gives; against the same clips, seen from their first frames."""
    context, made = PREDICTING.levels[0].context_frames, PREDICTING.levels[0].frames
    data = Numbered(PREDICTING.size, 4)
    protocol = Protocol(
        metric=Listing(),
        features=Codes(),
        real=Draw(count=3),
        clips=7,
        sampling=Sampling(given_frames=in_front),
        seed=1,
        source=ClipForm(stride=1),
    )
    result = listed(of_model(PREDICTING), data, protocol)
    expected = []
    for n in range(7):
        given = [16 * (n % 3) + t for t in range(context)]
        future = [(20 + given[-1] + n + 29 + t) % 256 for t in range(made)]
        expected.append(given + future if in_front else future)
    assert result.values["fake"] == expected
    assert result.values["fake_labels"] == [NAMES[n % 3] for n in range(7)]
    frames = context + made if in_front else made
    assert result.values["real"] == [[16 * index + t for t in range(frames)] for index in range(3)]
    assert result.settings.source.frames == frames
    with pytest.raises(UserError, match=f"this model makes {frames}: choose --frames {frames}"):
        listed(of_model(PREDICTING), data, protocol.replace(source=ClipForm(frames=frames + 1)))


class Renamed(Numbered):
    """The same clips, whose classes are called otherwise."""

    names = ("b", "c", "a")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.names


def test_continuations_are_asked_for_by_the_classes_of_what_is_continued() -> None:
    """By name, whatever their numbers; a model without classes is asked for none."""
    data = Renamed(PREDICTING.size, 6)
    protocol = Protocol(metric=Listing(), features=Codes(), real=Draw(), clips=6, source=ClipForm(stride=1))
    for experiment, expected in ((PREDICTING, [0] * 6), (CONDITIONAL, [1, 2, 0, 1, 2, 0])):
        samples = of_model(experiment)
        result = listed(samples, data, protocol)
        painter: Any = samples.model
        assert painter.asked == expected
        assert result.settings.sampling is not None
        assert result.settings.sampling.classes == (
            "in turns" if experiment is PREDICTING else "of the given clips"
        )
        assert result.values["fake_labels"] == ["b", "c", "a"] * 2
    # Some of them: only clips of these are continued, and compared with.
    samples = of_model(CONDITIONAL)
    result = listed(samples, data, protocol.replace(clips=4, source=ClipForm(stride=1, classes=("a", "b"))))
    painter = samples.model
    assert painter.asked == [1, 0, 1, 0]
    assert set(result.values["real_labels"]) == {"a", "b"}
    data.names = ("b", "c", "other")
    with pytest.raises(UserError, match="was not trained on other"):
        listed(of_model(CONDITIONAL), data, protocol)


def test_futures_stand_beside_what_followed() -> None:
    """Three of each of as many real clips as are asked for, in the order of the draw."""
    context, made = PREDICTING.levels[0].context_frames, PREDICTING.levels[0].frames
    protocol = Protocol(
        metric=Listing(real=False, futures=3),
        features=Codes(truth=True),
        real=Draw(shuffled=True),
        clips=2,
        sampling=Sampling(given_frames=False),
        seed=4,
        source=ClipForm(stride=1),
    )
    result = listed(of_model(PREDICTING), Numbered(PREDICTING.size, 6), protocol)
    order = [index for index in shuffled(6, 4)[:2] for _ in range(3)]
    followed = [[16 * index + context + t for t in range(made)] for index in order]
    assert result.values["truth"] == followed
    last = [16 * index + context - 1 for index in order]
    assert result.values["fake"] == [
        [(20 + given + n + 29 * 4 + t) % 256 for t in range(made)] for n, given in enumerate(last)
    ]
    assert result.counts == {"evaluated": 2, "real": None}
    # Fewer real clips than are asked for: as many as there are.
    few = listed(of_model(PREDICTING), Numbered(PREDICTING.size, 2), protocol.replace(clips=5))
    assert few.settings.clips == few.counts["evaluated"] == 2
    assert [text for text in few.warnings if text.startswith("only")] == [
        "only 2 clips were evaluated; the protocol asks for 5"
    ]
    # Resamples keep the futures of a clip together.
    values = []
    for number in range(20):
        rng = np.random.Generator(np.random.PCG64(derive(4, "bootstrap", number)))
        chosen = [3 * clip + future for clip in rng.integers(0, 2, 2) for future in range(3)]
        values.append(np.mean([result.values["fake"][row] for row in chosen]))
    assert result.deviation is not None
    assert result.deviation == (pytest.approx(np.std(values, ddof=1)), "bootstrap", 20)


def test_the_copy_baseline() -> None:
    context, made = PREDICTING.levels[0].context_frames, PREDICTING.levels[0].frames
    copies = CopyBaseline(PREDICTING, NAMES, Path("runs/x"))
    protocol = Protocol(
        metric=Listing(), features=Codes(), real=Draw(count=3), clips=5, runs=4, source=ClipForm(stride=1)
    )
    result = listed(copies, Numbered(PREDICTING.size), protocol)
    given = [[16 * (n % 3) + t for t in range(context)] for n in range(5)]
    assert result.values["fake"] == [first + [first[-1]] * made for first in given]
    assert result.evaluated == {"run": "runs/x", "copies": context}
    assert (result.step, result.settings.sampling, result.settings.runs) == (None, None, 1)
    assert copies.adapted(protocol.replace(metric=BestFuture(), real=None)).metric == BestFuture(futures=1)
    with pytest.raises(UserError, match="given none"):
        listed(CopyBaseline(DEMO, NAMES, None), Numbered(DEMO.size), protocol)


def videos(count: int, frames: int = 6, size: int = 8) -> ArrayClips:
    return ArrayClips(
        np.stack([painted([100 + 7 * i + t for t in range(frames)], size) for i in range(count)])
    )


def test_finished_videos() -> None:
    """Some of them, drawn by the seed, from their first frames, beside real ones at the stride that is asked for."""
    protocol = Protocol(
        metric=Listing(),
        features=Codes(),
        real=Draw(shuffled=True, random_start=True, drop_short=True),
        clips=4,
        runs=3,
        seed=2,
        source=ClipForm(frames=4, stride=3),
    )
    result = listed(FinishedVideos(videos(6)), Numbered(8, 9, (12, 9)), protocol)
    assert result.values["fake"] == [[100 + 7 * i + t for t in range(4)] for i in shuffled(6, 2)[:4]]
    assert "4 of the 6 evaluated videos were measured, classes in turns" in result.warnings[0]
    assert (result.settings.source.frames, result.settings.source.whole) == (4, 6)
    # Clips of nine frames have no room for four at a stride of three.
    order = [index for index in shuffled(9, 2) if index % 2 == 0]
    starts = [derive(2, "evaluation start", index) % 3 for index in order]
    assert result.values["real"] == [
        [16 * index + start + 3 * t for t in range(4)] for index, start in zip(order, starts, strict=True)
    ]
    assert set(starts) == {0, 1, 2}
    assert result.real is not None
    assert (result.real["left_out"], result.real["drawn_at_random"]) == (4, True)
    assert (result.settings.runs, result.settings.clips, result.settings.sampling) == (1, 4, None)
    with pytest.raises(UserError, match="clip 1 cannot be measured: 9 frames, needs 10"):
        listed(FinishedVideos(videos(6)), Numbered(8, 9, (12, 9)), protocol.replace(real=Draw()))


class Sorted(ArrayClips):
    """Eight videos of class a, then four of b, then one of c."""

    classes = NAMES

    def labels(self) -> NDArray[np.int64]:
        return np.repeat([0, 1, 2], [8, 4, 1])


def test_fewer_videos_than_there_are_take_the_classes_in_turns() -> None:
    """Each class has as many as it can, drawn by the seed: not the first folders alone."""
    data = Sorted(np.stack([painted([10 * i, 0], 8) for i in range(13)]))
    protocol = Protocol(metric=Listing(real=False), features=Codes(), seed=5)
    for count, expected in ((3, [1, 1, 1]), (8, [4, 3, 1]), (13, [8, 4, 1])):
        result = listed(FinishedVideos(data), None, protocol.replace(clips=count))
        chosen = [row[0] // 10 for row in result.values["fake"]]
        assert len(set(chosen)) == count
        assert np.bincount(data.labels()[chosen]).tolist() == expected
    # All of them stand in order of their names.
    assert chosen == list(range(13))
    orders = {tuple(order_of(data, Draw(shuffled=True, in_turns=True), seed)[:3]) for seed in range(9)}
    assert len(orders) > 2
    # Real clips stay as frequent as they are.
    assert order_of(data, Draw(shuffled=True), 5) == shuffled(13, 5)


def test_finished_futures_are_paired_by_their_order() -> None:
    protocol = Protocol(
        metric=Listing(real=False, futures=2),
        features=Codes(truth=True),
        real=Draw(shuffled=True, drop_short=True),
        clips=50,
        sampling=Sampling(given_frames=False),
    )
    result = listed(FinishedVideos(videos(8)), Numbered(8, 6), protocol)
    assert result.values["fake"] == [[100 + 7 * i + t for t in range(6)] for i in range(8)]
    assert result.values["truth"] == [[16 * (i // 2) + t for t in range(6)] for i in range(8)]
    assert (result.counts["evaluated"], result.settings.clips) == (4, 4)
    # Nothing was shuffled, whatever the protocol says of others; and what was not looked at is said.
    assert result.settings.real == Draw(count=4)
    assert result.warnings[:1] == ("the first 4 of 6 real videos by name were measured",)
    few = listed(FinishedVideos(videos(8)), Numbered(8, 6), protocol.replace(clips=3))
    assert "6 of the 8 evaluated videos were measured, the first by name" in few.warnings
    with pytest.raises(UserError, match="2 futures of each of 3 real clips are 6 videos, not 8"):
        listed(FinishedVideos(videos(8)), Numbered(8, 3), protocol)


def test_two_halves_of_the_real_clips_share_none() -> None:
    protocol = Protocol(metric=Listing(), features=Codes(), real=Draw(), seed=6, source=ClipForm(frames=2))
    words = np.random.PCG64(derive(6, "two halves")).random_raw(9)
    order = sorted(range(9), key=lambda index: words[index])
    for fakes, each in ((3, 3), (7, 4)):
        result = listed(FinishedVideos(videos(fakes)), Numbered(8, 9), protocol)
        other = [16 * index + t for index in order[each : 2 * each] for t in range(2)]
        assert result.two_real_halves == (np.mean(other), each)
    assert listed(FinishedVideos(videos(7)), Numbered(8, 3), protocol).two_real_halves is None


def test_warnings_at_their_limits() -> None:
    def said(fake: int, real: int | None, floor: float | None, wanted: int = 10) -> list[str]:
        known = None if floor is None else Floor(floor, 5)
        measured = Measured(Score(-2.0, {}), None, [], known, 8, fake, real, [])
        return [text.split(",")[0].split(":")[0] for text in warnings_of(measured, Listing(), wanted)]

    few, rank = (
        "only 9 clips were evaluated; the protocol asks for 10",
        "8 clips are too few for 8 dimensions",
    )
    assert said(10, 9, 0.2) == []
    assert said(10, None, None) == []
    assert said(10, 9, 0.21) == ["bias"]  # more than a tenth of the number
    assert said(9, 9, 0.0) == [few.split(",")[0]]
    assert said(10, 8, 0.0) == [rank, "bias"]
    assert said(8, 9, None, 8) == [
        rank,
        "the bias cannot be estimated",
    ]
    measured = Measured(Score(1.0, {}), None, [], None, None, 4999, None, [])
    (text,) = warnings_of(measured, InceptionScore(splits=10), 100)
    assert text.startswith("an Inception Score of 4999 clips in 10 parts is biased")
    assert warnings_of(measured._replace(fake=5000), InceptionScore(), 100) == []
    unsure = measured._replace(fake=5000, deviation=Deviation(1.1, "runs", 2))
    assert ["larger than the number" in text for text in warnings_of(unsure, InceptionScore(), 1)] == [True]
    sure = unsure._replace(score=Score(-1.2, {}))
    assert warnings_of(sure, InceptionScore(), 1) == []


def test_windows_of_a_video_are_spread_from_its_first_frame_to_its_last() -> None:
    """First windows of all videos, then second ones; one with room for two places has no third."""
    clips = DataClips(Numbered(8, 2, (10, 5)), WindowSpec(size=8, frames=4), Draw(windows=3), 0)
    found = [int(video[0, 0, 0, 0]) for video in clips.read(range(clips.count)).videos]
    assert found == [0, 16, 3, 17, 6]


def test_everything_that_rows_depend_on_is_in_their_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sets of clips that differ in anything are never kept under one key."""
    data, painter = Numbered(8, 6), Painter(DEMO)
    model: Any = painter
    window = WindowSpec(size=8, frames=4)
    other: Any = Painter(DEMO)
    drawn: list[Clips] = [
        DataClips(data, window, Draw(), 0),
        DataClips(data, window, Draw(count=4), 0),
        DataClips(data, window.replace(frames=3), Draw(), 0),
        DataClips(data, window.replace(stride=2), Draw(), 0),
        DataClips(data, window, Draw(windows=2), 0),
        DataClips(data, window, Draw(shuffled=True), 0),
        DataClips(data, window, Draw(shuffled=True), 1),
        DataClips(data, window, Draw(random_start=True), 1),
        DataClips(data, window, Draw(), 0, ("a",)),
        DataClips(data, window, Draw(), 0, ("b",)),
        DataClips(Numbered(8, 6, (13,)), window, Draw(), 0),
        GeneratedClips(model, Sampling(), 0, 4, 3),
        GeneratedClips(model, Sampling(), 1, 4, 3),
        GeneratedClips(model, Sampling(), 0, 4, 2),
        GeneratedClips(model, Sampling(truncation=Scaled(sigma=0.5)), 0, 4, 3),
        GeneratedClips(model, Sampling(), 0, 4, 3, only=[0]),
        GeneratedClips(model, Sampling(), 0, 4, 3, only=[1]),
        GeneratedClips(other, Sampling(), 0, 4, 3),
        GeneratedClips(model, Sampling(), 0, 4, 3, given=DataClips(data, window, Draw(), 0)),
        GeneratedClips(model, Sampling(), 0, 4, 3, given=DataClips(data, window, Draw(), 0), futures=2),
        GeneratedClips(model, Sampling(), 0, 4, 3, given=DataClips(data, window, Draw(windows=2), 0)),
    ]
    opened = Codes().open(Resources(), NAMES)
    extractors = [
        opened,
        opened._replace(facts={"sha256": "0"}),
        opened._replace(facts={"sha256": "1"}),
        opened._replace(spec=RandomFeatures()),
    ]
    folders = [folder_of(tmp_path, key_of(clips, opened)) for clips in drawn]
    folders += [folder_of(tmp_path, key_of(drawn[0], each)) for each in extractors[1:]]
    assert len(set(folders)) == len(drawn) + len(extractors) - 1
    changed = tmp_path / "my_features.py"
    for number, text in enumerate(("FIRST = 0", "SECOND = 1")):
        changed.write_text(text)
        monkeypatch.setattr("vidgan.run.directory.file_of", lambda cls: changed)
        monkeypatch.setattr("vidgan.run.directory.code_hash", lambda path: path.read_text())
        folders.append(folder_of(tmp_path, key_of(drawn[0], opened)))
        folders.append(folder_of(tmp_path, key_of(drawn[11], opened)))
        assert len(set(folders)) == len(drawn) + len(extractors) + 1 + 2 * number
    monkeypatch.undo()
    again = DataClips(Numbered(8, 6), window, Draw(), 3)  # a seed that nothing is drawn by
    named = opened._replace(facts={"file": "elsewhere.pt"})
    assert folder_of(tmp_path, key_of(again, named)) == folders[0]


class Counting(Features):
    """The codes, and a record of how many clips were looked at, by name."""

    name: str

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        seen = SEEN.setdefault(self.name, [])

        def rows(batch: EvaluationBatch) -> dict[str, Any]:
            if self.name == "broken":
                raise UserError("broken")
            seen.append(len(batch.videos))
            return {"codes": batch.videos[:, :, 0, 0, 0].astype(np.int64)}

        return Extractor(rows, {}, self)


SEEN: dict[str, list[int]] = {}


@pytest.mark.parametrize("in_folder", [True, False])
def test_nothing_is_done_twice_in_one_call(in_folder: bool, tmp_path: Path) -> None:
    """Three protocols of the same clips, two by the same features: a clip is made once, and seen once by each."""
    SEEN.clear()
    samples, data = of_model(DEMO), Numbered(DEMO.size)
    painter: Any = samples.model
    read: list[int] = []
    monkeyed = data.read
    data.read = lambda index, *more: (read.append(index), monkeyed(index, *more))[1]  # type: ignore[method-assign]

    def by(name: str, clips: int) -> Protocol:
        form = ClipForm(frames=3, stride=2)
        return Protocol(metric=Listing(), features=Counting(name=name), real=Draw(), clips=clips, source=form)

    asked = {"few": by("one", 40), "many": by("one", 70), "other": by("two", 64)}
    work = Work(tmp_path if in_folder else None)
    results = evaluate_by(samples, data, asked, work=work)
    # Parts of 32: those of 40 and of 70 clips share one, and 64 have two.
    assert len(painter.truncations) == 2 + 2 + 0
    assert SEEN["one"] == [12, 32, 8, 32, 6]
    assert sum(SEEN["two"]) == 12 + 64
    assert sorted(read) == list(range(12))
    for name, result in zip(asked, results, strict=True):
        alone = listed(of_model(DEMO), Numbered(DEMO.size), asked[name])
        assert (result.value, result.values, result.deviation) == (alone.value, alone.values, alone.deviation)


def test_what_is_finished_is_told_before_what_fails() -> None:
    told: list[str] = []
    protocols = {
        name: Protocol(metric=Listing(real=False), features=Counting(name=name), clips=3, runs=1, seed=seed)
        for seed, name in enumerate(("whole", "broken"))
    }
    with pytest.raises(UserError, match="broken"):
        evaluate_by(of_model(DEMO), None, protocols, tell=lambda result: told.append(result.protocol))
    assert told == ["whole"]


def test_too_few_clips_are_refused_before_any_is_made() -> None:
    for metric, clips, words in (
        (InceptionScore(splits=10), 8, "10 clips or more, and there are 8"),
        (SpectralGap(), 2, "3 clips or more"),
        (PrecisionRecall(), 5, "6 clips or more"),
        (FrechetDistance(), 1, "2 clips or more"),
    ):
        samples = of_model(DEMO)
        real = Draw() if metric.needs_real else None
        protocol = Protocol(metric=metric, features=Codes(), real=real, clips=clips)
        with pytest.raises(UserError, match=words):
            listed(samples, Numbered(DEMO.size), protocol.replace(source=ClipForm(stride=1)))
        painter: Any = samples.model
        assert painter.truncations == []


def test_parts_that_are_kept_are_known_by_their_names(tmp_path: Path) -> None:
    """Nothing is opened for the others, of which there may be millions."""
    kept, spans = Kept(tmp_path), [range(32 * i, 32 * i + 32) for i in range(4)]
    kept.save(spans[1], {"codes": np.zeros(32), "labels": np.zeros(32)})
    kept.save(spans[2], {"codes": np.zeros(31), "labels": np.zeros(32)})  # damaged
    opened: list[range] = []

    class Counted(Kept):
        def load(self, numbers: range) -> Any:
            opened.append(numbers)
            return super().load(numbers)

    for folder in (kept, Counted(tmp_path)):
        assert folder.missing(spans) == [spans[0], spans[2], spans[3]]
    assert opened == spans[1:3]
    memory = Kept(None)
    memory.save(spans[3], {"labels": np.zeros(32)})
    assert memory.missing(spans) == spans[:3]
