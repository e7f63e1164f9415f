"""Interpolations, longer videos, and the verbs that make them."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import catalog
from commands import require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.models.cascade import below_of
from vidgan.nn.layers import OrthogonalSpec, initialise
from vidgan.presets import preset
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_lines
from vidgan.sample.model import Model, unrolled
from vidgan.sample.noise import Scaled, latents
from vidgan.sample.sampler import End
from vidgan.sample.video_io import columns_of_time
from vidgan.seeds import stream

Capture = pytest.CaptureFixture[str]


def untrained(experiment: Experiment) -> Model:
    """The levels of ``experiment`` with fresh weights."""
    generators = []
    for index, spec in enumerate(experiment.levels):
        below = below_of(experiment.levels, index)
        generator = spec.build_generator(experiment.classes, below)
        initialise(generator, OrthogonalSpec(), stream(1, "weights", index))
        generators.append(generator.requires_grad_(False))
    return Model(experiment, generators, ("a", "b", "c"), 0, [1] * experiment.classes)


@functools.cache
def model() -> Model:
    return untrained(catalog.experiments()["demo"])


def shown(z: Tensor, embedded: Tensor) -> Tensor:
    """The video of one latent and one class embedding."""
    (level,) = model().sampler().levels
    with torch.no_grad():
        made = level.generator.generate(z[None], embedded[None], level.spec.frames, level.statistics)
    return made[0]


@pytest.mark.parametrize("last", [End(9, 2), End(4, 0), End(9, 0)], ids=["latent", "class", "both"])
def test_points_lie_on_the_line_between_both_ends(last: End) -> None:
    """Seven points, more than fit into a pass of three clips; noise truncated."""
    first, noise, seed = End(4, 2), Scaled(sigma=0.5), 11
    sampler = model().sampler()
    made = sampler.interpolate(first, last, 7, seed, noise)
    (level,) = model().sampler().levels
    z0, z1 = latents(seed, 0, [first.number, last.number], level.spec.generator.latent, noise)
    e0, e1 = (level.generator.embed_label(torch.tensor([end.label]))[0] for end in (first, last))
    assert len(made) == 7
    for i, video in enumerate(made):
        w = i / 6
        torch.testing.assert_close(video, shown((1 - w) * z0 + w * z1, (1 - w) * e0 + w * e1))
    for end, video in ((first, made[0]), (last, made[-1])):
        torch.testing.assert_close(video, sampler.sample([end.number], [end.label], seed, noise)[0])


@pytest.mark.slow
def test_all_levels_of_a_cascade_interpolate() -> None:
    cascade = untrained(catalog.experiments()["ssw-gan-k600-48x128"])
    made = cascade.sampler().interpolate(End(0, 0), End(1, 1), 3, 5)
    ends = cascade.sample(2, seed=5)
    torch.testing.assert_close(made[[0, 2]], ends)
    assert (made[1] - made[0]).abs().max() > 1e-3


def test_strips_show_a_column_per_video_and_time_downwards() -> None:
    """Clark et al. 2019, D.2; pixel (n, t) has the value 10 n + t."""
    values = 10 * np.arange(3)[:, None] + np.arange(7)
    videos = np.broadcast_to(values[:, :, None, None, None], (3, 7, 4, 5, 3)).astype(np.uint8)
    picture = columns_of_time(videos, 4)
    assert picture.shape == (4 * 4 + 3 * 2, 3 * 5 + 2 * 2, 3)
    assert picture[::6, ::7, 0].tolist() == [[0, 10, 20], [2, 12, 22], [4, 14, 24], [6, 16, 26]]
    assert columns_of_time(videos[:, :2], 4)[::6, ::7, 0].tolist() == [[0, 10, 20], [1, 11, 21]]


def test_a_longer_experiment_keeps_the_ratios_of_its_levels() -> None:
    cascade = preset("ssw-gan-k600-48x128")
    assert [level.frames for level in cascade.levels] == [25, 50]
    assert [level.frames for level in unrolled(cascade, 96).levels] == [48, 96]
    assert [level.window for level in unrolled(cascade, 96).levels] == [None, 12]
    assert unrolled(cascade, 50) == cascade
    with pytest.raises(UserError, match="multiple of 2"):
        unrolled(cascade, 51)
    with pytest.raises(UserError, match="at least 12"):
        unrolled(preset("dvd-gan-k600-12x64"), 11)


def test_longer_videos_have_statistics_of_every_step() -> None:
    experiment = catalog.experiments()["demo"]
    trained = experiment.levels[0].frames
    table = model().sampler(trained + 5).levels[0].statistics.table
    assert {len(moments) for moments in table.values()} == {trained + 5}
    assert model().sample(1, frames=trained + 5).shape[1] == trained + 5
    # Steps beyond the trained length have statistics of their own.
    means = table["stages.1.blocks.0.norm1/mean"]
    assert all((means[t] - means[trained - 1]).abs().max() > 1e-6 for t in range(trained, trained + 5))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vidgan.cli import main

    out = tmp_path_factory.mktemp("interpolation") / "run"
    train = ["train", "demo", "--tiny", "--data", "synthetic", "--workers", "0", "--steps", "2"]
    assert main([*train, "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_the_command_writes_videos_and_strips(run: Path, tmp_path: Path, capsys: Capture) -> None:
    common = ("--format", "npy", "--points", 3, "--rows", 2, "--clips", 2)
    cases: tuple[tuple[tuple[str, ...], list[str]], ...] = (
        (("disc-down",), ["00000-disc-down", "00001-disc-down"]),
        (("disc-down", "7"), ["00000-disc-down-square-grow", "00001-disc-down-square-grow"]),
        ((), ["00000-disc-right", "00001-disc-left"]),
    )
    frames = catalog.experiments()["demo"].levels[0].frames
    for i, (classes, names) in enumerate(cases):
        out = tmp_path / str(i)
        chosen = ("--classes", *classes) if classes else ()
        answer = vidgan(capsys, "sample", "--interpolate", run, "--out", out, *common, *chosen)
        assert answer.status == 0, answer.err
        assert sorted(p.stem for p in out.glob("*.npy")) == names
        assert np.load(out / f"{names[0]}.npy").shape == (frames, 24, 3 * 24 + 2 * 2, 3)
        with Image.open(out / f"{names[0]}-strip.png") as strip:
            assert strip.size == (3 * 24 + 2 * 2, 2 * 24 + 2)
    # The first column is what sampling makes of the same seed, number and class.
    sampled = tmp_path / "sampled"
    made = ("--clips", 1, "--classes", "disc-down", "--format", "npy")
    assert vidgan(capsys, "sample", run, "--out", sampled, *made).status == 0
    first = np.load(tmp_path / "0" / "00000-disc-down.npy")[:, :, :24].astype(int)
    assert np.abs(first - np.load(sampled / "00000-disc-down.npy")).max() <= 1


@pytest.mark.slow
def test_sampling_unrolls_to_more_frames(run: Path, tmp_path: Path, capsys: Capture) -> None:
    trained = catalog.experiments()["demo"].levels[0].frames
    tables = set((run / "statistics").iterdir())
    made = ("--clips", 2, "--format", "npy", "--frames", trained + 3)
    answer = vidgan(capsys, "sample", run, "--out", tmp_path / "long", *made)
    assert answer.status == 0, answer.err
    assert all(np.load(path).shape[0] == trained + 3 for path in (tmp_path / "long").glob("*.npy"))
    assert len(set((run / "statistics").iterdir()) - tables) == 1
    # The run itself is as it was.
    again = vidgan(capsys, "sample", run, "--out", tmp_path / "short", *made[:4])
    assert again.status == 0
    assert np.load(next((tmp_path / "short").glob("*.npy"))).shape[0] == trained
    assert [line["step"] for line in read_lines(run / "log.jsonl")] == [1, 2]


@pytest.mark.slow
def test_impossible_options(run: Path, tmp_path: Path, capsys: Capture) -> None:
    for form, options, words in (
        ("--interpolate", ("--points", 1), ("--points", "at least 2")),
        ("--interpolate", ("--clips", 0), ("--clips", "at least 1")),
        ("--interpolate", ("--rows", 0), ("--rows", "at least 1")),
        ("--interpolate", ("--classes", 0, 1, 2), ("--classes", "one class or two")),
        ("--interpolate", ("--classes", "dics-down"), ("did you mean 'disc-down'",)),
        ("--interpolate", ("--format", "avi"), ("unknown format 'avi'",)),
        ("--interpolate", ("--sigma", -1), ("sigma",)),
        ("--interpolate", ("--checkpoint", 7), ("no checkpoint of step 7",)),
        ("--grid", ("--frames", 1), ("frames", "at least")),
        ("--grid", ("--points", 3), ("no option --points",)),
    ):
        answer = vidgan(capsys, "sample", run, form, "--out", tmp_path / "x", *options)
        require_one_line(answer, *words)
        assert not (tmp_path / "x").exists()
