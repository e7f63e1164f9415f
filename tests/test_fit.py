"""Videos that are not square, or larger than what they are compared with: what is seen of them is never left unsaid."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runs
import vidgan as package
from commands import require_one_line, vidgan
from vidgan.data.dataset import Frames
from vidgan.data.raw_videos import ArrayClips
from vidgan.errors import UserError
from vidgan.evaluation import adjusted, protocol
from vidgan.evaluation.evaluated import FinishedVideos, Sides
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.video_io import write_clip

SMOOTH = 12
"""pixels of one colour beside each other, which two programs resize alike"""


def videos(count: int, height: int, width: int, frames: int = 9, seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    small = rng.integers(
        0, 256, (count, frames, -(-height // SMOOTH), -(-width // SMOOTH), 3), dtype=np.uint8
    )
    return small.repeat(SMOOTH, axis=2).repeat(SMOOTH, axis=3)[:, :, :height, :width]


def squashed(clip: Frames, height: int, width: int) -> Frames:
    """Every frame by Pillow's triangle filter."""
    return np.stack(
        [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR)) for f in clip]
    ).astype(int)


def sides(name: str, fake: Frames, real: Frames, fit: str | None = None) -> Sides:
    evaluated = FinishedVideos(ArrayClips(fake))
    return evaluated.sides(name, adjusted(protocol(name), fit=fit), ArrayClips(real, evaluated.videos.size))


def seen(made: Sides) -> tuple[Frames, Frames]:
    """The first clip of both sides, as the network is given it."""
    assert made.real is not None
    return made.fakes(0).read(range(1)).videos[0], made.real.read(range(1)).videos[0]


@pytest.mark.parametrize("name", ["fvd-reference", "is-ucf101-tganv2"])
def test_networks_that_squash_are_given_whole_frames(name: str) -> None:
    fake, real = videos(1, 24, 36, 16), videos(1, 48, 72, 16, seed=1)
    made = FinishedVideos(ArrayClips(fake)).sides(name, protocol(name), ArrayClips(real, 24))
    assert made.protocol.source.fit == "squash"
    assert (made.fakes(0).read(range(1)).videos[0] == fake[0]).all()
    if made.real is not None:
        assert np.abs(made.real.read(range(1)).videos[0] - squashed(real[0], 24, 36)).max() <= 3
    wide = sides("fvd-reference", fake, videos(1, 24, 60, 16, seed=1))
    assert seen(wide)[1].shape[1:3] == (24, 36)  # all of one shape


def test_other_networks_have_to_be_told() -> None:
    fake, real = videos(1, 24, 36), videos(1, 36, 24, seed=1)
    with pytest.raises(UserError, match=r"clip 0 is 36x24 pixels, .*not square.*--fit crop.*--fit squash"):
        sides("frechet-random", fake, real)
    cropped = sides("frechet-random", fake, real, "crop")
    assert cropped.protocol.source.fit == "crop"
    assert (seen(cropped)[0] == fake[0][:, :, 6:30]).all()
    assert (seen(cropped)[1] == real[0][:, 6:30]).all()
    whole = sides("frechet-random", fake, real, "squash")
    for found, given in zip(seen(whole), (fake, real), strict=True):
        assert np.abs(found - squashed(given[0], 24, 24)).max() <= 3
    assert (seen(sides("fvd-reference", fake, real, "crop"))[0] == fake[0][:, :, 6:30]).all()
    square = sides("fvd-reference", videos(1, 24, 24), videos(1, 24, 36, seed=1))
    assert square.protocol.source.fit is None  # nothing had to be decided of the evaluated ones
    assert (seen(square)[1] == videos(1, 24, 36, seed=1)[0][:, :, 6:30]).all()
    with pytest.raises(UserError, match="fit is crop or squash"):
        sides("frechet-random", fake, real, "stretch")


def test_the_command_refuses_and_takes_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, clip in zip(("a", "b"), videos(2, 24, 36), strict=True):
        (tmp_path / "fake").mkdir(exist_ok=True)
        write_clip(tmp_path / "fake" / f"{name}.npy", clip, 8)
    command = ("evaluate", tmp_path / "fake", "--protocol", "pixel-statistics", "--cache", tmp_path / "cache")
    command += ("--real", tmp_path / "fake")
    require_one_line(vidgan(capsys, *command), "a.npy is 36x24 pixels", "--fit crop")
    for fit in ("crop", "squash"):
        assert vidgan(capsys, *command, "--fit", fit).status == 0
    run = runs.untrained(tmp_path / "run", tiny(preset("demo"))).path
    answer = vidgan(capsys, "evaluate", run, "--protocol", "pixel-statistics", "--fit", "crop", "--clips", 2)
    require_one_line(answer, "not square; a model's are")


@pytest.mark.slow
def test_real_clips_that_are_resized_again_are_told(tmp_path: Path) -> None:
    experiment = tiny(preset("demo"))
    run = runs.untrained(tmp_path / "run", experiment).path
    side = experiment.size
    for factor, told in ((1, False), (2, True)):
        real = [(clip, 0) for clip in videos(4, factor * side, factor * side, 24)]
        large = package.evaluate(run, real, "frechet-random", clips=2, device="cpu")
        assert any("4 of 4 real clips are stored larger" in text for text in large.warnings) == told
