"""Every file of a folder through prepare, inspect, evaluate and predict: accepted, refused in one line, or failed.

``python experiments/corpus.py FOLDER`` takes a folder of awkward files, each of them alone; a failure is a status other
than 0 and 2, more or less than one line of error, or more than a minute. The status is 1 if anything fails.
"""

import argparse
import contextlib
import io
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vidgan.cli import main as vidgan
from vidgan.cli.given import read_frames
from vidgan.errors import UserError
from vidgan.names import tell

SIZE, FRAMES, SECONDS = 64, 4, 60


class Answer(NamedTuple):
    """What became of a file."""

    status: str
    """accepted, refused or FAILED"""
    said: str


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raises ``TimeoutError`` after a minute."""

    def over(number: int, frame: object) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    old = signal.signal(signal.SIGALRM, over)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def command(*args: object) -> Answer:
    """What ``vidgan ARGS`` ends with."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with limited(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = vidgan([str(arg) for arg in args])
    except BaseException as error:
        return Answer("FAILED", f"{type(error).__name__}: {error}")
    errors = [line for line in err.getvalue().splitlines() if line.startswith("vidgan: error: ")]
    if status == 0 and not errors:
        return Answer("accepted", "")
    if status == 2 and len(errors) == 1:
        return Answer("refused", errors[0])
    return Answer("FAILED", f"status {status}: {err.getvalue()[-300:]}")


def predicted(file: Path) -> Answer:
    """What ``vidgan predict`` does with a video before it needs a model."""
    try:
        with limited():
            frames, _ = read_frames(file, SIZE, range(0, 2 * FRAMES, 2))
    except UserError as error:
        return Answer("refused", str(error))
    except BaseException as error:
        return Answer("FAILED", f"{type(error).__name__}: {error}")
    return Answer("accepted", f"{len(frames)} frames")


def tried(file: Path, folder: Path) -> dict[str, Answer]:
    """``file`` through all verbs; ``folder`` is empty."""
    alone, twice = folder / "alone", folder / "twice"
    for place, copies in ((alone, 1), (twice, 2)):
        place.mkdir()
        for copy in range(copies):
            shutil.copy(file, place / f"{copy}{file.suffix}")
    found = {"prepare": command("prepare", alone, folder / "made", "--size", SIZE, "--workers", 0)}
    if found["prepare"].status == "accepted":
        found["inspect"] = command("inspect", folder / "made")
    found["evaluate"] = command(
        *("evaluate", twice, "--real", twice, "--protocol", "pixel-statistics", "--size", SIZE),
        *("--fit", "crop", "--out", folder / "out.jsonl", "--cache", folder / "cache"),
    )
    found["predict"] = predicted(file)
    return found


def main() -> int:
    """Print a line for each refusal and failure, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quiet", action="store_true", help="failures and counts alone")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    for file in files:
        with tempfile.TemporaryDirectory() as name:
            for verb, answer in tried(file, Path(name)).items():
                counts[verb, answer.status] += 1
                if answer.status == "FAILED" or (answer.status == "refused" and not options.quiet):
                    tell(f"{answer.status} {verb} {file.name}: {answer.said.replace(name, '')}")
    verbs = dict.fromkeys(verb for verb, _ in counts)
    print(f"{len(files)} files")
    for verb in verbs:
        kinds = ("accepted", "refused", "FAILED")
        print(f"  {verb:<9}{', '.join(f'{counts[verb, kind]} {kind}' for kind in kinds)}")
    return 1 if any(status == "FAILED" for _, status in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
