"""Layouts of published datasets, on miniatures in their real form; shards of one preparation on many machines."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import miniatures
from commands import require_one_line, snapshot, vidgan
from videos import number_of
from vidgan.data.published.bair import masked_crc, records
from vidgan.data.published.kinetics import Kinetics
from vidgan.data.resize import Resizer
from vidgan.data.store import PreparedDataset, open_prepared
from vidgan.data.video import BrokenClipError, VideoPart
from vidgan.run.logs import read_lines

Capture = pytest.CaptureFixture[str]


def prepared(capsys: Capture, source: Path, dest: Path, layout: str, *more: object) -> PreparedDataset:
    answer = vidgan(capsys, "prepare", source, dest, "--layout", layout, "--workers", 0, "--size", 32, *more)
    assert answer.status == 0, answer.err
    return open_prepared(dest)


def names(data: PreparedDataset) -> list[str]:
    return [data.name(index) for index in range(len(data))]


@pytest.mark.slow
@pytest.mark.parametrize("layout", miniatures.ALL)
def test_prepared_inspected_trained_and_evaluated(layout: str, tmp_path: Path, capsys: Capture) -> None:
    source, data, run = miniatures.ALL[layout](tmp_path / "source"), tmp_path / "data", tmp_path / "run"
    made = prepared(capsys, source, data, layout)
    seen = vidgan(capsys, "inspect", data, "--frames", 8, "--size", 24)
    assert seen.status == 0, seen
    assert f"{len(made)} clips" in seen.out
    options = ("--tiny", "--steps", 2, "--workers", 0)
    trained = vidgan(capsys, "train", "demo", "--data", data, "--out", run, *options)
    assert trained.status == 0, trained.err
    measured = vidgan(capsys, "evaluate", run, "--protocol", "pixel-statistics", "--clips", 4)
    assert measured.status == 0, measured.err
    assert (run / "metrics.jsonl").read_text().count("\n") == 1
    # What the data are is known from them, and from nothing else.
    known = {"ucf101": "train01", "kinetics": "train", "bdd100k": "train", "bair": "train"}
    (line,) = read_lines(run / "metrics.jsonl")
    assert line["settings"]["real"]["split"] == known.get(layout)


def test_ucf101_follows_the_official_lists_and_keeps_groups(tmp_path: Path, capsys: Capture) -> None:
    source = miniatures.ucf101(tmp_path / "source")
    train = prepared(capsys, source, tmp_path / "train", "ucf101")
    assert train.classes == ("ApplyEyeMakeup", "HandstandPushups")
    assert names(train)[1] == "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi"
    assert [train.info(i).label for i in range(4)] == [0, 0, 1, 1]
    assert [train.group(i) for i in range(4)] == [0, 0, 1, 1]
    test = prepared(capsys, source, tmp_path / "test", "ucf101", "--split", "test01")
    assert {name[-11:-4] for name in names(test)} == {"g01_c01", "g01_c02"}
    everything = prepared(capsys, source / "UCF-101", tmp_path / "all", "ucf101", "--split", "all")
    assert [everything.group(i) for i in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    lists = source / "ucfTrainTestlist"
    text = (lists / "trainlist01.txt").read_text()
    (lists / "trainlist01.txt").write_text(
        text.replace("Handstand", "HandStand") + "Yodel/v_Yodel_g01_c01.avi 3\n"
    )
    other = prepared(capsys, source, tmp_path / "case", "ucf101")
    assert names(other) == names(train)
    assert other.index.left_out == (("Yodel/v_Yodel_g01_c01.avi", "listed but not there"),)
    shutil.rmtree(lists)
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", "ucf101", "--split", "test03")
    require_one_line(answer, "ucfTrainTestlist/testlist03.txt", "--split all")


def test_clips_without_groups_are_their_own(tmp_path: Path, capsys: Capture) -> None:
    data = prepared(capsys, miniatures.bdd100k(tmp_path / "source"), tmp_path / "made", "bdd100k")
    assert names(data) == ["train/0000f77c-6257be58.mov", "train/0000f77c-62c2a288.mov"]
    assert data.classes == ("all",)
    assert [data.group(i) for i in range(2)] == [0, 1]


def test_kinetics_takes_trimmed_and_whole_videos_and_counts_the_missing(
    tmp_path: Path, capsys: Capture
) -> None:
    source = miniatures.kinetics(tmp_path / "source")
    data = prepared(capsys, source, tmp_path / "made", "kinetics")
    assert data.classes == ("abseiling", "zumba")
    assert names(data) == [
        "train/abseiling/-3B32lodo2M_000059_000069.mp4",
        "train/abseiling/3caPS4FHFF8_000036_000046.mp4",
        "untrimmed/_zoom_a-b12.mkv#0-1",
    ]
    ((split, reason),) = data.index.left_out
    assert split == "train"
    assert reason == "2 of 5 videos are missing, all of 1 classes (first: missing0000_000005_000015)"
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", "kinetics", "--split", "val")
    require_one_line(answer, "no video of the 1 clips of val", "elsewhere00_000001_000011.mp4", "annotations")
    shutil.copy(source / "annotations" / "train.csv", source / "k600.csv")
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", "kinetics")
    require_one_line(answer, "several files", "annotations/train.csv", "k600.csv", "keep one")


def test_kinetics_400_has_other_columns_and_a_held_out_test_split(tmp_path: Path) -> None:
    source = miniatures.kinetics(tmp_path / "source")
    table = source / "annotations" / "train.csv"
    rows = [line.rsplit(",", 1)[0] for line in table.read_text().splitlines()]  # no column for the split
    table.write_text("\n".join(f"{row},{'is_cc' if not n else 0}" for n, row in enumerate(rows)))
    assert len(Kinetics().find(source).sources) == 3
    (source / "test.csv").write_text("youtube_id,time_start,time_end,split\n_zoom_a-b12,0,1,test\n")
    with pytest.raises(Exception, match="have no labels"):
        Kinetics(split="test").find(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm"])
def test_a_part_of_a_video_is_its_own_frames(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whole{suffix}"
    miniatures.video(path, frames=20)  # 25 per second: frame 5 is shown at 0.2 s
    part = VideoPart(path, "part", 0, start=0.2, end=0.48)
    rate, frames, _ = part.open(Resizer(32, "bilinear"))
    assert rate == pytest.approx(25, rel=0.01)
    assert [number_of(frame) for frame in frames] == list(range(5, 12))
    late = VideoPart(path, "part", 0, start=7, end=9)
    with pytest.raises(BrokenClipError, match="no frames between second 7 and 9"):
        late.open(Resizer(32, "bilinear"))


def test_bair_is_read_from_tfrecords_in_both_splits(tmp_path: Path, capsys: Capture) -> None:
    source = miniatures.bair(tmp_path / "source")
    expected = {
        "train": [*range(10)],
        "test": [100, 101],
        "balanced-train": [*range(7)],
        "balanced-test": [7, 8, 9, 100, 101],
    }
    for split, numbers in expected.items():
        data = prepared(capsys, source, tmp_path / split, "bair", "--split", split, "--size", 64)
        assert len(data) == len(numbers)
        for index, number in enumerate(numbers):
            assert (data.read(index, 0, miniatures.FRAMES) == miniatures.trajectory(number)).all()
    assert names(data)[0] == "train/traj_2_to_9.tfrecords#7"
    assert names(data)[1] == "train/traj_10_to_11.tfrecords#0"


def test_checksum_of_tfrecords() -> None:
    """RFC 3720, B.4 and the check value of CRC-32C; the mask by its definition in TensorFlow's format."""
    for data, crc in ((b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        assert miniatures.crc32c(data) == crc
        assert masked_crc(data) == (((crc >> 15) | (crc << 17)) % 2**32 + 0xA282EAD8) % 2**32


def test_damaged_tfrecords_are_refused(tmp_path: Path, capsys: Capture) -> None:
    source = miniatures.bair(tmp_path / "source")
    file = source / "softmotion30_44k" / "test" / "traj_0_to_1.tfrecords"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    command = ("prepare", source, tmp_path / "x", "--layout", "bair", "--split", "test", "--workers", 0)
    require_one_line(vidgan(capsys, *command), "traj_0_to_1.tfrecords", "cut off")
    file.write_bytes(b"\x01" + whole[1:])
    require_one_line(vidgan(capsys, *command), "not a TFRecord file")
    # A record that is no Example: its trajectory is left out, the other one stays.
    first = next(records_of(whole, tmp_path))
    broken = bytearray(whole)
    broken[first.offset : first.offset + 8] = b"\xff" * 8
    file.write_bytes(bytes(broken))
    assert vidgan(capsys, *command).status == 0
    data = open_prepared(tmp_path / "x")
    assert names(data) == ["test/traj_0_to_1.tfrecords#1"]
    assert "protocol buffer" in data.index.left_out[0].reason


def records_of(content: bytes, folder: Path):  # type: ignore[no-untyped-def]
    (folder / "again").write_bytes(content)
    return records(folder / "again")


def test_moving_mnist_is_cut_along_its_second_axis(tmp_path: Path, capsys: Capture) -> None:
    source = miniatures.moving_mnist(tmp_path / "source")
    data = prepared(capsys, source, tmp_path / "made", "moving-mnist", "--size", 64)
    array = np.load(source / "mnist_test_seq.npy")
    assert len(data) == 5
    for number in range(5):
        assert (data.read(number, 0, 20) == array[:, number, :, :, None]).all()
    np.save(source / "mnist_test_seq.npy", array.astype(np.float32))
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", "moving-mnist")
    require_one_line(answer, "float32", "(T, N, H, W)")
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", "moving-mnist", "--split", "train")
    require_one_line(answer, "moving-mnist has no splits")


@pytest.mark.parametrize("layout", miniatures.ALL)
def test_another_folder_is_refused_with_what_is_in_it(layout: str, tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / "holidays"
    (source / "beach").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (4, 4)).save(source / f"{number}.png")
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", layout)
    require_one_line(
        answer, str(source), "it holds the folder beach and 3 .png files (0.png, ...)", "--layout"
    )
    require_one_line(
        vidgan(capsys, "prepare", tmp_path / "no", tmp_path / "x", "--layout", layout), "no folder"
    )
    assert not (tmp_path / "x").exists()


def test_unknown_split(tmp_path: Path, capsys: Capture) -> None:
    answer = vidgan(capsys, "prepare", tmp_path, tmp_path / "x", "--layout", "ucf101", "--split", "trian01")
    require_one_line(answer, "trian01", "did you mean 'train01'")


def test_shares_of_many_machines_merge_to_the_same_bytes(tmp_path: Path, capsys: Capture) -> None:
    source = miniatures.bair(tmp_path / "source")
    whole, shared, apart = tmp_path / "whole", tmp_path / "shared", tmp_path / "apart"
    prepared(capsys, source, whole, "bair", "--split", "balanced-test")
    options = ("--layout", "bair", "--split", "balanced-test", "--workers", 0, "--size", 32)
    for number in (3, 1):
        answer = vidgan(capsys, "prepare", source, shared, *options, "--shard", f"{number}/3")
        assert answer.status == 0, answer.err
        assert f"part {number} of 3 is done" in answer.out
    assert sorted(path.name for path in shared.glob("shard-*")) == [
        "shard-00000.bin",
        "shard-00002.bin",
        "shard-00003.bin",
    ]
    require_one_line(vidgan(capsys, "inspect", shared), "not prepared to the end")
    # The second part comes from a machine with a disk of its own.
    assert vidgan(capsys, "prepare", source, apart, *options, "--shard", "2/3").status == 0
    shutil.copytree(apart, shared, dirs_exist_ok=True)
    answer = vidgan(capsys, "prepare", source, shared, *options)
    assert answer.status == 0, answer.err
    assert "5 of 5 clips were done before" in answer.err
    assert snapshot(shared) == snapshot(whole)
    assert vidgan(capsys, "prepare", source, shared, *options, "--shard", "2/3").status == 0


def test_a_share_leaves_alone_what_others_write(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from vidgan.data import prepare

    monkeypatch.setattr(prepare, "ENDING", 0.1)
    source, made = miniatures.bair(tmp_path / "source"), tmp_path / "made"
    options = ("--layout", "bair", "--split", "test", "--workers", 0, "--size", 32)
    assert vidgan(capsys, "prepare", source, made, *options, "--shard", "1/2").status == 0
    others = made / ".shard-00001.bin.abc.part.bin"
    own = made / ".shard-00000.bin.abc.part.bin"
    others.touch()
    own.touch()
    with (made / "unfinished" / "plan.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as the other machine's run holds it
        assert vidgan(capsys, "prepare", source, made, *options, "--shard", "1/2").status == 0
        require_one_line(vidgan(capsys, "prepare", source, made, *options), "another `vidgan prepare`")
    assert others.exists()
    assert not own.exists()
    for text in ("0/2", "3/2", "1", "a/b"):
        require_one_line(vidgan(capsys, "prepare", source, made, *options, "--shard", text), "--shard is I/N")
