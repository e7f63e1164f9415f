"""Items and batches: pure functions of (seed, n), whatever cuts them; faults arrive, nothing hangs."""

import itertools
import multiprocessing
import multiprocessing.process
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vidgan
from painted import WINDOW, Painted
from vidgan.data.loader import Loader, to_float
from vidgan.data.window import (
    InClasses,
    WindowSpec,
    centre_item,
    check_usable,
    random_item,
    random_place,
    resizing,
)
from vidgan.errors import UserError
from vidgan.spec import SpecError


@pytest.fixture(autouse=True)
def others_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that tests before this one have left are not this one's."""
    before = {child.pid for child in multiprocessing.active_children()}
    active = multiprocessing.active_children

    def own_children() -> list[multiprocessing.process.BaseProcess]:
        return [child for child in active() if child.pid not in before]

    monkeypatch.setattr(multiprocessing, "active_children", own_children)


def numbers(batch: int, batches: int) -> Iterator[list[int]]:
    return iter([list(range(i * batch, (i + 1) * batch)) for i in range(batches)])


def test_item_is_one_whole_window_of_its_clip() -> None:
    data = Painted(5)
    for n in range(40):
        item = random_item(data, WINDOW, 3, n)
        assert item.frames.shape == (3, 8, 8, 3)
        assert item.frames.dtype == np.uint8
        assert item.label == item.index % 2
        times = item.frames[:, 0, 0, 0].astype(int) - 16 * item.index
        assert times[0] >= 0
        assert times[-1] < data.info(item.index).frames
        assert np.diff(times).tolist() == [2, 2]
        top, left = int(item.frames[0, 0, 0, 1]), int(item.frames[0, 0, 0, 2])
        assert (item.frames[..., 1] == (top + np.arange(8))[:, None]).all()
        assert (item.frames[..., 2] == left + np.arange(8)).all()


@pytest.mark.parametrize("together", [1, 2, 3])
def test_classes_take_turns_as_often_as_they_have_clips(together: int) -> None:
    labels = np.array([0] * 24 + [1] * 12 + [2] * 7)[np.random.default_rng(0).permutation(43)]
    order = InClasses(labels, together, seed=5)
    epochs = [[order(43 * e + i) for i in range(43)] for e in range(4)]
    assert all(sorted(epoch) == list(range(43)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    for epoch in epochs:
        left = sum(int((labels == c).sum()) % together for c in range(3))
        groups = labels[epoch[: 43 - left]].reshape(-1, together)
        assert (groups == groups[:, :1]).all()
        # In any third of the groups a class has a third of its own, give or take one.
        for c in range(3):
            found = groups[:, 0] == c
            for third in np.array_split(found, 3):
                assert abs(third.sum() - found.sum() / 3) <= 2, (c, epoch)
    assert [order(n) for n in range(43)] == epochs[0]  # going back changes nothing


def test_every_epoch_holds_every_clip_once_in_its_own_order() -> None:
    data = Painted(9)
    epochs = [[random_item(data, WINDOW, 0, 9 * e + i).index for i in range(9)] for e in range(6)]
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 4


def test_items_depend_on_seed_and_number_only() -> None:
    data = Painted(7)
    once = [random_item(data, WINDOW, 1, n) for n in range(20)]
    again = [random_item(Painted(7), WINDOW, 1, n) for n in reversed(range(20))][::-1]
    assert all((a.frames == b.frames).all() and a.index == b.index for a, b in zip(once, again, strict=True))
    other = [random_item(data, WINDOW, 2, n) for n in range(20)]
    assert any((a.frames != b.frames).any() for a, b in zip(once, other, strict=True))


@pytest.mark.parametrize("shape", [(8, 11), (10, 8)])
def test_every_start_square_and_side_occurs_about_equally_often(shape: tuple[int, int]) -> None:
    data, window = Painted(1, shape=shape), WINDOW.replace(flip=True)
    items = [random_item(data, window, 5, n).frames for n in range(1800)]
    starts = np.bincount([f[0, 0, 0, 0] for f in items])
    tops = np.bincount([f[0, 0, 0, 1] for f in items])
    lefts = np.bincount([f[0, 0, :, 2].min() for f in items])
    flips = np.bincount([int(f[0, 0, 0, 2] > f[0, 0, 1, 2]) for f in items])
    for counts, choices in ((starts, 3), (tops, shape[0] - 7), (lefts, shape[1] - 7), (flips, 2)):
        expected = 1800 / choices
        assert len(counts) == choices
        assert np.abs(counts - expected).max() < 5 * expected**0.5


def test_centre_item_is_the_first_window_and_the_central_square() -> None:
    frames = centre_item(Painted(4), WINDOW.replace(flip=True), 2).frames
    assert frames[:, 0, 0].tolist() == [[32, 0, 1], [34, 0, 1], [36, 0, 1]]


@pytest.mark.parametrize("shape", [(20, 31), (31, 20), (16, 16), (8, 11)])
def test_larger_clips_are_resized_by_their_shorter_side_and_cropped_by_the_longer(
    shape: tuple[int, int],
) -> None:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (5, *shape, 3), dtype=np.uint8)
    video = np.repeat(np.repeat(video[:, ::4, ::4], 4, axis=1), 4, axis=2)[:, : shape[0], : shape[1]]
    data = vidgan.open_dataset([(video, 0)])
    scale = 8 / min(shape)
    height, width = (round(side * scale) for side in shape)
    frames = [Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR) for frame in video]
    whole = np.stack([np.asarray(frame) for frame in frames]).astype(int)
    top, left = (height - 8) // 2, (width - 8) // 2
    central = centre_item(data, WindowSpec(size=8, frames=5), 0).frames
    assert np.abs(central - whole[:, top : top + 8, left : left + 8]).max() <= 3
    seen = set()
    for n in range(40):
        place = random_place(data, WindowSpec(size=8, frames=2), 0, n)
        cropped = whole[place.start : place.start + 2, place.top : place.top + 8, place.left : place.left + 8]
        item = random_item(data, WindowSpec(size=8, frames=2), 0, n).frames
        assert np.abs(item - cropped).max() <= 3
        seen.add((place.top, place.left))
    assert len(seen) == max(height, width) - 7
    said = resizing(data, WindowSpec(size=8, frames=2))
    assert (said is None) == (min(shape) == 8)
    assert said is None or "1 of 1 clips are larger than 8 pixels" in said


def test_short_and_small_clips_are_named() -> None:
    with pytest.raises(UserError, match=r"2 of 6 clips.*clip 0 \(7 frames, needs 8\); clip 3"):
        check_usable(Painted(6), WindowSpec(size=8, frames=8))
    with pytest.raises(UserError, match=r"6 of 6.*clip 4 \(11x8 pixels, needs 9x9\); and 1 more"):
        check_usable(Painted(6), WindowSpec(size=9, frames=2))
    with pytest.raises(UserError, match="no clips"):
        check_usable(Painted(0), WINDOW)
    check_usable(Painted(6), WindowSpec(size=8, frames=7))
    with pytest.raises(SpecError, match="stride"):
        WindowSpec(stride=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_equal_items_whatever_the_workers(workers: int) -> None:
    data = Painted(5)
    with Loader(data, WINDOW, 3, workers) as loader:
        got = list(loader.batches(numbers(4, 9)))
        short = list(loader.batches(iter([[4, 0], [1]])))
    assert len(got) == 9
    for number, batch in enumerate(got):
        items = [random_item(data, WINDOW, 3, number * 4 + i) for i in range(4)]
        assert (batch.video.numpy() == np.stack([item.frames for item in items])).all()
        assert batch.label.tolist() == [item.label for item in items]
    assert batch.video.dtype == torch.uint8
    assert batch.label.dtype == torch.int64
    assert [len(batch.label) for batch in short] == [2, 1]
    assert (short[1].video[0].numpy() == random_item(data, WINDOW, 3, 1).frames).all()


@pytest.mark.slow
def test_endless_stream_is_left_without_orphans() -> None:
    with Loader(Painted(5), WINDOW, 0, 2) as loader:
        stream = loader.batches([n] for n in itertools.count())
        for _ in range(3):
            next(stream)
        assert len(multiprocessing.active_children()) == 2
        stream.close()
        assert not multiprocessing.active_children()
        other = loader.batches([n] for n in itertools.count())
        next(other)
    assert not multiprocessing.active_children()
    assert list(other) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_fault_of_a_clip_arrives_in_its_turn(workers: int) -> None:
    data = Painted(10, broken=3)
    position = [random_item(Painted(10), WINDOW, 0, n).index for n in range(10)].index(3)
    with Loader(data, WINDOW, 0, workers) as loader:
        stream = loader.batches([n] for n in itertools.count())
        for _ in range(position):
            next(stream)
        with pytest.raises(UserError, match=r"^clip 3 has vanished$"):
            next(stream)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_dead_worker_is_replaced_and_nothing_is_lost(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = Painted(6, deadly=2, once=tmp_path / "died")
    with Loader(data, WINDOW, 0, 2) as loader:
        got = list(loader.batches(numbers(2, 8)))
    assert len(got) == 8
    for number, batch in enumerate(got):
        items = [random_item(Painted(6), WINDOW, 0, 2 * number + i) for i in range(2)]
        assert (batch.video.numpy() == np.stack([item.frames for item in items])).all()
        assert batch.label.tolist() == [item.label for item in items]
    said = capfd.readouterr().err
    assert said == "a data worker died (signal 9) at clip 2; another resumes there\n"


@pytest.mark.slow
def test_worker_that_dies_twice_at_a_clip_is_reported() -> None:
    with (
        Loader(Painted(6, deadly=2), WINDOW, 0, 2) as loader,
        pytest.raises(UserError, match=r"worker died \(signal 9\) twice at clip 2: out of memory"),
    ):
        list(loader.batches(numbers(2, 8)))
    assert not multiprocessing.active_children()


def test_fault_of_the_caller_arrives() -> None:
    def bad() -> Iterator[list[int]]:
        yield [0]
        raise ZeroDivisionError

    with Loader(Painted(6), WINDOW, 0, 1) as loader, pytest.raises(ZeroDivisionError):
        list(loader.batches(bad()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(f"""
        import itertools, multiprocessing, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from painted import WINDOW, Painted
        from vidgan.data.loader import Loader
        if __name__ == "__main__":
            with Loader(Painted(4), WINDOW, 0, 2) as loader:
                for number, batch in enumerate(loader.batches([n] for n in itertools.count())):
                    if number == 0:
                        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        """)
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    process.send_signal(how)
    errors = process.stderr.read()
    assert process.wait(timeout=20) != 0
    if how is signal.SIGINT:
        assert errors.count("Traceback") == 1, errors  # the parent's own
        assert "KeyboardInterrupt" in errors
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, workers))


@pytest.mark.slow
def test_a_script_that_leaves_its_loader_open_ends(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(f"""
        import itertools, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from painted import WINDOW, Painted
        from vidgan.data.loader import Loader
        if __name__ == "__main__":
            loader = Loader(Painted(4), WINDOW, 0, 1)
            batches = loader.batches([n] for n in itertools.count())
            print(len(next(batches).label))
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_memory_that_cannot_be_shared_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with (
        Loader(Painted(6), WINDOW, 0, 2) as loader,
        pytest.raises(UserError, match=r"/dev/shm has no room for 5 batches of .* MiB: give"),
    ):
        next(loader.batches(numbers(4, 8)))


@pytest.mark.slow
def test_memory_is_not_written_again_before_it_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    clone = torch.Tensor.clone

    def slow(tensor: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)  # the worker is faster
        return clone(tensor)

    monkeypatch.setattr(torch.Tensor, "clone", slow)
    with Loader(Painted(5), WINDOW, 3, 1) as loader:
        for number, batch in enumerate(loader.batches(numbers(2, 8))):
            items = [random_item(Painted(5), WINDOW, 3, 2 * number + i) for i in range(2)]
            assert (batch.video.numpy() == np.stack([item.frames for item in items])).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_pinned_where_that_is_asked_for(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:  # needs a GPU
        pinned.append(tensor.detach().clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    with Loader(Painted(5), WINDOW, 0, workers, pin=True) as loader:
        (batch,) = loader.batches(iter([[0, 1]]))
    assert batch.video is pinned[0]
    with Loader(Painted(5), WINDOW, 0, workers) as loader:
        list(loader.batches(iter([[0, 1]])))
    assert len(pinned) == 1


def test_reading_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with Loader(Painted(6), WINDOW, 0, 0) as loader:
        list(loader.batches(numbers(2, 3)))
    assert torch.equal(torch.rand(3), expected)


def test_to_float_is_one_copy_in_video_order() -> None:
    bytes_ = (
        torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16, 1).expand(2, 3, 16, 16, 3).contiguous()
    )
    video = to_float(bytes_)
    assert video.shape == (2, 3, 3, 16, 16)
    assert video.permute(0, 1, 3, 4, 2).is_contiguous()
    expected = (np.arange(256) / 127.5 - 1).reshape(16, 16)
    assert np.abs(video[1, 2, 1].numpy() - expected).max() < 1e-6
    assert video.min() == -1
    assert video.max() == 1


def test_window_and_place_pickle() -> None:
    assert pickle.loads(pickle.dumps(WINDOW)) == WINDOW
