"""Damaged and impossible input for every verb: exit status 0 or 2, one line, bounded time and memory, nothing outside.

    python tests/fuzz.py --cases 10000      # goes on where the last call stopped; build/fuzz has what was found

Case i is a function of i. Each command runs in a process of its own, forked from this one, with a limit on its memory
and its time. What it writes is compared with where it may write.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import miniatures
from videos import write_video

MEMORY = 3 * 2**30
"""bytes that a command may take beyond what this process has"""
SECONDS = 60
"""of processor time that a command may take"""
WAIT = 5 * SECONDS
"""of the clock, on a machine that others use too"""
FINE, REFUSED = 0, 2

Words = tuple[object, ...]


class Kind(NamedTuple):
    """Input of one kind."""

    make: Callable[[Path], None]
    """writes it into a folder"""
    commands: Callable[[Path, Path], Sequence[Words]]
    """what reads it, given the folder and a place for output"""


class Outcome(NamedTuple):
    """What a command did."""

    verb: str
    status: int
    """of the process; negative: killed by a signal"""
    err: str
    seconds: float

    @property
    def fault(self) -> str | None:
        """What is wrong; None where all is right."""
        lines = self.err.strip().splitlines()
        if self.status in (-signal.SIGKILL, -signal.SIGXCPU):
            return f"hangs: more than {SECONDS} s of processor time, or {WAIT} s of the clock"
        if self.status not in (FINE, REFUSED):
            return f"status {self.status}: {lines[-1] if lines else ''}"
        if "Traceback" in self.err:
            return "a traceback"
        told = [line for line in lines if line.startswith("vidgan: error: ")]
        if self.verb == "inspect" and not told:  # it found damage, and lists it
            return None
        if self.status == REFUSED and (len(told) != 1 or lines[-1] != told[0]):
            return f"status 2 and {len(told)} lines that say why"
        return None


def run(words: Sequence[object], folder: Path) -> Outcome:
    """Run ``vidgan WORDS`` in a forked process whose home, caches and working folder are in ``folder``."""
    began, err = time.monotonic(), folder / "err"
    (folder / "home").mkdir(exist_ok=True)
    child = os.fork()
    if not child:
        _be(list(map(str, words)), folder, err)
    status = _ending(child, began + WAIT)
    return Outcome(
        str(words[0]) if words else "", status, err.read_text(errors="replace"), time.monotonic() - began
    )


def _be(words: list[str], folder: Path, err: Path) -> None:
    """Become the command; does not return."""
    status = 99
    try:
        os.setsid()
        os.chdir(folder / "home")
        os.environ |= {name: str(folder / "home") for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
        tempfile.tempdir = None
        out = os.open(os.devnull, os.O_RDWR)
        for number, file in enumerate((out, out, os.open(err, os.O_CREAT | os.O_TRUNC | os.O_WRONLY))):
            os.dup2(file, number)
        own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY, own + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
        from vidgan.cli import main

        status = main(words)
        sys.stdout.flush()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(status)


def _ending(child: int, deadline: float) -> int:
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL


def forked(do: Callable[[], None]) -> None:
    """Do something in a forked process: this one must not start threads, which do not survive a fork."""
    child = os.fork()
    if not child:
        status = 1
        try:
            do()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Input of every kind


TRAIN: Words = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0)
EVERY: Words = ("--reporting.tick", 1, "--reporting.checkpoint", 1, "--reporting.samples", 1)


def command(*words: object) -> None:
    from vidgan.cli import main

    assert main(list(map(str, words))) == 0, words


def make_run(folder: Path) -> None:
    command(*TRAIN, "--steps", 2, "--out", folder / "run", *EVERY)
    command("evaluate", folder / "run", "--protocol", "pixel-statistics", "--clips", 4)
    command(
        "sample", folder / "run", "--clips", 2, "--out", folder / "run/samples/classes", "--format", "webp"
    )


def of_run(folder: Path, out: Path) -> Sequence[Words]:
    run = folder / "run"
    return (
        ("sample", run, "--out", out, "--clips", 1, "--format", "npy"),
        ("sample", run, "--out", out, "--clips", 1, "--checkpoint", "best"),
        (*TRAIN, "--steps", 3, "--out", run, *EVERY, "--resume"),
        (*TRAIN, "--steps", 1, "--out", out, "--init-from", run),
        ("report", run),
        ("compare", run),
        ("plot", "curves", run, "--scalar", "loss/generator", "--out", out.with_suffix(".svg")),
        ("evaluate", run, "--protocol", "pixel-statistics", "--clips", 4),
    )


def make_predictor(folder: Path) -> None:
    command("train", "demo-prediction", *TRAIN[2:], "--steps", 1, "--out", folder / "run")
    write_video(folder / "video.mp4")
    write_video(folder / "video.gif")


def of_predictor(folder: Path, out: Path) -> Sequence[Words]:
    return tuple(
        ("predict", folder / "run", folder / name, "--out", out, "--futures", 1)
        for name in ("video.mp4", "video.gif")
    )


def make_videos(folder: Path) -> None:
    for name in ("a/1.mp4", "a/2.avi", "b/1.webm", "b/2.gif"):
        (folder / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / "videos" / name, frames=5)


def of_videos(folder: Path, out: Path) -> Sequence[Words]:
    videos = folder / "videos"
    return (
        ("prepare", videos, out, "--size", 16, "--workers", 0),
        (
            "evaluate",
            videos,
            "--protocol",
            "psd",
            "--real",
            videos,
            "--size",
            16,
            "--out",
            out.with_suffix(".jsonl"),
        ),
    )


def make_arrays(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (folder / "strips/a").mkdir(parents=True)
    for number in range(2):
        strip = rng.integers(0, 256, (16, 16 * 5, 3), dtype=np.uint8)
        Image.fromarray(strip).save(folder / f"strips/a/{number}.png")
    np.save(folder / "clips.npy", rng.integers(0, 256, (4, 5, 16, 16, 3), dtype=np.uint8))


def of_arrays(folder: Path, out: Path) -> Sequence[Words]:
    results = ("--out", out.with_suffix(".jsonl"))
    return (
        ("prepare", folder / "strips", out, "--layout", "strips", "--size", 16, "--workers", 0),
        ("evaluate", folder / "clips.npy", "--protocol", "psd", "--real", folder / "clips.npy", *results),
    )


def make_store(folder: Path) -> None:
    make_videos(folder)
    codec = ("--codec", "png") if folder.name.endswith("1") else ()
    command("prepare", folder / "videos", folder / "data", "--size", 24, "--workers", 0, *codec)


def of_store(folder: Path, out: Path) -> Sequence[Words]:
    data = folder / "data"
    frames = ("--levels.0.frames", 4)
    return (
        ("inspect", data, "--contact-sheet", out.with_suffix(".png")),
        ("train", "demo", "--tiny", "--data", data, "--workers", 0, "--steps", 1, "--out", out, *frames),
        ("prepare", folder / "videos", data, "--size", 24, "--workers", 0),
    )


def make_listed(folder: Path) -> None:
    miniatures.ucf101(folder / "ucf")
    miniatures.kinetics(folder / "kinetics")


def of_listed(folder: Path, out: Path) -> Sequence[Words]:
    more = ("--size", 16, "--workers", 0)
    return (
        ("prepare", folder / "ucf", out, "--layout", "ucf101", *more),
        ("prepare", folder / "kinetics", out, "--layout", "kinetics", *more),
    )


def make_published(folder: Path) -> None:
    miniatures.bair(folder / "bair")
    miniatures.moving_mnist(folder / "mnist")


def of_published(folder: Path, out: Path) -> Sequence[Words]:
    more = ("--size", 16, "--workers", 0)
    return (
        ("prepare", folder / "bair", out, "--layout", "bair", *more),
        ("prepare", folder / "mnist", out, "--layout", "moving-mnist", *more),
    )


def make_experiment(folder: Path) -> None:
    from vidgan.presets import preset
    from vidgan.run.tiny import tiny
    from vidgan.spec import to_json

    for name in ("demo", "demo-cascade"):
        (folder / f"{name}.json").write_text(json.dumps(to_json(tiny(preset(name)))))


def of_experiment(folder: Path, out: Path) -> Sequence[Words]:
    both = (folder / "demo.json", folder / "demo-cascade.json")
    return (
        *(("train", name, *TRAIN[3:], "--steps", 1, "--out", out) for name in both),
        *(("plan", name) for name in both),
    )


def make_saved(folder: Path) -> None:
    import vidgan
    from vidgan.evaluation.classifier import InDomainClassifier, save_in_domain

    make_run(folder / "source")
    vidgan.load(folder / "source/run").save(folder / "model")
    shutil.rmtree(folder / "source")
    save_in_domain(folder / "c.safetensors", InDomainClassifier(2), ("a", "b"), {"held_out_accuracy": 0.5})
    make_videos(folder)


def of_saved(folder: Path, out: Path) -> Sequence[Words]:
    real = (
        "--real",
        folder / "videos",
        "--weights",
        folder / "c.safetensors",
        "--out",
        out.with_suffix(".jsonl"),
    )
    return (
        ("sample", folder / "model", "--out", out, "--clips", 1, "--format", "gif"),
        (
            "evaluate",
            folder / "videos",
            "--protocol",
            "frechet-in-domain",
            "--size",
            16,
            "--frames",
            4,
            *real,
        ),
    )


def make_results(folder: Path) -> None:
    """Of several protocols, a class-conditional one and one with a table, of two runs."""
    for seed in (0, 1):
        run = folder / f"run{seed}"
        command(*TRAIN, "--steps", 1, "--out", run, "--seed", seed)
        for words in (("oracle-accuracy", "frechet-random"), ("motion-by-class", "frechet-random-by-class")):
            command("evaluate", run, "--protocol", *words, "--clips", 16, "--real-clips", 32)
        for file in sorted(run.rglob("*.safetensors")):
            file.unlink()


def of_results(folder: Path, out: Path) -> Sequence[Words]:
    runs, figure = (folder / "run0", folder / "run1"), ("--out", out.with_suffix(".svg"))
    return (
        ("compare", *runs),
        ("compare", folder / "run0/metrics.jsonl", "--dataset", "UCF-101"),
        ("compare", *runs, "--by-class"),
        ("plot", "futures", *runs, *figure),
        ("plot", "curves", *runs, "--protocol", "frechet-random", *figure),
        ("report", runs[0]),
    )


KINDS = {
    "run": Kind(make_run, of_run),
    "predictor": Kind(make_predictor, of_predictor),
    "videos": Kind(make_videos, of_videos),
    "arrays": Kind(make_arrays, of_arrays),
    "store0": Kind(make_store, of_store),
    "store1": Kind(make_store, of_store),
    "listed": Kind(make_listed, of_listed),
    "published": Kind(make_published, of_published),
    "experiment": Kind(make_experiment, of_experiment),
    "saved": Kind(make_saved, of_saved),
    "results": Kind(make_results, of_results),
}
ARGUMENTS = "arguments"
"""the kind of case whose input is whole and whose options are not"""


# Damage


def damage(folder: Path, rng: random.Random) -> str:
    """Change something in one file of a folder, or put something else in its place; what was done."""
    files = sorted(filter(_is_small, folder.rglob("*")))
    if not files:  # earlier damage left none
        return "nothing is left"
    file = rng.choice(files)
    ways = [way for way in WAYS if way is not values or file.suffix in (".json", ".jsonl")]
    if file.suffix in (".json", ".jsonl"):
        ways += [values] * 12
    way = rng.choice(ways)
    content = file.read_bytes()
    file.unlink()  # it may be a link to the original
    try:
        way(file, content, rng)
    except (ValueError, IndexError):  # nothing to change
        file.write_bytes(content)
    return f"{way.__name__} {file.relative_to(folder)}"


def _is_small(path: Path) -> bool:
    """Whether ``path`` is a file that was not made huge before."""
    return path.is_file() and path.stat().st_size < 2**30


def flip(file: Path, content: bytes, rng: random.Random) -> None:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(changed))


def flip_early(file: Path, content: bytes, rng: random.Random) -> None:
    changed = bytearray(content)
    changed[rng.randrange(min(200, len(changed)))] = rng.randrange(256)
    file.write_bytes(bytes(changed))


def truncate(file: Path, content: bytes, rng: random.Random) -> None:
    file.write_bytes(content[: rng.randrange(len(content) + 1)])


def remove_part(file: Path, content: bytes, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    file.write_bytes(content[:start] + content[start + rng.randrange(1, 65) :])


def insert(file: Path, content: bytes, rng: random.Random) -> None:
    start = rng.randrange(len(content) + 1)
    file.write_bytes(content[:start] + rng.randbytes(rng.randrange(1, 65)) + content[start:])


def repeat(file: Path, content: bytes, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    file.write_bytes(content[: start + 64] + content[start:])


def zeros(file: Path, content: bytes, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    size = min(len(content) - start, rng.randrange(1, 4097))
    file.write_bytes(content[:start] + bytes(size) + content[start + size :])


def digits(file: Path, content: bytes, rng: random.Random) -> None:
    """A number in a text or a header becomes another."""
    places = [match.span() for match in re.finditer(rb"\d+", content[:20000])]
    start, end = rng.choice(places)
    number = rng.choice(
        (b"0", b"-1", b"9" * 12, b"1e999", b"nan", b"2147483648", b"99999999999999999999", b"")
    )
    file.write_bytes(content[:start] + number + content[end:])


def nothing(file: Path, content: bytes, rng: random.Random) -> None:
    file.write_bytes(b"")


def gone(file: Path, content: bytes, rng: random.Random) -> None:
    pass


def another(file: Path, content: bytes, rng: random.Random) -> None:
    """The content of a file beside it."""
    others = sorted(filter(_is_small, file.parent.parent.rglob("*")))
    file.write_bytes(rng.choice(others).read_bytes())


def something_else(file: Path, content: bytes, rng: random.Random) -> None:
    """No file at all."""
    kind = rng.randrange(6)
    if kind == 0:
        os.mkfifo(file)
    elif kind == 1:
        file.mkdir()
    elif kind == 2:
        file.symlink_to(rng.choice(("/dev/zero", "/dev/random", "/dev/full")))
    elif kind == 3:
        file.symlink_to(file)
    elif kind == 4:
        with file.open("wb") as stream:
            stream.write(content)
            stream.truncate(2 ** rng.choice((40, 42)))
    else:
        file.write_bytes(rng.choice((b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe" * 100, b"\n" * 10_000)))


ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2**31,
        2**63,
        10**30,
        0.5,
        -0.0,
        1e-300,
        1e300,
        "",
        "x",
        "../../x",
        "\x00",
        "\ud800",
    ),
    *(
        [],
        {},
        [None],
        {"is": "x"},
        "a" * 10_000,
        "\x1b[31m",
        "[bold]",
        "nan",
        "/dev/zero",
        "é/ü",
        "synthetic",
    ),
)


def values(file: Path, content: bytes, rng: random.Random) -> None:
    """A value of a JSON file, or of a line of one, becomes an odd one, or goes."""
    lines = content.decode().split("\n") if file.suffix == ".jsonl" else [content.decode()]
    number = rng.choice([i for i, line in enumerate(lines) if line.strip()])
    tree = json.loads(lines[number])
    place, holders = tree, []
    while isinstance(place, dict | list) and place:
        key = rng.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
        holders.append((place, key))
        place = place[key]
        if rng.random() < 0.15:
            break
    holder, key = holders[-1]
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice(ODD)
    lines[number] = json.dumps(tree)
    file.write_bytes("\n".join(lines).encode())


WAYS = (
    *(flip, flip, flip, flip_early, flip_early, truncate, remove_part, insert, repeat, zeros, digits, digits),
    *(nothing, gone, another, something_else, values),
)


# Options


VALUES = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "7",
        "65537",
        "99999999999999999999",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e-320",
        "0.5",
    ),
    *(
        "",
        " ",
        "none",
        "None",
        "True",
        "x",
        "--",
        "-",
        "../x",
        "/dev/null",
        "/dev/zero",
        "/proc/nowhere/x",
        "\x00",
    ),
    *(
        "é",
        "\udce9",
        "[bold]",
        "\x1b[2J",
        "a" * 5000,
        "last",
        "best",
        "all",
        "cpu",
        "cuda:9",
        "meta",
        "a:b",
        "mp4",
        "0x10",
    ),
)


def odd_options(words: Words, rng: random.Random) -> Words:
    """A command with options that are missing, doubled, odd, or of other commands."""
    found = list(map(str, words))
    from vidgan.cli import VERBS

    for _ in range(rng.choice((1, 1, 2, 3))):
        way, place = rng.randrange(7), rng.randrange(len(found))
        if way == 0 and len(found) > 1:
            del found[place]
        elif way == 1:
            found[place] = rng.choice(VALUES)
        elif way == 2:
            found.insert(place, rng.choice(VALUES))
        elif way == 3:
            found[0] = rng.choice(
                [verb for verb in VERBS if verb != "studio"]
            )  # which listens until it is ended
        else:
            found += [
                f"--{rng.choice(options_of(found[0]))}",
                *rng.choices(VALUES, k=rng.choice((0, 1, 1, 1, 1, 2))),
            ]
    return tuple(word.replace("\x00", "") if "\x00" in word else word for word in found)


def options_of(verb: str) -> list[str]:
    """The options that the help of a verb offers, without those that make it go on until it is ended."""
    if verb not in _OPTIONS:
        from vidgan.cli import VERBS

        _OPTIONS[verb] = ["unknown"]
        if verb in VERBS:
            with tempfile.TemporaryDirectory() as name:
                told = Path(name) / "help"
                more = ["demo"] if verb in ("train", "plan") else ["curves"] if verb == "plot" else []
                forked(lambda: _help([verb, *more, "--help"], told))
                _OPTIONS[verb] += sorted(set(re.findall(r"--([a-z][\w.-]*)", told.read_text())) - {"watch"})
    return _OPTIONS[verb]


_OPTIONS: dict[str, list[str]] = {}


def _help(words: list[str], told: Path) -> None:
    os.dup2(os.open(told, os.O_CREAT | os.O_WRONLY), 1)
    from vidgan.cli import main

    main(words)
    sys.stdout.flush()


# Cases


class Originals:
    """Whole input of every kind, made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, kind in KINDS.items():
            place = folder / name
            if not place.exists():
                part = folder / f"part-{name}"
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(parents=True)
                forked(lambda make=kind.make, part=part: _quietly(make, part))  # type: ignore[misc]
                part.rename(place)
        self.listing = _listing(folder)

    def copy(self, name: str, folder: Path) -> None:
        shutil.copytree(self.folder / name, folder, symlinks=True)


def _quietly(make: Callable[[Path], None], folder: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    make(folder)


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


class Case(NamedTuple):
    """What was tried, and what was wrong."""

    number: int
    kind: str
    done: str
    words: list[str]
    status: int
    seconds: float
    fault: str | None
    said: str


def case(number: int, originals: Originals, folder: Path) -> Case:
    """Try case ``number`` in an empty folder."""
    rng = random.Random(f"vidgan {number}")
    kind = rng.choice([*KINDS, ARGUMENTS, ARGUMENTS])
    name = rng.choice(list(KINDS)) if kind == ARGUMENTS else kind
    target, out = folder / "target", folder / "out"
    originals.copy(name, target)
    words = rng.choice(KINDS[name].commands(target, out))
    if kind == ARGUMENTS:
        words, done = odd_options(words, rng), "options"
    else:
        done = "; ".join(damage(target, rng) for _ in range(rng.choice((1, 1, 1, 2, 3))))
    outcome = run(words, folder)
    fault = outcome.fault
    asked = ("x",) if "../x" in map(str, words) else ()
    allowed = ("target", "out", "home", "err", *asked)
    if fault is None and (stray := [p.name for p in folder.iterdir() if not p.name.startswith(allowed)]):
        fault = f"wrote {stray} beside its target"
    if fault is None and _listing(originals.folder) != originals.listing:
        fault = "wrote outside its target"
    shown = [str(word).replace(str(folder), "") for word in words]
    return Case(
        number, kind, done, shown, outcome.status, round(outcome.seconds, 2), fault, outcome.err[-500:]
    )


LATE = (
    "torch._dynamo",
    "torch.utils.flop_counter",
    "torch.testing",
    "matplotlib.figure",
    "PIL.WebPImagePlugin",
)
"""what torch and others import when it is first used, which takes seconds"""


def preload() -> None:
    """Import what commands need, so that a forked process has it."""
    import importlib

    from vidgan.cli import VERBS

    for name in (*(f"vidgan.cli.{verb}" for verb in VERBS), *LATE):
        importlib.import_module(name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000, help="tried in all (10000)")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this time")
    parser.add_argument("--only", type=int, help="try one case and keep its folder")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="folder (build/fuzz)")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    preload()
    originals = Originals(asked.out.resolve() / "originals")
    if asked.only is not None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        print(json.dumps(case(asked.only, originals, folder)._asdict(), indent=1), folder, sep="\n")
        return
    log = asked.out / "cases.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    end = time.monotonic() + 60 * asked.minutes
    with log.open("a") as file:
        for number in range(len(known), asked.cases):
            if time.monotonic() > end:
                break
            with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as name:
                tried = case(number, originals, Path(name))._asdict()
            known.append(tried)
            print(json.dumps(tried), file=file, flush=True)
            if tried["fault"]:
                print(number, tried["kind"], tried["fault"], *tried["words"], flush=True)
    statuses = Counter("failed" if each["fault"] else each["status"] for each in known)
    print(
        f"{len(known)} cases: {statuses[FINE]} accepted, {statuses[REFUSED]} refused, {statuses['failed']} failed"
    )
    for kind, count in sorted(Counter(each["kind"] for each in known).items()):
        print(f"  {kind}: {count}")


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
