"""``vidgan.evaluate``: the number that the command writes, of anything, and nothing written unless it is asked for."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vidgan
from commands import vidgan as command
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.evaluation import adjusted, protocol
from vidgan.evaluation.features.network import RandomConv3d
from vidgan.evaluation.metrics.features import kernel_distance, precision_recall
from vidgan.evaluation.protocols.base import (
    Draw,
    EvaluationBatch,
    Extractor,
    Features,
    Metric,
    Protocol,
    Resources,
    Score,
    Scorer,
    Table,
)
from vidgan.evaluation.protocols.metrics import FrechetDistance, KernelDistance, PrecisionRecall
from vidgan.evaluation.protocols.networks import RandomFeatures
from vidgan.run.logs import read_lines
from vidgan.sample.video_io import write_clip
from vidgan.seeds import derive

Capture = pytest.CaptureFixture[str]
Videos = np.ndarray[Any, np.dtype[np.uint8]]
Rows = np.ndarray[Any, np.dtype[np.float64]]


def clips(count: int, seed: int, size: int = 16, frames: int = 5) -> Videos:
    made = SyntheticDataset(SyntheticSpec(size=size, frames=frames, clips=count, seed=seed))
    return np.stack([made.read(i, 0, frames) for i in range(count)])


FAKE, REAL = clips(30, 0), clips(41, 1)

evaluate = partial(vidgan.evaluate, protocol="frechet-random")
"""by a distance that is quick"""


def trained(out: Path, preset: str) -> Path:
    from vidgan.cli import main

    words = ["train", preset, "--tiny", "--data", "synthetic", "--workers", "0", "--steps", "1"]
    assert main([*words, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("function") / "run", "demo")


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below ``folder``, its bytes and when it was written."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def lasting(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what differs from one call to the next."""
    return {name: value for name, value in line.items() if name not in ("when", "seconds")}


@pytest.mark.slow
def test_a_runs_number_is_the_commands_and_nothing_is_written(
    run: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before standing statistics are kept, and after."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    settings: dict[str, Any] = {"clips": 6, "real_clips": 20, "frames": 3, "classes": ["disc-left", "0"]}
    settings |= {"runs": 2, "seed": 4}
    for file in (run / "statistics").iterdir():
        file.unlink()
    before = state(run.parent)
    result = evaluate(run, **settings)
    assert state(run.parent) == before
    assert not (tmp_path / "user").exists()
    options = ("--clips", 6, "--real-clips", 20, "--frames", 3, "--classes", "disc-left", "0")
    options += ("--runs", 2, "--seed", 4)
    answer = command(capsys, "evaluate", run, "--protocol", "frechet-random", *options)
    assert answer.status == 0, answer.err
    (line,) = read_lines(run / "metrics.jsonl")
    assert lasting(result.line()) == lasting(line)
    assert list(result.line()) == list(line)
    assert result.value == line["value"] == np.mean(result.per_run)
    assert result.deviation is not None
    assert result.settings.source.classes == ("disc-left", "disc-right")
    before = state(run.parent)
    assert evaluate(str(run), **settings).value == line["value"]
    assert state(run.parent) == before


@pytest.mark.slow
def test_a_model_is_evaluated_like_its_run(run: Path, tmp_path: Path) -> None:
    from vidgan.run.data import data_of_run
    from vidgan.run.directory import RunDirectory

    data = data_of_run(RunDirectory.open(run), None)
    of_run = vidgan.evaluate(run, protocol="oracle-accuracy", clips=16)
    model = vidgan.load(run)
    of_model = vidgan.evaluate(model, data, "oracle-accuracy", clips=16)
    assert (of_model.value, of_model.table) == (of_run.value, of_run.table)
    assert of_model.evaluated == {"run": None, "weights": of_run.evaluated["weights"]}
    assert of_model.step == of_run.step == 1
    model.save(tmp_path / "saved")
    before = state(tmp_path)
    saved = vidgan.evaluate(tmp_path / "saved", data, "oracle-accuracy", clips=16)
    assert (saved.value, saved.table) == (of_run.value, of_run.table)
    assert state(tmp_path) == before
    for place in (run, tmp_path / "saved"):
        kept = vidgan.evaluate(place, data, "pixel-statistics", clips=4, statistics_sigma=0.5)
        assert kept.settings.sampling is not None
        assert kept.settings.sampling.statistics is not None
        assert kept.settings.sampling.statistics.sigma == 0.5
    with pytest.raises(UserError, match="statistics_sigma when you load it"):
        vidgan.evaluate(model, data, "pixel-statistics", statistics_sigma=0.5)
    raw = vidgan.evaluate(run, protocol="pixel-statistics", clips=4, raw=True)
    averaged = vidgan.evaluate(run, protocol="pixel-statistics", clips=4)
    assert raw.value != averaged.value
    assert raw.settings.sampling is not None
    assert not raw.settings.sampling.averaged


@pytest.mark.slow
def test_a_run_that_continues_videos(tmp_path: Path, capsys: Capture) -> None:
    """No standing statistics are kept yet: they are taken of its own data, in memory."""
    run = trained(tmp_path / "run", "trivd-gan-fp-k600-16x64")
    for file in (run / "statistics").iterdir():
        file.unlink()
    before = state(tmp_path)
    result = evaluate(run, clips=3, real_clips=7)
    assert state(tmp_path) == before
    answer = command(capsys, "evaluate", run, "--protocol", "frechet-random", "--clips", 3, "--real-clips", 7)
    assert answer.status == 0, answer.err
    assert lasting(result.line()) == lasting(read_lines(run / "metrics.jsonl")[0])


def random_features(videos: Videos) -> Rows:
    """Clip by clip, in float64."""
    network = RandomConv3d().double()
    video = torch.from_numpy(videos).permute(0, 1, 4, 2, 3).double() / 127.5 - 1
    return np.stack([network(clip[None])[0].numpy() for clip in video])


def frechet(a: Rows, b: Rows) -> float:
    """By the square root of a matrix."""
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(s1)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ s2 @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * trace)


def test_arrays_by_an_independent_computation() -> None:
    """The number, its deviation over resamples and what two halves of the real clips are apart."""
    result = evaluate(FAKE, REAL, seed=5)
    fake, real = random_features(FAKE), random_features(REAL)
    assert result.value == pytest.approx(frechet(fake, real), rel=1e-3)
    values = []
    for number in range(20):
        rng = np.random.Generator(np.random.PCG64(derive(5, "bootstrap", number)))
        values.append(frechet(fake[rng.integers(0, 30, 30)], real))
    assert result.deviation is not None
    assert result.deviation.value == pytest.approx(np.std(values, ddof=1), rel=1e-3)
    assert result.deviation[1:] == ("bootstrap", 20)
    # The real clips are drawn in an order by the seed, and so are the halves of what was drawn.
    drawn, halves = (
        np.argsort(np.random.PCG64(derive(5, purpose)).random_raw(41), kind="stable")
        for purpose in ("evaluation order", "two halves")
    )
    order = drawn[halves]
    assert result.two_real_halves is not None
    assert result.two_real_halves.clips == 20
    apart = frechet(real[order[:20]], real[order[20:40]])
    assert result.two_real_halves.value == pytest.approx(apart, rel=1e-3)
    assert (result.step, result.counts, len(result.per_run)) == (None, {"evaluated": 30, "real": 41}, 1)
    assert [text.split()[0] for text in result.warnings] == ["only", "30", "bias:"]


def test_built_in_clips_are_as_large_and_long_as_the_evaluated_ones() -> None:
    result = evaluate(FAKE, "synthetic", real_clips=20, frames=2, stride=4)
    assert result.data == SyntheticDataset(SyntheticSpec(size=16, frames=8)).fingerprint


def test_pixel_statistics_by_hand() -> None:
    dark = FAKE.copy()
    dark[:6] //= 16
    result = vidgan.evaluate(dark, REAL[:20], "pixel-statistics")
    fake, real = (x / 127.5 - 1 for x in (dark, REAL[:20]))
    gaps = [abs(fake[..., c].mean() - real[..., c].mean()) for c in range(3)]
    assert result.value == pytest.approx(max(gaps))
    assert result.values["fake_mean"] == pytest.approx([fake[..., c].mean() for c in range(3)])
    assert result.values["real_mean"] == pytest.approx([real[..., c].mean() for c in range(3)])
    assert result.values["fake_dark"] == np.mean([clip.mean() < -0.9 for clip in fake]) > 0
    assert result.values["real_dark"] == np.mean([clip.mean() < -0.9 for clip in real])


def test_the_forms_of_videos_give_one_number(tmp_path: Path) -> None:
    for name, videos in (("fake", FAKE), ("real", REAL)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / f"{name}.npy", videos)
        for number, video in enumerate(videos):
            write_clip(tmp_path / name / f"{number:03d}.npy", video, 8.0)
    before = state(tmp_path)
    data = SyntheticDataset(SyntheticSpec(size=16, frames=5, clips=41, seed=1))
    results = [
        evaluate(FAKE, REAL),
        evaluate(tmp_path / "fake", str(tmp_path / "real")),
        evaluate(tmp_path / "fake.npy", tmp_path / "real.npy"),
        evaluate(FAKE, data),
    ]
    assert len({result.value for result in results}) == 1
    pairs = [(video, 0) for video in REAL]  # a torch dataset of one's own
    assert evaluate(FAKE, pairs).value == results[0].value
    assert state(tmp_path) == before
    assert results[0].evaluated["files"] == results[0].real["source"] == "array"  # type: ignore[index]
    changed = FAKE.copy()
    changed[3, 2, 1, 1, 0] ^= 1
    prints = {evaluate(x, REAL, clips=2).evaluated["fingerprint"] for x in (FAKE, FAKE.copy(), changed)}
    assert len(prints) == 2


def test_a_log_and_a_cache_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    log, cache = tmp_path / "results.jsonl", tmp_path / "cache"
    result = evaluate(FAKE, REAL, log=log, cache=cache)
    assert read_lines(log) == [result.line()]
    # Those of real clips are kept for the next time, those of evaluated ones are not.
    (folder,) = cache.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == [
        "key.json",
        "rows-00000000-32.npz",
        "rows-00000032-9.npz",
    ]
    kept = state(cache)
    assert evaluate(FAKE, REAL, cache=str(cache)).value == result.value
    assert state(cache) == kept


def test_a_protocol_of_ones_own() -> None:
    shuffled = Draw(shuffled=True, drop_short=True)
    fake, real = random_features(FAKE), random_features(REAL)
    kernel = Protocol(metric=KernelDistance(), features=RandomFeatures(), real=shuffled)
    result = vidgan.evaluate(FAKE, REAL, kernel)
    assert result.protocol == "own"
    assert result.value == pytest.approx(kernel_distance(real, fake), rel=1e-4)
    assert result.two_real_halves is None
    manifold = Protocol(metric=PrecisionRecall(k=3), features=RandomFeatures(), real=shuffled)
    result = vidgan.evaluate(FAKE, REAL, manifold, name="precision")
    assert result.protocol == "precision"
    assert result.values == pytest.approx(precision_recall(real, fake, k=3)._asdict())
    assert result.value == result.values["precision"]
    biased = protocol("frechet-random").replace(metric=FrechetDistance(biased=True))
    assert vidgan.evaluate(FAKE, REAL, biased).value != vidgan.evaluate(FAKE, REAL).value


class Brightness(Features):
    """Mean of a clip: ``bright`` (1)."""

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> dict[str, Any]:
            return {"bright": batch.videos.mean((1, 2, 3, 4))[:, None]}

        return Extractor(rows, {}, self)


class MeanGap(Metric):
    """Difference of means."""

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        one = float(real.get("bright").mean())
        return lambda fake: Score(float(fake.get("bright").mean()) - one, {})


def test_features_and_a_metric_of_ones_own() -> None:
    own = Protocol(metric=MeanGap(), features=Brightness(), real=Draw())
    result = vidgan.evaluate(FAKE, REAL, own)
    assert result.value == pytest.approx(FAKE.mean() - REAL.mean())
    assert result.line()["settings"]["metric"] == {"is": "test_evaluate_function.py:MeanGap"}


def test_settings_are_changed_and_recorded() -> None:
    result = vidgan.evaluate(FAKE, REAL, clips=7, real_clips=9, frames=3, size=12, seed=3)
    source, draw = result.settings.source, result.settings.real
    assert draw is not None
    assert (result.settings.clips, draw.count, source.frames, source.size) == (7, 9, 3, 12)
    assert result.settings.seed == 3
    changed = adjusted(
        protocol("ssim-best-of-100"), futures=3, clips=4, windows=2, stride=2, runs=5, averaged=False
    )
    assert changed.metric.futures == 3
    assert changed.real is not None
    assert changed.sampling is not None
    assert (changed.clips, changed.real.windows, changed.source.stride, changed.runs) == (4, 2, 2, 5)
    assert not changed.sampling.averaged
    assert adjusted(protocol("psd"), positions=[1, 2]).features == protocol("psd").features.replace(
        positions=(1, 2)
    )
    # What a protocol does not have stays away.
    assert adjusted(protocol("is-k400"), futures=3, positions=[1], real_clips=5) == protocol("is-k400")
    assert adjusted(protocol("psd")) == protocol("psd")


def test_what_does_not_fit_is_said_in_one_line(run: Path, tmp_path: Path) -> None:
    def refused(words: str, *args: Any, **settings: Any) -> None:
        with pytest.raises(UserError, match=words) as caught:
            vidgan.evaluate(*args, **settings)
        assert "\n" not in str(caught.value)

    refused("real videos", FAKE)
    refused("did you mean 'frechet-random'", FAKE, REAL, "frechet-ramdom")
    refused("weights of I3D", FAKE, REAL, "fvd-reference")
    refused("folder with those alone", FAKE, REAL, classes=["a"])
    refused("finished videos", FAKE, REAL, checkpoint=3)
    refused("finished videos", FAKE, REAL, raw=True)
    refused("finished videos", FAKE, REAL, runs=2)
    refused("uint8", FAKE / 255, REAL)
    refused("uint8", FAKE[0], REAL)
    refused("at least 1", FAKE, REAL, clips=0)
    refused("no folder", FAKE, REAL, log=tmp_path / "no" / "x.jsonl")
    refused("nothing at", tmp_path / "none", REAL)
    refused("no class 'disc-lift'", run, classes=["disc-lift"])
    refused("no checkpoint of step 7", run, checkpoint=7)
    refused("leave out checkpoint", vidgan.load(run), REAL, checkpoint=1)


def test_a_tensor_is_told_what_to_be() -> None:
    with pytest.raises(UserError, match=r"uint8 array \(N, T, H, W, 3\), not a Tensor"):
        vidgan.evaluate(torch.zeros(4, 5, 3, 16, 16), REAL, "frechet-random")  # type: ignore[arg-type]
