"""Published datasets in miniature, in the form in which they are distributed: real files, written here."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videos import picture, write_video

FRAMES = 12


def video(path: Path, first: int = 0, frames: int = FRAMES) -> None:
    """A video whose frames tell their number, from ``first`` on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, pictures=[picture(first + number) for number in range(frames)])


def ucf101(folder: Path) -> Path:
    """Two classes, two groups of two clips each, and the first official split."""
    lists = {"train": [], "test": []}  # type: dict[str, list[str]]
    for number, action in enumerate(("ApplyEyeMakeup", "HandstandPushups"), 1):
        for group in (1, 8):
            for clip in (1, 2):
                # As published: the folder says Handstand, the files HandStand.
                stem = f"v_{action.replace('stand', 'Stand')}_g{group:02d}_c{clip:02d}.avi"
                video(folder / "UCF-101" / action / stem, first=clip)
                name = f"{action}/{stem}"
                lists["test" if group == 1 else "train"].append(name if group == 1 else f"{name} {number}")
    place = folder / "ucfTrainTestlist"
    place.mkdir()
    (place / "classInd.txt").write_bytes(b"1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n")
    for part, names in lists.items():
        (place / f"{part}list01.txt").write_bytes("\r\n".join([*names, ""]).encode())
    return folder


def kinetics(folder: Path) -> Path:
    """A table in Kinetics-700's form: two trimmed videos, one whole one, two that are missing."""
    rows = [
        ("abseiling", "-3B32lodo2M", 59, 69),
        ("abseiling", "3caPS4FHFF8", 36, 46),
        ("zumba", "_zoom_a-b12", 0, 1),  # its whole video is there
        ("zumba", "missing0000", 5, 15),
        ("yodelling", "missing0001", 5, 15),
    ]
    (folder / "annotations").mkdir(parents=True)
    text = "label,youtube_id,time_start,time_end,split\n"
    text += "".join(f"{label},{name},{start},{end},train\n" for label, name, start, end in rows)
    (folder / "annotations" / "train.csv").write_text(text)
    (folder / "annotations" / "val.csv").write_text(
        text.splitlines()[0] + "\nzumba,elsewhere00,1,11,validate\n"
    )
    video(folder / "train" / "abseiling" / "-3B32lodo2M_000059_000069.mp4")
    video(folder / "train" / "abseiling" / "3caPS4FHFF8_000036_000046.mp4")
    video(folder / "untrimmed" / "_zoom_a-b12.mkv")
    return folder


def bdd100k(folder: Path) -> Path:
    """Three videos in two splits."""
    for name in ("train/0000f77c-6257be58", "train/0000f77c-62c2a288", "val/b1c66a42-6f7d68ca"):
        video(folder / "bdd100k" / "videos" / f"{name}.mov")
    return folder


def bair(folder: Path) -> Path:
    """Ten trajectories to train on, in two files, and two to test, as TFRecords."""
    train, test = folder / "softmotion30_44k" / "train", folder / "softmotion30_44k" / "test"
    for place, name, numbers in (
        (train, "traj_10_to_11", range(8, 10)),  # sorts before traj_2 by name, after it by number
        (train, "traj_2_to_9", range(8)),
        (test, "traj_0_to_1", range(100, 102)),
    ):
        place.mkdir(parents=True, exist_ok=True)
        examples = b"".join(record(example(trajectory(number))) for number in numbers)
        (place / f"{name}.tfrecords").write_bytes(examples)
    return folder


def trajectory(number: int) -> NDArray[np.uint8]:
    """The frames of a BAIR trajectory."""
    return np.random.default_rng(number).integers(0, 256, (FRAMES, 64, 64, 3), dtype=np.uint8)


def moving_mnist(folder: Path) -> Path:
    """Five clips of twenty frames in Moving MNIST's order of axes (T, N, H, W)."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(
        folder / "mnist_test_seq.npy", np.random.default_rng(0).integers(0, 256, (20, 5, 64, 64), np.uint8)
    )
    return folder


def example(frames: NDArray[np.uint8]) -> bytes:
    """A tf.train.Example as BAIR's: two cameras, an action and a position for every frame."""
    entries = []
    for number, frame in enumerate(frames):
        values: Mapping[str, bytes] = {
            f"{number}/image_main/encoded": field(1, field(1, (255 - frame).tobytes())),
            f"{number}/image_aux1/encoded": field(1, field(1, frame.tobytes())),
            f"{number}/action": field(2, field(1, struct.pack("<4f", 0.1, -0.2, 0.3, 0.0))),
        }
        entries += [field(1, field(1, name.encode()) + field(2, value)) for name, value in values.items()]
    return field(1, b"".join(entries))


def field(number: int, data: bytes) -> bytes:
    """A protocol buffer's field of bytes."""
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    low: Sequence[int] = [value & 127 | (128 if value > 127 else 0)]
    return bytes(low) + (varint(value >> 7) if value > 127 else b"")


def record(data: bytes) -> bytes:
    """A record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return (
        length
        + struct.pack("<I", masked(crc32c(length)))
        + data
        + struct.pack("<I", masked(crc32c(data[:8])))
    )


def crc32c(data: bytes) -> int:
    """By its definition, bit by bit (RFC 3720, appendix B.4)."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            odd = (register ^ byte >> bit) & 1
            register = register >> 1 ^ (0x82F63B78 if odd else 0)
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """As TFRecord files store a checksum."""
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


ALL = {"ucf101": ucf101, "kinetics": kinetics, "bdd100k": bdd100k, "bair": bair, "moving-mnist": moving_mnist}
"""Makers of the miniatures by the name of their layout"""
