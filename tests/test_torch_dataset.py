"""A torch dataset of the user's own: read as it is, in this process and in workers; what it lacks is told in a line."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import vidgan
from commands import require_one_line
from commands import vidgan as command
from vidgan.data.loader import Batch, Loader
from vidgan.data.synthetic import SyntheticDataset
from vidgan.data.window import WindowSpec, check_usable, random_place
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.experiment import label_counts

WINDOW = WindowSpec(size=8, frames=3, stride=2, flip=True)

FILE = '''
import numpy, torch

class Clips(torch.utils.data.Dataset):
    """Clips whose pixels tell where they are from, some as arrays and some as tensors."""

    classes = ["even", "odd"]

    def __init__(self, count):
        self.count = count
        self.cannot_be_pickled = lambda: None

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        video = numpy.empty((7, 8, 11, 3), numpy.uint8)
        video[..., 0] = (16 * index + numpy.arange(7))[:, None, None]
        video[..., 1], video[..., 2] = numpy.arange(8)[:, None], numpy.arange(11)
        if index % 3 == 0:
            return torch.from_numpy(video), torch.tensor(index % 2)
        return video, index % 2

clips = Clips(9)

def made():
    return Clips(9)
'''


class Clips(torch.utils.data.Dataset[Any]):
    """Black clips of any number, which counts what is read; attributes as a user may give them."""

    def __init__(self, count: int, **attributes: Any) -> None:
        self.count, self.reads = count, list[int]()
        vars(self).update(attributes)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        self.reads.append(index)
        return np.full((7, 8, 11, 3), index % 256, np.uint8), index % 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my_data.py").write_text(FILE)
    return tmp_path / "my_data.py"


def batches(data: vidgan.data.Dataset, workers: int, number: int = 4) -> list[Batch]:
    with Loader(data, WINDOW, 3, workers) as loader:
        return list(loader.batches(iter([range(5 * i, 5 * i + 5) for i in range(number)])))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_are_cut_from_the_items(file: Path, workers: int) -> None:
    data = vidgan.open_dataset(f"{file}:clips")
    own = vidgan.user_code.load_object(f"{file}:clips")
    assert data.classes == ("even", "odd")
    assert len(data) == 9
    seen = set()
    for number, batch in enumerate(batches(data, workers)):
        for row in range(5):
            place = random_place(data, WINDOW, 3, 5 * number + row)
            video, label = own[place.clip]
            frames = [np.asarray(video)[place.start + 2 * t] for t in range(3)]
            squares = [frame[place.top : place.top + 8, place.left : place.left + 8] for frame in frames]
            expected = [square[:, ::-1] if place.flip else square for square in squares]
            assert (batch.video[row].numpy() == np.stack(expected)).all()
            assert int(batch.label[row]) == int(label)
            seen.add(place.clip)
    assert seen == set(range(9))


def test_a_function_may_make_it_and_it_pickles_by_its_name(file: Path) -> None:
    made, named = vidgan.open_dataset(f"{file}:made"), vidgan.open_dataset(f"{file}:clips")
    assert made.fingerprint == named.fingerprint
    assert made.source == f"{file}:made"
    blob = pickle.dumps(made)
    assert len(blob) < 500
    again = pickle.loads(blob)
    assert again.source == made.source
    assert (again.read(4, 1, 3, 2) == made.read(4, 1, 3, 2)).all()


def test_what_cannot_be_sent_to_workers_is_one_line(file: Path) -> None:
    unnamed = vidgan.open_dataset(vidgan.user_code.load_object(f"{file}:clips"))
    assert len(batches(unnamed, 0)) == 4
    with pytest.raises(UserError, match=r"cannot be sent to worker processes.*or read with 0 workers"):
        batches(unnamed, 1)


def test_any_sequence_of_pairs_does() -> None:
    pairs = [(np.full((7, 8, 8, 3), n, np.uint8), 0) for n in range(3)]
    data = vidgan.open_dataset(pairs)
    assert data.classes == ("all",)
    assert data.info(2) == (0, 7, 8, 8)
    assert (data.read(2, 1, 2, 3) == 2).all()
    assert vidgan.open_dataset(data) is data


def test_a_large_dataset_is_not_read_before_it_is_used() -> None:
    own = Clips(100_000, classes=["even", "odd"])
    data = vidgan.open_dataset(own)
    check_usable(data, WINDOW)
    assert data.fingerprint
    with Loader(data, WINDOW, 0, 0) as loader:
        next(loader.batches(iter([range(8)])))
    assert len(own.reads) < 1 + 17 + 8 + 1


def test_each_item_is_read_once_for_its_frames_and_label() -> None:
    own = Clips(50, classes=["even", "odd"])
    data = vidgan.open_dataset(own)
    check_usable(data, WINDOW)
    own.reads.clear()
    with Loader(data, WINDOW, 0, 0) as loader:
        list(loader.batches(iter([range(50)])))
    assert sorted(own.reads) == list(range(50))


def test_labels_are_known_from_targets_or_once_read() -> None:
    demo = preset("demo").replace(classes=2)
    own = Clips(6, classes=["even", "odd"], targets=torch.tensor([n % 2 for n in range(6)]))
    data = vidgan.open_dataset(own)
    assert data.labels().tolist() == [0, 1, 0, 1, 0, 1]
    assert own.reads == []
    assert label_counts(demo, data) == (1, 1)
    own = Clips(6, classes=["even", "odd"])
    data = vidgan.open_dataset(own)
    assert data.labels().tolist() == data.labels().tolist() == [0, 1, 0, 1, 0, 1]
    assert own.reads == list(range(6))


def test_sizes_that_differ_are_told_by_info() -> None:
    class Uneven(Clips):
        def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
            return np.zeros((7 + index, 8, 11 - index, 3), np.uint8), 0

    data = vidgan.open_dataset(Uneven(3))
    assert data.read(0, 0, 7).shape == (7, 8, 11, 3)
    with pytest.raises(
        UserError, match=r"^item 1 of .*Uneven is \(8, 8, 10\).*not \(7, 8, 11\).*info\(index\)"
    ):
        data.read(1, 0, 7)
    told = Uneven(3, info=lambda index: (7 + index, 8, np.int64(11 - index)))
    data = vidgan.open_dataset(told)
    assert data.sizes().tolist() == [[7, 8, 11], [8, 8, 10], [9, 8, 9]]
    assert data.info(2) == (0, 9, 8, 9)
    assert data.read(2, 2, 7).shape == (7, 8, 9, 3)
    with pytest.raises(UserError, match=r"1 of 3 clips .*item 0 of .*Uneven \(7 frames, needs 8\)"):
        check_usable(data, WindowSpec(size=8, frames=8))
    with pytest.raises(UserError, match=r"info\(0\) of .* must be three integers"):
        vidgan.open_dataset(Clips(3, info=lambda index: (7, 8))).sizes()


def test_fingerprints_tell_data_apart() -> None:
    def hashed(shift: int = 0, count: int = 20, **attributes: Any) -> str:
        class Shifted(Clips):
            def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
                video, label = super().__getitem__(index)
                return video + np.uint8(shift), label

        return vidgan.open_dataset(Shifted(count, **({"classes": ["a", "b"]} | attributes))).fingerprint

    assert hashed() == hashed()
    assert len({hashed(), hashed(1), hashed(classes=["a", "c"]), hashed(count=19)}) == 4
    assert hashed(fingerprint="mine") == "mine"
    with pytest.raises(UserError, match=r"fingerprint of .* must be text, not int"):
        hashed(fingerprint=3)


VIDEO = np.zeros((7, 8, 11, 3), np.uint8)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ((VIDEO[0], 0), r"item 0 of .*list is uint8 \(8, 11, 3\): videos must be uint8 \(T, H, W, 3\)"),
        ((torch.zeros(7, 3, 8, 8), 0), r"is float32 \(7, 3, 8, 8\): videos must be uint8"),
        ((VIDEO.transpose(0, 3, 1, 2), 0), r"is uint8 \(7, 3, 8, 11\)"),
        ((VIDEO[:0], 0), r"is uint8 \(0, 8, 11, 3\)"),
        (([1, 2], 0), "item 0 of .* has a list for a video"),
        (VIDEO, r"is a ndarray: items must be pairs \(video, label\)"),
        ((VIDEO, "cat"), "item 0 of .* has the label 'cat': labels must be integers"),
        ((VIDEO, 0.0), "label 0.0: labels must be integers"),
        ((VIDEO, 1), "has label 1, and the dataset names no classes: its attribute classes"),
        ((VIDEO, -1), "has label -1"),
    ],
)
def test_items_that_do_not_fit_are_named(item: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        vidgan.open_dataset([item]).read(0, 0, 1)
    assert "\n" not in str(caught.value)


def test_datasets_that_do_not_fit_are_refused(file: Path) -> None:
    class Endless(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter(())

    for source, said in (
        (Endless(), "Endless has no length: a dataset needs __len__ and __getitem__"),
        ([], "list holds no items"),
        (Clips(3, classes="ab"), "classes of .*Clips must be a list of different names, not 'ab'"),
        (Clips(3, classes=["a", "a"]), "different names"),
        (Clips(3, targets=[0, 1]), r"targets of .* an integer for each of its 3 items, not int64 \(2,\)"),
        (f"{file}:clip", "has no 'clip'.*clips"),
        (f"{file}x:clips", "no folder"),
        (f"{file.parent}/none.py:clips", "there is no Python file"),
    ):
        with pytest.raises(UserError, match=said):
            vidgan.open_dataset(source)
    lied = vidgan.open_dataset(Clips(3, classes=["a", "b"], targets=[0, 0, 0]))
    with pytest.raises(UserError, match=r"item 1 of .* has label 1, and targets says 0"):
        lied.read(1, 0, 1)
    with pytest.raises(IndexError):
        lied.info(3)
    with pytest.raises(UserError, match=r"item 1 of .* has 7 frames: no window 5\.\.7 by 1"):
        vidgan.open_dataset(Clips(3, classes=["a", "b"])).read(1, 5, 3)


def test_built_in_clips_by_name() -> None:
    data = vidgan.open_dataset("synthetic-open", size=16, frames=5, clips=12, seed=4)
    assert isinstance(data, SyntheticDataset)
    assert (data.spec.size, data.spec.frames, data.spec.clips, data.spec.seed) == (16, 5, 12, 4)
    assert data.spec.middle
    assert data.source == "synthetic-open"
    assert vidgan.open_dataset("synthetic").source == "synthetic"
    with pytest.raises(UserError, match="size, seed can be chosen for built-in clips alone"):
        vidgan.open_dataset([(VIDEO, 0)], size=16, seed=0)


@pytest.mark.slow
def test_the_command_line_trains_on_it(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, short = tmp_path / "run", ("--steps", 2, "--reporting.tick", 1)
    size = ("--tiny", "--levels.0.frames", 3, "--reporting.samples", 100)
    answer = command(capsys, "train", "demo", *size, *short, "--data", f"{file}:clips", "--out", run)
    require_one_line(answer, "9 of 9 clips hold no window")
    larger = {"(7, 8, 11, 3)": "(7, 26, 31, 3)", "arange(8)": "arange(26)", "arange(11)": "arange(31)"}
    for old, new in larger.items():
        file.write_text(file.read_text().replace(old, new))
    named = f"{file.rename(tmp_path / 'renamed.py')}:clips"  # a file is imported once
    answer = command(capsys, "train", "demo", *size, *short, "--data", named, "--out", run, "--workers", 1)
    assert answer.status == 0, answer.err
    answer = command(capsys, "evaluate", run, "--protocol", "psd", "--clips", 4)
    require_one_line(answer, f"name them by --data {named}")
