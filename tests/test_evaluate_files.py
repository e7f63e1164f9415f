"""``vidgan evaluate`` on files: nothing prepared, restartable, never stale, loud where there are too few videos."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from commands import Answer, require_one_line, start, two_processes, vidgan
from vidgan.data.prepare import prepare_by
from vidgan.data.raw_videos import open_videos
from vidgan.data.store import PrepareSpec
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.evaluation import frechet_distance
from vidgan.evaluation.features.network import RandomConv3d
from vidgan.run.logs import read_lines
from vidgan.sample.video_io import write_clip

Capture = pytest.CaptureFixture[str]


def clips(count: int, seed: int, size: int = 16, frames: int = 6) -> np.ndarray[Any, np.dtype[np.uint8]]:
    made = SyntheticDataset(SyntheticSpec(size=size, frames=frames, clips=count, seed=seed))
    return np.stack([made.read(i, 0, frames) for i in range(count)])


def write(folder: Path, videos: np.ndarray[Any, np.dtype[np.uint8]], suffix: str = ".npy") -> Path:
    folder.mkdir(parents=True)
    for number, video in enumerate(videos):
        write_clip(folder / f"{number:04d}{suffix}", video, 8.0)
    return folder


def random_features(videos: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    video = torch.from_numpy(videos).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    return RandomConv3d()(video).numpy()


def value(answer: Answer, results: Path) -> float:
    assert answer.status == 0, answer.err
    return float(read_lines(results)[-1]["value"])


@pytest.mark.parametrize("form", ["folder of arrays", "one array", "classes"])
def test_the_number_is_the_distance_of_the_features(form: str, tmp_path: Path, capsys: Capture) -> None:
    fake, real = clips(40, 0), clips(45, 1)
    if form == "one array":
        evaluated = tmp_path / "fake.npy"
        np.save(evaluated, fake)
    elif form == "classes":
        evaluated = tmp_path / "fake"
        write(evaluated / "a", fake[:15])
        write(evaluated / "b", fake[15:])
    else:
        evaluated = write(tmp_path / "fake", fake)
    answer = vidgan(
        capsys,
        "evaluate",
        evaluated,
        "--real",
        write(tmp_path / "real", real),
        "--protocol",
        "frechet-random",
    )
    found = value(answer, tmp_path / "fake.metrics.jsonl")
    expected = frechet_distance(random_features(fake), random_features(real))
    assert found == pytest.approx(expected, rel=1e-4)
    assert "40/40 evaluated clips" in answer.err


def test_sizes_are_recorded_as_the_files_have_them(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(3, 0)), write(tmp_path / "real", clips(2, 1, size=24), ".mp4")
    write_clip(real / "wide.mp4", np.zeros((6, 20, 32, 3), np.uint8), 8.0)
    command = (
        "evaluate",
        fake,
        "--real",
        real,
        "--protocol",
        "pixel-statistics",
        "--out",
        tmp_path / "x.jsonl",
    )
    assert vidgan(capsys, *command).status == 0
    (line,) = read_lines(tmp_path / "x.jsonl")
    assert (line["evaluated"]["sizes"], line["real"]["sizes"]) == ([[16, 16, 3]], [[24, 24, 2], [20, 32, 1]])


def test_files_of_any_format_are_read_and_resized(tmp_path: Path) -> None:
    video = clips(1, 0, size=24, frames=5)[0]
    folder = tmp_path / "videos"
    folder.mkdir()
    for suffix in (".mp4", ".gif", ".webp", ".npy"):
        write_clip(folder / f"clip{suffix}", video, 8.0)
    for size in (24, 12):
        data = open_videos(folder, size)
        assert len(data) == 4
        for index in range(4):
            assert data.info(index).frames == 5
            assert data.info(index)[2:] == (size, size)
            found = data.read(index, 0, 5).astype(float)
            assert found.shape == (5, size, size, 3)
            expected = video if size == 24 else video.reshape(5, 12, 2, 12, 2, 3).mean((2, 4))
            assert np.abs(found - expected).mean() < 9, data.name(index)
    names = [open_videos(folder).name(index) for index in range(4)]
    assert names == sorted(names)


def test_what_is_recorded(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(20, 0)), write(tmp_path / "real", clips(20, 1))
    out = tmp_path / "results.jsonl"
    answer = vidgan(
        capsys, "evaluate", fake, "--real", real, "--protocol", "frechet-random", "--out", out, "--frames", 4
    )
    assert answer.status == 0, answer.err
    (line,) = read_lines(out)
    assert line["settings"]["source"] | {"is": ""} == {
        "is": "",
        "frames": 4,
        "whole": 6,
        "stride": 1,
        "size": 16,
        "classes": [],
        "resize": "bilinear",
        "crop": "centre",
        "fit": None,
        "view": None,
        "bits": 8,
        "real_codec": "none",
        "fake_codec": "none",
    }
    assert line["settings"]["real"]["count"] == line["counts"]["real"] == 20
    assert line["settings"]["clips"] == line["clips"] == line["counts"]["evaluated"] == 20
    assert line["deviation"]["over"] == "bootstrap"
    assert line["deviation"]["value"] > 0
    assert line["evaluated"]["fingerprint"] == open_videos(fake).fingerprint
    assert line["data"] == line["real"]["fingerprint"] == open_videos(real).fingerprint
    assert {"vidgan", "torch", "numpy", "device", "av", "ffmpeg"} <= set(line["versions"])
    assert line["settings"]["real"]["split"] is None  # files do not say
    assert line["evaluated"]["sizes"] == line["real"]["sizes"] == [[16, 16, 20]]
    assert line["seconds"] > 0
    assert not list(fake.glob("*.jsonl"))


def test_lossless_files_are_measured_as_the_arrays_they_were_made_of(tmp_path: Path, capsys: Capture) -> None:
    fake = clips(12, 0)
    fake[1, 2] = fake[1, 1]  # a frame that repeats, and a video that stands still
    fake[2] = fake[2, :1]
    real, out = write(tmp_path / "real", clips(12, 1)), tmp_path / "results.jsonl"

    def measured(suffix: str) -> tuple[float, str]:
        folder = write(tmp_path / suffix[1:], fake, suffix)
        answer = vidgan(
            capsys, "evaluate", folder, "--real", real, "--protocol", "frechet-random", "--out", out
        )
        return value(answer, out), answer.err

    arrays, said = measured(".npy")
    assert "keep every pixel" not in said
    assert measured(".webp")[0] == arrays
    video, said = measured(".mp4")
    assert video != arrays
    assert "evaluated videos are mp4, which do not keep every pixel" in said


def test_frame_rates_are_on_record_and_other_ones_are_told(tmp_path: Path, capsys: Capture) -> None:
    fake, real, out = tmp_path / "fake", tmp_path / "real", tmp_path / "results.jsonl"
    for folder, rates in ((fake, (24, 24, 24)), (real, (24, 30, 24, 24))):
        folder.mkdir()
        for number, rate in enumerate(rates):
            write_clip(folder / f"{number}.mp4", clips(1, number)[0], rate)
    command = ("evaluate", fake, "--real", real, "--protocol", "frechet-random", "--out", out)
    answer = vidgan(capsys, *command)
    assert value(answer, out) > 0
    assert (
        "frame rates differ: evaluated videos run at 24/s (3 clips), real clips at 24/s (3 clips), 30/s (1)"
        in (answer.err)
    )
    (real / "1.mp4").unlink()
    answer = vidgan(capsys, *command)
    assert "frame rates" not in answer.err
    assert "real clips at 12/s (3 clips)" in vidgan(capsys, *command, "--frames", 3, "--stride", 2).err
    first, second, third = read_lines(out)
    assert first["evaluated"]["rates"] == [[24.0, 3]]
    assert first["real"]["rates"] == [[24.0, 3], [30.0, 1]]
    assert second["real"]["rates"] == [[24.0, 3]]
    assert third["real"]["rates"] == [[12.0, 3]]


def test_four_videos_give_a_number_and_a_loud_warning(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(4, 0)), write(tmp_path / "real", clips(30, 1))
    answer = vidgan(capsys, "evaluate", fake, "--real", real, "--protocol", "frechet-random")
    assert value(answer, tmp_path / "fake.metrics.jsonl") > 0
    assert "WARNING: frechet-random: only 4 clips were evaluated; the protocol asks for 2048" in answer.err
    assert "4 clips are too few for 128 dimensions" in answer.err
    (line,) = read_lines(tmp_path / "fake.metrics.jsonl")
    floor = line["two_real_halves"]
    assert floor["clips"] == 4
    assert f"two sets of 4 real clips that share none are {floor['value']:.4g} apart" in answer.err
    assert len(line["warnings"]) == 3


@pytest.mark.parametrize("form", ["folders", "names"])
def test_videos_in_order_of_their_classes(form: str, tmp_path: Path, capsys: Capture) -> None:
    """Fewer than there are come from all classes: a set against itself is near, and both facts are said."""
    folder = tmp_path / "videos"
    videos = clips(60, 0)
    for number, name in enumerate(("dark", "grey", "light")):
        group = (videos[20 * number : 20 * number + 20] / 4 + 85 * number).astype(np.uint8)
        write(folder / name, group)
        if form == "names":
            for file in (folder / name).iterdir():
                file.rename(folder / f"{name}-{file.name}")
            (folder / name).rmdir()
    out = tmp_path / "results.jsonl"
    command = ("evaluate", folder, "--real", folder, "--protocol", "pixel-statistics", "--out", out)
    answer = vidgan(capsys, *command, "--clips", 30)
    # The classes' means are 0.67 apart.
    assert value(answer, out) < (0.01 if form == "folders" else 0.3)
    (line,) = read_lines(out)
    assert "30 of the 60 evaluated videos were measured" in line["warnings"][0]
    assert line["warnings"][1].startswith("the evaluated videos are the real ones")
    assert "real.count" not in answer.out  # there are no more than 60


def test_a_short_video_does_not_cut_the_others_in_silence(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(6, 0)), write(tmp_path / "real", clips(8, 1))
    np.save(fake / "0003.npy", clips(1, 2)[0][:4])
    command = ("evaluate", fake, "--real", real, "--protocol", "frechet-random")
    answer = vidgan(capsys, *command)
    assert answer.status == 0, answer.err
    assert "WARNING: frechet-random: only the first 4 frames of each clip" in answer.err
    assert "as 0003.npy has no more and others have up to 6" in answer.err
    assert "only the first" not in vidgan(capsys, *command, "--frames", 4).err


@pytest.mark.slow
def test_changed_data_never_reuse_old_statistics(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(20, 0)), write(tmp_path / "real", clips(20, 1))
    out = tmp_path / "results.jsonl"

    def measured(cache: str, *more: object) -> float:
        command = ("evaluate", fake, "--real", real, "--protocol", "frechet-random", "--out", out)
        return value(vidgan(capsys, *command, "--cache", tmp_path / cache, *more), out)

    first = measured("cache")
    again = vidgan(
        capsys,
        "evaluate",
        fake,
        "--real",
        real,
        "--protocol",
        "frechet-random",
        "--cache",
        tmp_path / "cache",
    )
    assert "real clips," not in again.err  # they were looked at before
    assert value(again, tmp_path / "fake.metrics.jsonl") == first
    limited = measured("cache", "--real-clips", 10)
    assert limited == measured("other", "--real-clips", 10) != first
    # One byte of one file, its time and length as before.
    changed = real / "0007.npy"
    state, content = changed.stat(), bytearray(changed.read_bytes())
    content[-20] ^= 0xFF
    changed.write_bytes(content)
    os.utime(changed, ns=(state.st_atime_ns, state.st_mtime_ns))
    after = measured("cache")
    assert after == measured("fresh")
    assert after != first


def test_changed_bytes_of_prepared_data_are_noticed(tmp_path: Path, capsys: Capture) -> None:
    fake = write(tmp_path / "fake", clips(20, 0))
    source = write(tmp_path / "source", clips(20, 1), ".mp4")
    prepare_by(source, tmp_path / "data", PrepareSpec(size=16), workers=0)
    out = tmp_path / "results.jsonl"

    command = ("evaluate", fake, "--data", tmp_path / "data", "--protocol", "frechet-random", "--out", out)
    assert value(vidgan(capsys, *command, "--cache", tmp_path / "cache"), out) > 0
    shard = next((tmp_path / "data").glob("shard-*.bin"))
    content = bytearray(shard.read_bytes())
    content[:3000] = bytes(3000)
    shard.write_bytes(content)
    # Old features do not stand for the new bytes, which are damaged.
    require_one_line(vidgan(capsys, *command, "--cache", tmp_path / "cache"), "checksum does not fit")


def test_a_damaged_part_is_computed_again(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(20, 0)), write(tmp_path / "real", clips(70, 1))
    command = (
        "evaluate",
        fake,
        "--real",
        real,
        "--protocol",
        "frechet-random",
        "--cache",
        tmp_path / "cache",
    )
    out = tmp_path / "fake.metrics.jsonl"
    first = value(vidgan(capsys, *command), out)
    parts = sorted((tmp_path / "cache").rglob("rows-*.npz"))
    assert len(parts) == 3
    parts[1].write_bytes(parts[1].read_bytes()[:100])
    answer = vidgan(capsys, *command)
    assert "38 of 70 real clips were done before" in answer.err
    assert value(answer, out) == first


@pytest.mark.slow
def test_killed_and_restarted_gives_the_same_number(tmp_path: Path, capsys: Capture) -> None:
    fake, real = (
        write(tmp_path / "fake", clips(300, 0, 32, 16)),
        write(tmp_path / "real", clips(300, 1, 32, 16)),
    )
    out = tmp_path / "results.jsonl"
    command = ("evaluate", fake, "--real", real, "--protocol", "frechet-random", "--out", out, "--cache")
    whole = value(vidgan(capsys, *command, tmp_path / "whole"), out)
    process = start(*command, tmp_path / "cut")
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "cut").rglob("rows-*.npz"))) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(read_lines(out)) == 1
    answer = vidgan(capsys, *command, tmp_path / "cut")
    assert "real clips were done before\n" in answer.err
    assert value(answer, out) == whole


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(70, 0)), write(tmp_path / "real", clips(100, 1))
    out = tmp_path / "results.jsonl"
    command = ["evaluate", fake, "--real", real, "--protocol", "frechet-random", "--out", out, "--cache"]
    one = value(vidgan(capsys, *command, tmp_path / "one"), out)
    done = two_processes(*command, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    lines = read_lines(out)
    assert len(lines) == 2
    assert lines[1]["value"] == one
    assert lines[1]["deviation"] == lines[0]["deviation"]


def test_bad_input_ends_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(4, 0)), write(tmp_path / "real", clips(4, 1))

    def refused(*args: object, words: tuple[str, ...]) -> None:
        require_one_line(vidgan(capsys, "evaluate", *args), *words)
        assert not list(tmp_path.glob("*.jsonl"))

    random = ("--protocol", "frechet-random")
    refused(fake, *random, words=("--real", "--data"))
    refused(tmp_path / "none", "--real", real, *random, words=("none", "folder of videos"))
    refused(fake, "--real", tmp_path / "none", *random, words=("none",))
    refused(fake, "--real", real, "--data", real, *random, words=("--data and --real",))
    refused(fake, "--real", real, *random, "--sigma", 0.5, words=("--sigma", "finished videos"))
    refused(fake, "--real", real, *random, "--frames", 7, words=("6 frames", "--frames"))
    refused(fake, "--real", real, *random, "--out", tmp_path / "no" / "x.jsonl", words=("--out", "no folder"))
    refused(fake, "--real", real, "--protocol", "psd", words=("50",))
    refused(fake, "--real", real, "--protocol", "fvd-refrence", words=("did you mean 'fvd-reference'",))
    refused(fake, "--real", real, words=("--protocol",))
    for name in (
        "fvd-reference",
        "fid-k600-avgpool",
        "is-k400",
        "is-ucf101-tgan",
        "is-r2plus1d",
        "frechet-in-domain",
    ):
        more = ("--real", real) if "f" in name[:2] else ()
        refused(fake, *more, "--protocol", name, words=("--weights PATH",))
    refused(fake, "--protocol", "is-k400", "--weights", tmp_path / "no.pt", words=("no.pt",))
    refused(fake, "--real", real, "--protocol", "oracle-accuracy", words=("built-in clips",))
    (fake / "0001.npy").write_bytes(b"not an array")
    refused(fake, "--real", real, *random, words=("0001.npy", "cannot be read"))
    (fake / "0001.npy").unlink()
    np.save(fake / "0001.npy", np.zeros((6, 16, 16, 3)))
    refused(fake, "--real", real, *random, words=("0001.npy", "uint8", "float64"))
    (fake / "0001.npy").unlink()
    (fake / "0001.mp4").write_bytes(b"not a video")
    refused(fake, "--real", real, *random, words=("0001.mp4", "cannot be read", "leave it out"))


def test_a_prepared_set_of_another_size_is_not_cropped_in_silence(tmp_path: Path, capsys: Capture) -> None:
    fake = write(tmp_path / "fake", clips(4, 0, size=16))
    source = write(tmp_path / "source", clips(4, 1, size=32), ".mp4")
    prepare_by(source, tmp_path / "data", PrepareSpec(size=32), workers=0)
    command = ("evaluate", fake, "--data", tmp_path / "data", "--protocol", "frechet-random")
    answer = vidgan(capsys, *command)
    assert answer.status == 0, answer.err
    assert "4 of 4 real clips are stored larger" in answer.err
    assert vidgan(capsys, *command, "--size", 32).status == 0
    require_one_line(vidgan(capsys, *command, "--size", 40), "prepared at 32", "--size 32")


def test_all_broken_videos_are_told_at_once(tmp_path: Path, capsys: Capture) -> None:
    fake, real = write(tmp_path / "fake", clips(5, 0), ".mp4"), write(tmp_path / "real", clips(5, 1), ".mp4")
    names = sorted(path.name for path in fake.iterdir())
    for folder in (fake, real):
        for name in names[2:4]:
            (folder / name).write_bytes(b"no video")
    command = ("evaluate", fake, "--real", real, "--protocol", "frechet-random")
    require_one_line(vidgan(capsys, *command), "2 videos are broken", str(fake / names[2]), names[3])
    for name in names[2:4]:
        (fake / name).unlink()
    require_one_line(vidgan(capsys, *command), "2 videos are broken", str(real / names[2]), names[3])
