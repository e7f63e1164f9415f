"""Many clips of tiny frames: prepared in 8 parts by 8 processes, joined, and read by 4 that share every batch.

    python benchmarks/many_clips.py --clips 100000

Prints seconds by the clock and of the processor, and how much memory each process holds beyond what it held once all
was imported. ``--store`` reads the sources through fsspec, as from an object store, each copied to a temporary file.

    python benchmarks/many_clips.py --clips 100000 --server build/object-store/bin/moto_server

does it by a server of S3's protocol, which this program is (moto's; ``.ci/integrations`` installs it): every source is
an object of it, and so is every file of the prepared data, which 4 ranks read through a cache on the local disk, an
epoch of them and, in new processes, the next one. With ``--from-disk`` sources are files, and only the prepared data
are in the store. Requests are counted by the processes that make them, and the bytes of objects that come.
"""

import argparse
import io
import multiprocessing
import os
import resource
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

import fsspec
import numpy as np
from PIL import Image

from vidgan.cli.prepare import run
from vidgan.data.fetched import VARIABLE
from vidgan.data.loader import Loader
from vidgan.data.open import open_dataset
from vidgan.data.window import WindowSpec

PARTS: Final = 8
RANKS: Final = 4
SIDE, FRAMES, CLASSES = 8, 4, 10
BATCH: Final = 256
"""clips, over all ranks"""
CLIPS_READ: Final = 100_000
BUCKET: Final = "s3://many-clips"
PUT: Final = 500
"""objects that are put at a time"""
MIB: Final = 2**20


def picture(number: int) -> bytes:
    """A strip of random colours, as PNG."""
    rng = np.random.default_rng((0, number))
    file = io.BytesIO()
    colours = rng.integers(0, 256, (SIDE, SIDE * FRAMES, 3), dtype=np.uint8)
    Image.fromarray(colours).save(file, "png", compress_level=0)
    return file.getvalue()


def name_of(number: int) -> str:
    """The path of a clip below the source: a folder per class."""
    return f"{number % CLASSES:02d}/{number:06d}.png"


def write_sources(folder: Path, clips: int) -> None:
    """Clips as files."""
    if folder.exists():
        return
    for number in range(CLASSES):
        (folder / f"{number:02d}").mkdir(parents=True)
    for number in range(clips):
        (folder / name_of(number)).write_bytes(picture(number))


def make_bucket() -> None:
    """The bucket for all of it."""
    system, root = fsspec.core.url_to_fs(BUCKET)
    system.mkdir(root)


def put_sources(clips: int) -> None:
    """Clips as objects."""
    system, root = fsspec.core.url_to_fs(f"{BUCKET}/source")
    for first in range(0, clips, PUT):
        numbers = range(first, min(first + PUT, clips))
        system.pipe({f"{root}/{name_of(number)}": picture(number) for number in numbers})


def put_prepared(dest: Path) -> None:
    """Copy what is prepared to the store."""
    system, root = fsspec.core.url_to_fs(f"{BUCKET}/prepared")
    for file in dest.iterdir():
        system.pipe_file(f"{root}/{file.name}", file.read_bytes())


class Worked(NamedTuple):
    """What a process took."""

    grown: int
    """bytes by which it grew at most"""
    requests: int
    """that it made of the store"""
    fetched: int
    """bytes of objects"""


def together(works: Sequence[Callable[[], None]], counts: bool) -> list[Worked]:
    """Do them side by side, in processes forked from this one.

    Args:
        counts: requests to the store.
    """
    context = multiprocessing.get_context("fork")  # all is imported, and there are no threads
    pipes = [context.Pipe(duplex=False) for _ in works]
    started = [
        context.Process(target=_worked, args=(work, end, counts))
        for work, (_, end) in zip(works, pipes, strict=True)
    ]
    for process in started:
        process.start()
    for _, end in pipes:
        end.close()
    done = [Worked(*receiver.recv()) for receiver, _ in pipes]
    for process in started:
        process.join()
    return done


def _worked(work: Callable[[], None], end: Connection, counts: bool) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = held("VmRSS")
    seen = counted() if counts else Counter[str]()
    work()
    end.send((held("VmHWM") - before, seen["requests"], seen["fetched"]))


def counted() -> Counter[str]:
    """Requests of this process from now on, and bytes of objects that came, as they are made."""
    seen = Counter[str]()

    def note(parsed: dict[str, Any], model: Any, **more: Any) -> None:
        seen["requests"] += 1
        if model.name == "GetObject":
            seen["fetched"] += parsed.get("ContentLength", 0)

    system, _ = fsspec.core.url_to_fs(BUCKET)  # which is the one that readers get
    system.connect()
    system.s3.meta.events.register("after-call.s3", note)
    return seen


def held(what: str) -> int:
    """Bytes of this process that are in memory (VmRSS), or were at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{what}:")).split()[1])


def prepare(source: str, dest: Path, part: int) -> None:
    """Prepare one part; 0 joins them all."""
    words = [source, str(dest), "--layout", "strips", "--size", str(SIDE), "--workers", "0"]
    run([*words, *(["--shard", f"{part}/{PARTS}"] if part else [])])


def read(place: str, rank: int, epoch: int = 0) -> None:
    """Read one rank's share of batches, until so many clips have been read by all."""
    os.environ["LOCAL_RANK"] = str(rank)
    dataset = open_dataset(place)
    share = BATCH // RANKS
    begin = epoch * CLIPS_READ
    firsts = range(begin, begin + CLIPS_READ, BATCH)
    rows = (range(first + rank * share, first + (rank + 1) * share) for first in firsts)
    with_frames = WindowSpec(size=SIDE, frames=FRAMES)
    for _ in Loader(dataset, with_frames, seed=0, workers=0).batches(rows):
        pass


@contextmanager
def served(program: str) -> Iterator[int]:
    """A server of S3's protocol without objects, which this process and its children use; its process's number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}
    own["ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    os.environ |= {f"AWS_{name}": value for name, value in own.items()}
    with subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL) as server:
        try:
            while server.poll() is None:
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield server.pid
        finally:
            server.kill()


def took(name: str, works: Sequence[Callable[[], None]], server: int | None = None) -> None:
    """Do ``works`` together, and print what they took.

    Args:
        server: number of the process whose requests are counted; None: there is none.
    """
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = 0.0 if server is None else processor(server)
    done = together(works, server is not None)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    line = (
        f"{name}: {time.monotonic() - began:.1f} s, {work:.1f} s of the processor, "
        f"at most {max(each.grown for each in done) / MIB:.0f} MiB each"
    )
    if server is not None:
        line += (
            f", {sum(each.requests for each in done):,} requests, "
            f"{sum(each.fetched for each in done) / MIB:.1f} MiB fetched; the server {processor(server) - busy:.1f} s "
            f"of the processor, {resident(server) / MIB:.0f} MiB"
        )
    print(line, flush=True)


def processor(process: int) -> float:
    """Seconds of the processor that a process has taken."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> int:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("build/many-clips"))
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--server", help="program that serves S3's protocol (moto_server)")
    parser.add_argument("--from-disk", action="store_true", help="with --server: sources are files")
    asked = parser.parse_args()
    source, dest = asked.folder.absolute() / "source", asked.folder.absolute() / "prepared"
    shutil.rmtree(dest, ignore_errors=True)
    what = f"{CLIPS_READ:,} clips read by {RANKS} ranks"
    by_parts = f"prepared by {PARTS} processes"
    place = f"file://{source}" if asked.store else str(source)
    if asked.server is None or asked.from_disk:
        write_sources(source, asked.clips)
    if asked.server is None:
        took(by_parts, [partial(prepare, place, dest, 1 + n) for n in range(PARTS)])
        took("joined", [partial(prepare, place, dest, 0)])
        took(what, [partial(read, str(dest), rank) for rank in range(RANKS)])
        return
    fsspec.get_filesystem_class("s3")  # imported before processes are forked
    cache = asked.folder.absolute() / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    os.environ[VARIABLE] = str(cache)
    with served(asked.server) as server:
        took("a bucket made", [make_bucket], server)
        if not asked.from_disk:
            place = f"{BUCKET}/source"
            took(f"{asked.clips:,} sources put", [partial(put_sources, asked.clips)], server)
        took(by_parts, [partial(prepare, place, dest, 1 + n) for n in range(PARTS)], server)
        took("joined", [partial(prepare, place, dest, 0)], server)
        took("prepared data put", [partial(put_prepared, dest)], server)
        for epoch, state in enumerate(("nothing in the cache", "all in the cache")):
            works = [partial(read, f"{BUCKET}/prepared", rank, epoch) for rank in range(RANKS)]
            took(f"{what}, {state}", works, server)


if __name__ == "__main__":
    main()
