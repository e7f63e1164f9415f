"""Prepared datasets: exact windows by every codec, small pickles, and one clear line for each kind of damage."""

import hashlib
import json
import pickle
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidgan.cli import inspect as inspect_command
from vidgan.data.codecs import Codec, Jpeg, Png, Raw
from vidgan.data.inspect import class_counts, problems
from vidgan.data.layouts import Strips
from vidgan.data.loader import Loader
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PreparedDataset, PrepareSpec, open_prepared
from vidgan.data.window import WindowSpec, check_usable, random_item
from vidgan.errors import UserError

SIDE = 10
LENGTHS = {"run/a.png": 7, "run/b.png": 5, "walk/c.png": 9}


def strip(name: str, smooth: bool = False) -> NDArray[np.uint8]:
    """The frames (T, SIDE, SIDE, 3) of a test clip: noise, or gentle slopes that JPEG bears."""
    frames = LENGTHS[name]
    rng = np.random.default_rng(frames)
    if not smooth:
        return rng.integers(0, 256, (frames, SIDE, SIDE, 3), dtype=np.uint8)
    slope = np.arange(SIDE)[:, None] * 8 + np.arange(SIDE) * 4 + 5 * np.arange(frames)[:, None, None]
    return np.stack([slope, 200 - slope, slope // 2], -1).astype(np.uint8)


def make(folder: Path, codec: Raw | Png | Jpeg, smooth: bool = False) -> PreparedDataset:
    for name in LENGTHS:
        path = folder / "source" / name
        if path.exists() and not smooth:  # a file that is written again counts as changed
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(list(strip(name, smooth)), axis=1)).save(path)
    return prepare_by(
        folder / "source", folder / "made", PrepareSpec(layout=Strips(), size=SIDE, codec=codec)
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    make(tmp_path, Raw())
    return tmp_path / "made"


@pytest.mark.parametrize("codec", [Raw(), Png()])
def test_every_window_is_exact(tmp_path: Path, codec: Raw | Png) -> None:
    data = make(tmp_path, codec)
    assert data.classes == ("run", "walk")
    assert len(data) == 3
    for index, (name, length) in enumerate(LENGTHS.items()):
        assert data.name(index) == name
        assert data.info(index) == (int(name.startswith("walk")), length, SIDE, SIDE)
        assert data.rate(index) is None
        for stride in (1, 2, 3):
            for start in range(length):
                for frames in range(1, (length - 1 - start) // stride + 2):
                    got = data.read(index, start, frames, stride)
                    assert got.shape == (frames, SIDE, SIDE, 3)
                    assert (got == strip(name)[start::stride][:frames]).all()


def test_jpeg_is_close_smaller_and_on_record(tmp_path: Path) -> None:
    data = make(tmp_path, Jpeg(quality=97), smooth=True)
    error = data.read(1, 0, 5).astype(int) - strip("run/b.png", smooth=True)
    assert 0 < np.abs(error).mean() < 3
    assert open_prepared(tmp_path / "made").index.spec.codec == Jpeg(quality=97)


def test_jpeg_decoders_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    codec = Jpeg(quality=80)
    data = memoryview(codec.pack(strip("run/a.png")[0]))
    fast = codec.unpack(data, SIDE, SIDE)
    monkeypatch.setattr("vidgan.data.codecs.simplejpeg", None)
    assert np.abs(fast.astype(int) - codec.unpack(data, SIDE, SIDE)).max() <= 1


def test_reading_touches_only_the_bytes_asked_for(made: Path) -> None:
    data = open_prepared(made)
    row = data.index.clips[1]
    shard = made / f"shard-{row['shard']:05d}.bin"
    frame = SIDE * SIDE * 3
    content = bytearray(shard.read_bytes())
    place = int(row["offset"])
    content[place : place + 2 * frame] = b"\0" * (2 * frame)
    content[place + 4 * frame : place + 5 * frame] = b"\0" * frame
    shard.write_bytes(content)
    assert (data.read(1, 2, 2) == strip("run/b.png")[2:4]).all()
    assert (data.read(1, 2, 2, 1) == strip("run/b.png")[2:4]).all()


def test_window_outside_the_clip_is_refused(made: Path) -> None:
    data = open_prepared(made)
    for window in ((0, 8), (5, 3), (-1, 2), (0, 0), (0, 2, 7), (0, 2, 0)):
        with pytest.raises(UserError, match=r"run/a\.png has 7 frames"):
            data.read(0, *window)
    with pytest.raises(IndexError):
        data.info(3)
    with pytest.raises(IndexError):
        data.info(-1)


@pytest.mark.parametrize("codec", [Raw(), Png(), Jpeg()])
def test_pickles_small_and_reads_on(tmp_path: Path, codec: Raw | Png | Jpeg) -> None:
    data = make(tmp_path, codec)
    expected = data.read(2, 1, 4)
    blob = pickle.dumps(data)
    assert len(blob) < 500
    assert (pickle.loads(blob).read(2, 1, 4) == expected).all()


def test_replaced_dataset_is_noticed(tmp_path: Path) -> None:
    blob = pickle.dumps(make(tmp_path, Raw()))
    shutil.rmtree(tmp_path / "made")
    make(tmp_path, Raw(), smooth=True)
    with pytest.raises(UserError, match="prepared anew"):
        pickle.loads(blob).read(0, 0, 1)


def test_fingerprint_tells_data_apart_and_ignores_the_place(tmp_path: Path) -> None:
    first = make(tmp_path / "a", Raw())
    assert make(tmp_path / "b", Raw()).fingerprint == first.fingerprint
    assert make(tmp_path / "c", Raw(), smooth=True).fingerprint != first.fingerprint
    assert make(tmp_path / "d", Png()).fingerprint != first.fingerprint


def test_loader_over_prepared_data(made: Path) -> None:
    data, window = open_prepared(made), WindowSpec(size=6, frames=3, stride=2)
    with Loader(data, window, 0, 1) as loader:
        (batch,) = loader.batches(iter([[0, 1, 2, 3]]))
    items = [random_item(data, window, 0, n) for n in range(4)]
    assert (batch.video.numpy() == np.stack([item.frames for item in items])).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_vanished_file_is_one_line_from_any_process(made: Path, workers: int) -> None:
    data = open_prepared(made)
    with Loader(data, WindowSpec(size=6, frames=3), 0, workers) as loader:
        for shard in made.glob("shard-*"):
            shard.unlink()
        with pytest.raises(
            UserError, match=r"^(run|walk)/..png cannot be read from .*No such file"
        ) as caught:
            next(loader.batches(iter([[0]])))
    assert "\n" not in str(caught.value)


def refused(path: Path) -> str:
    """The one line with which ``path`` is refused."""
    with pytest.raises(UserError) as caught:
        open_prepared(path)
    with pytest.raises(UserError) as shown:
        inspect_command.run([str(path)])
    assert str(shown.value) == str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    assert "no folder" in refused(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "is empty" in refused(tmp_path / "empty")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    assert "not a prepared dataset" in refused(tmp_path / "videos")
    (tmp_path / "half" / "unfinished").mkdir(parents=True)
    assert "not prepared to the end" in refused(tmp_path / "half")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.json").write_text('{"format": "holiday pictures"}')
    assert "not a prepared dataset" in refused(tmp_path / "other")


def test_other_version_is_refused(made: Path) -> None:
    header = json.loads((made / "index.json").read_text())
    (made / "index.json").write_text(json.dumps(header | {"version": 99}))
    assert "format version 99, not 3" in refused(made)


def test_damaged_index_is_refused(made: Path) -> None:
    whole = (made / "index.json").read_text()
    (made / "index.json").write_text(whole[: len(whole) // 2])
    assert "damaged" in refused(made)
    header = json.loads(whole)
    (made / "index.json").write_text(json.dumps(header | {"classes": ["walk", "run"]}))
    assert "fingerprint does not fit" in refused(made)
    (made / "index.json").write_text(whole)
    table = (made / "clips.npy").read_bytes()
    (made / "clips.npy").write_bytes(table[:-8])
    assert "damaged" in refused(made)
    (made / "clips.npy").unlink()
    assert "damaged" in refused(made)


def test_truncated_and_missing_shards_are_refused(made: Path) -> None:
    shard = max(made.glob("shard-*"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    assert f"cut off: {len(content) - 1} bytes instead of {len(content)}" in refused(made)
    shard.unlink()
    assert "is missing" in refused(made)


@pytest.mark.parametrize("codec", [Png(), Jpeg()])
def test_damaged_frame_names_its_clip(tmp_path: Path, codec: Codec) -> None:
    assert isinstance(codec, (Png, Jpeg))
    data = make(tmp_path, codec)
    for shard in (tmp_path / "made").glob("shard-*"):
        content = bytearray(shard.read_bytes())
        content[:40] = b"\xff" * 40
        shard.write_bytes(content)
    with pytest.raises(UserError, match=r"walk/c\.png cannot be read from"):
        data.read(2, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("codec", [Raw(), Png(), Jpeg()])
def test_every_flipped_bit_of_a_frame_is_found_where_the_frame_is_read(
    tmp_path: Path, codec: Raw | Png | Jpeg
) -> None:
    data = make(tmp_path, codec)
    row = data.index.clips[1]
    shard, place = tmp_path / "made" / f"shard-{row['shard']:05d}.bin", int(row["offset"])
    whole = shard.read_bytes()
    before = data.read(1, 0, LENGTHS["run/b.png"])
    found = 0
    for offset in range(0, int(row["bytes"]), 13):
        content = bytearray(whole)
        content[place + offset] ^= 1 << (offset % 8)
        shard.write_bytes(content)
        for start, frames, stride in ((0, 2, 1), (2, 2, 2), (0, 5, 1)):
            try:
                seen = data.read(1, start, frames, stride)
            except UserError as error:
                found += 1
                assert f"run/b.png cannot be read from {shard}" in str(error)  # noqa: PT017
            else:
                assert (seen == before[start : start + (frames - 1) * stride + 1 : stride]).all()
                assert frames < LENGTHS["run/b.png"], "all was read, so the bit was"
    assert found > row["bytes"] // 13


def test_the_format_is_as_its_page_says(made: Path) -> None:
    """Read as docs/data-format.md has it, by nothing of ours."""
    clips = np.load(made / "clips.npy")
    names = json.loads((made / "sources.json").read_text())
    for row, name in zip(clips, names, strict=True):
        content = (made / f"shard-{row['shard']:05d}.bin").read_bytes()
        clip = content[row["offset"] : row["offset"] + row["bytes"]]
        size = SIDE * SIDE * 3
        frames = [clip[t * size : (t + 1) * size] for t in range(row["frames"])]
        assert [frame.tobytes() for frame in strip(name)] == frames
        assert clip[row["frames"] * size :] == b"".join(zlib.crc32(f).to_bytes(4, "little") for f in frames)
        assert zlib.crc32(clip) == row["crc"]


def as_version_2(folder: Path) -> None:
    """Data as they were written before frames had checksums of their own."""
    clips, ends = np.load(folder / "clips.npy"), {}
    for row in clips:
        shard = folder / f"shard-{row['shard']:05d}.bin"
        content, start = shard.read_bytes(), int(row["offset"])
        frames = content[start : start + int(row["bytes"]) - 4 * int(row["frames"])]
        row["offset"] = len(ends.setdefault(shard, b""))
        row["bytes"], row["crc"] = len(frames), zlib.crc32(frames)
        ends[shard] += frames
    for shard, content in ends.items():
        shard.write_bytes(content)
    np.save(folder / "clips.npy", clips)
    header = json.loads((folder / "index.json").read_text()) | {"version": 2}
    del header["fingerprint"], header["remarks"]
    (folder / "records.json").unlink()
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    digest.update((folder / "clips.npy").read_bytes())
    digest.update((folder / "sources.json").read_bytes())
    (folder / "index.json").write_text(json.dumps(header | {"fingerprint": digest.hexdigest()}))


@pytest.mark.parametrize("codec", [Raw(), Png()])
def test_data_of_the_version_before_are_read(tmp_path: Path, codec: Raw | Png) -> None:
    make(tmp_path, codec)
    as_version_2(tmp_path / "made")
    data = open_prepared(tmp_path / "made")
    for index, name in enumerate(LENGTHS):
        assert (data.read(index, 1, 3) == strip(name)[1:4]).all()
        assert (data.read(index, 0, 3, 2) == strip(name)[0:5:2]).all()
    assert list(problems(data, WindowSpec(size=SIDE, frames=1), checksums=True)) == []
    shard = max((tmp_path / "made").glob("shard-*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="of an earlier version: remove the folder"):
        make(tmp_path, codec)


def test_damaged_shards_are_made_anew_as_they_were(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    first, second, third = sorted(made.glob("shard-*"))
    first.write_bytes(b"?" + before[first.name][1:])
    second.write_bytes(before[second.name][:-1])
    third.unlink()
    make(made.parent, Raw())
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    assert "is damaged (shard-00000.bin, shard-00001.bin, shard-00002.bin)" in capsys.readouterr().err
    make(made.parent, Raw())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", ["", "[]", "{}", "[[], [1]]", "null", "[" * 100_000])
def test_a_half_written_record_of_a_shard_is_made_anew(tmp_path: Path, content: str) -> None:
    make(tmp_path, Raw())
    made, unfinished = tmp_path / "made", tmp_path / "made" / "unfinished"
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    (made / "index.json").unlink()
    unfinished.mkdir()
    plan = {"format": "vidgan clips", "version": 3, "prepared": json.loads(before["index.json"])["prepared"]}
    (unfinished / "plan.json").write_text(json.dumps(plan))
    (unfinished / "00000.json").write_text(content)
    make(tmp_path, Raw())
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    (made / "index.json").unlink()
    unfinished.mkdir()
    (unfinished / "plan.json").write_text(content)
    with pytest.raises(UserError, match="unfinished preparation"):
        make(tmp_path, Raw())


def test_check_usable_names_sources(made: Path) -> None:
    with pytest.raises(UserError, match=r"1 of 3 clips.*run/b\.png \(5 frames, needs 7\)"):
        check_usable(open_prepared(made), WindowSpec(size=SIDE, frames=4, stride=2))


def test_inspect_counts_and_names_problems(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [tuple(count) for count in class_counts(open_prepared(made))] == [
        ("run", 2, 5, 6.0, 7),
        ("walk", 1, 9, 9.0, 9),
    ]
    assert inspect_command.run([str(made), "--frames", "3", "--stride", "2"]) == 0
    shown = capsys.readouterr().out
    for part in ("3 clips, 21 frames, 2 classes", f"{SIDE}x{SIDE} (3)", "no problems", "codec raw", "walk"):
        assert part in shown
    assert "mean length: 7 frames\n" in shown  # strips of images have no frame rate
    shard = max(made.glob("shard-*"))
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    assert inspect_command.run([str(made), "--frames", "6"]) == 2
    shown = capsys.readouterr().out
    assert "run/b.png: 5 frames, needs 6" in shown
    assert "walk/c.png: damaged" in shown
    assert "run/a.png" not in shown
    assert inspect_command.run([str(made), "--skip-checksums"]) == 0
    assert inspect_command.run([str(made), "--size", "11"]) == 2
