"""Processes that share an evaluation: each computes some rows, and all have all of them, on whatever disks."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from commands import ENVIRONMENT, vidgan
from rank_faults import free_port
from test_evaluated import DEMO, NAMES, Codes, Listing, Numbered, of_model
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation import record
from vidgan.evaluation import rows as rows_module
from vidgan.evaluation.clips import DataClips, GeneratedClips
from vidgan.evaluation.protocols.base import Draw, EvaluationBatch, Protocol, Resources, Table
from vidgan.evaluation.record import evaluate_by
from vidgan.evaluation.rows import Kept, Work, compute_rows
from vidgan.evaluation.shares import Shares
from vidgan.run.logs import read_lines


class Meeting:
    """Of two processes, which are threads here."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=60)
        self._values: list[Any] = [None, None]

    def of(self, rank: int) -> Shares:
        """One of them."""

        def gather(value: Any) -> list[Any]:
            self._values[rank] = value
            self._barrier.wait()
            found = list(self._values)
            self._barrier.wait()
            return found

        return Shares(rank, 2, lambda: gather(None) and None, gather)


def in_two(work: Callable[[int], Any]) -> list[Any]:
    """What ``work(rank)`` gives in two threads."""
    with ThreadPoolExecutor(2) as pool:
        return [future.result(timeout=60) for future in [pool.submit(work, rank) for rank in range(2)]]


@pytest.mark.parametrize("where", ["one folder", "a folder each", "in memory"])
def test_processes_share_the_parts(tmp_path: Path, where: str) -> None:
    """Each computes its own, and both have all in the end; what one lacks later, the other has."""
    seen: list[list[int]] = [[], []]
    data = Numbered(8, 100, (16,))
    clips = DataClips(data, WindowSpec(size=8, frames=2), Draw(), 0)
    meeting = Meeting()

    def table(rank: int) -> Table:
        extractor = Codes().open(Resources(), NAMES)

        def rows(batch: EvaluationBatch) -> Any:
            seen[rank].append(len(batch.videos))
            return extractor.rows(batch)

        folder = {"one folder": tmp_path / "both", "a folder each": tmp_path / str(rank)}.get(where)
        work = Work(folder, meeting.of(rank))
        return compute_rows(clips, extractor._replace(rows=rows), work, "clips")[0]

    for found in in_two(table):
        assert found.get("codes").tolist() == [[16 * i % 256, (16 * i + 1) % 256] for i in range(100)]
        assert found.labels.tolist() == [i % 3 for i in range(100)]
    assert seen == [[32, 32], [32, 4]]
    if where == "a folder each":
        for rank, number in ((0, 1), (1, 2), (0, 3), (1, 3)):  # the last is nowhere any more
            (file,) = (tmp_path / str(rank)).rglob(f"rows-{32 * number:08d}-*.npz")
            file.unlink()
        first, second = in_two(table)
        assert first.get("codes").tolist() == second.get("codes").tolist() == found.get("codes").tolist()
        assert seen == [[32, 32, 4], [32, 4]]


def test_rows_are_removed_when_all_have_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process reads them when the first has ended or waits for it; none are left in the cache."""
    meeting, is_done, here = Meeting(), threading.Event(), threading.local()
    samples = of_model(DEMO)
    load, remove = Kept.load, record.forget

    class Slow(Kept):
        def load(self, numbers: range) -> Any:
            if here.rank == 1 and here.gathered == 2:  # what is missing, and what the other lacks
                assert is_done.wait(60)
            return load(self, numbers)

    def forget(folders: set[Path]) -> None:
        remove(folders)
        is_done.set()

    def measured(rank: int) -> Any:
        here.rank, here.gathered = rank, 0
        own = meeting.of(rank)

        def gather(value: Any) -> list[Any]:
            here.gathered += 1
            return own.gather(value)

        def wait() -> None:
            if rank == 0 and here.gathered == 2:
                is_done.set()
            own.wait()

        protocol = Protocol(metric=Listing(real=False), features=Codes(), clips=40, runs=1)
        work = Work(tmp_path, own._replace(gather=gather, wait=wait))
        (result,) = evaluate_by(samples, None, {"own": protocol}, work=work)
        return result.values

    monkeypatch.setattr(rows_module, "Kept", Slow)
    monkeypatch.setattr(record, "forget", forget)
    first, second = in_two(measured)
    assert first == second
    assert list(tmp_path.iterdir()) == []


def test_the_next_part_is_read_while_the_one_before_is_computed(tmp_path: Path) -> None:
    data, begun = Numbered(8, 80, (16,)), [threading.Event() for _ in range(3)]

    class Told(DataClips):
        decoded = True

        def read(self, numbers: range) -> EvaluationBatch:
            begun[numbers.start // 32].set()
            return super().read(numbers)

    extractor, part = Codes().open(Resources(), NAMES), iter(range(3))

    def rows(batch: EvaluationBatch) -> Any:
        following = next(part) + 1
        assert following == 3 or begun[following].wait(60), "the next part is read after these rows"
        return extractor.rows(batch)

    clips = Told(data, WindowSpec(size=8, frames=2), Draw(), 0)
    found = compute_rows(clips, extractor._replace(rows=rows), Work(tmp_path), "clips")[0]
    assert found.get("codes").tolist() == [[16 * i % 256, (16 * i + 1) % 256] for i in range(80)]


def test_reading_ahead_ends_with_the_clip_at_hand(tmp_path: Path) -> None:
    """An error in what looks at the clips, or an interruption, waits for no other."""
    data, read = Numbered(8, 80, (16,)), []

    class Told(DataClips):
        decoded = True

        def read(self, numbers: range) -> EvaluationBatch:
            read.append(numbers)
            if numbers.start >= 32:
                stopped.wait(0.2)
            return super().read(numbers)

    stopped = threading.Event()

    def rows(batch: EvaluationBatch) -> Any:
        raise KeyboardInterrupt

    clips = Told(data, WindowSpec(size=8, frames=2), Draw(), 0)
    extractor = Codes().open(Resources(), NAMES)
    with pytest.raises(KeyboardInterrupt):
        compute_rows(clips, extractor._replace(rows=rows), Work(tmp_path), "clips")
    assert len(read) <= 34


def test_a_dataset_of_ones_own_is_read_by_the_thread_that_opened_it(tmp_path: Path) -> None:
    threads = []

    class Told(Numbered):
        def read(self, *place: Any) -> Any:
            threads.append(threading.current_thread())
            return super().read(*place)

    clips = DataClips(Told(8, 40, (16,)), WindowSpec(size=8, frames=2), Draw(), 0)
    compute_rows(clips, Codes().open(Resources(), NAMES), Work(tmp_path), "clips")
    assert set(threads) == {threading.main_thread()}


def test_what_a_model_makes_is_made_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network that measures it computes on the same device."""
    threads = []
    read = GeneratedClips.read

    def told(self: GeneratedClips, numbers: range) -> EvaluationBatch:
        threads.append(threading.current_thread())
        return read(self, numbers)

    monkeypatch.setattr(GeneratedClips, "read", told)
    protocol = Protocol(metric=Listing(real=False), features=Codes(), clips=40, runs=1)
    evaluate_by(of_model(DEMO), None, {"own": protocol})
    assert set(threads) == {threading.main_thread()}
    assert len(threads) == 2


def test_rows_that_another_evaluation_removes_are_a_fault_in_words(tmp_path: Path) -> None:
    data = Numbered(8, 40, (16,))
    clips = DataClips(data, WindowSpec(size=8, frames=2), Draw(), 0)

    def gather(value: Any) -> list[Any]:
        for file in tmp_path.rglob("*.npz"):
            file.unlink()
        return [value]

    work = Work(tmp_path, Shares(gather=gather))
    with pytest.raises(UserError, match="have been removed"):
        compute_rows(clips, Codes().open(Resources(), NAMES), work, "clips")


@pytest.mark.long
@pytest.mark.slow
def test_nodes_that_share_the_run_alone_train_with_evaluations_and_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes, each with a cache folder of its own."""
    run = tmp_path / "run"
    measures = (
        "--reporting.best.protocol",
        "frechet-random",
        "--reporting.best.every",
        "1",
        "--reporting.best.clips",
        "34",
    )
    nodes(
        "train",
        "demo",
        "--tiny",
        "--data",
        "synthetic",
        "--out",
        run,
        "--steps",
        1,
        "--workers",
        0,
        *measures,
    )
    again = ("--protocol", "frechet-random", "--clips", 34)
    nodes("evaluate", run, *again)
    assert vidgan(capsys, "evaluate", run, *again).status == 0
    one, *others = read_lines(run / "metrics.jsonl")
    assert len(others) == 2
    assert all(each["value"] == one["value"] for each in others)


def nodes(*args: object) -> None:
    """``vidgan ARGS`` in two processes that have no cache in common."""
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    with tempfile.TemporaryDirectory() as folder:
        each = [
            subprocess.Popen(
                [sys.executable, "-m", "vidgan", *map(str, args)],
                env=ENVIRONMENT
                | place
                | {"RANK": rank, "LOCAL_RANK": rank, "XDG_CACHE_HOME": f"{folder}/{rank}"},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in ("0", "1")
        ]
        said = [process.communicate(timeout=200)[1] for process in each]
    assert [process.returncode for process in each] == [0, 0], said
