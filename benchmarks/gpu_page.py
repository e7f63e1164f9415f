"""All that is to be measured on a GPU, in one call, and the page of it.

    python benchmarks/gpu_page.py --out docs/results/gpu.md

The tests, the full-width step plain, compiled and with CUDA graphs (clips/s, share of a matrix product's rate,
memory), and sampling beside the paper's 150 ms, each a process of its own; what fails is told on the page, the rest
goes on, and the exit status is 1 at the end. ``--tiny`` runs the same commands in minutes anywhere, on ``--device cpu``
too, to see that they run.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from run_all import commit_of
from vidgan.files import write_text

HERE: Final = Path(__file__).resolve().parent
PROCESSES: Final = "8"
"""that run tests, on a machine with cores for them"""
LINES: Final = 12
"""of its last words, where a command fails"""


class Section(NamedTuple):
    """A command, and what is said of it."""

    title: str
    words: tuple[str, ...]
    """after ``python``"""
    remark: str = ""


def sections(device: str, tiny: bool) -> Iterator[Section]:
    """What the page has, in order."""
    tests = ("-m", "not slow", "tests/test_pretended_gpu.py") if tiny else ("-n", PROCESSES)
    yield Section(
        "Tests",
        ("-m", "pytest", "-q", "--no-header", *tests),
        "Commands and trainers compute where torch sees a GPU; references are on the CPU.",
    )
    size: tuple[str, ...] = (
        ("--preset", "demo", "--batch", "2", "--width", "2")
        if tiny
        else ("--preset", "dvd-gan-k600-12x64", "--batch", "32")
    )
    rounds = ("--rounds", "1") if tiny else ()
    for compute in ("plain", "compiled", "graphed"):
        yield Section(
            f"A training step, {compute}",
            ("benchmarks/bench_step.py", *size, *rounds, "--device", device, "--compute", compute),
        )
    size = ("--preset", "demo", "--width", "4") if tiny else ()
    yield Section(
        "Sampling",
        ("benchmarks/sampling_time.py", *size, *rounds, "--device", device, "--types", "float32", "bfloat16"),
        "Clark et al. 2019, A.3: two videos of 48 frames of 64x64 in less than 150 ms, on one core of a TPU.",
    )


def made(section: Section) -> tuple[str, bool]:
    """The section's text: the command, what it printed and how long it took; and whether it ended well."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *section.words],
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        lines = [f"failed with status {done.returncode}:", *lines[-LINES:]]
    told = "\n".join(line.rstrip() for line in lines)
    command = " ".join(("python", *(f"'{word}'" if " " in word else word for word in section.words)))
    remark = f"{section.remark}\n\n" if section.remark else ""
    text = (
        f"## {section.title}\n\n{remark}```sh\n{command}\n```\n\n```text\n{told}\n```\n\n"
        f"Took {time.monotonic() - began:.0f} s.\n"
    )
    return text, done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the page, Markdown")
    parser.add_argument("--device", default="cuda", help="where to compute (cuda)")
    parser.add_argument("--tiny", action="store_true", help="small networks, to see that all of it runs")
    asked = parser.parse_args()
    page = (
        "# On a GPU\n\nMade by `python benchmarks/gpu_page.py` at commit "
        f"{commit_of(HERE.parent)}, each section by the command that it shows.\n"
    )
    failed = []
    for section in sections(asked.device, asked.tiny):
        text, well = made(section)
        page += "\n" + text
        write_text(asked.out, page)  # after each, so that what is cut short leaves what it had
        print(section.title if well else f"{section.title}: failed", flush=True)
        if not well:
            failed.append(section.title)
    if failed:
        sys.exit(f"{asked.out} tells what failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
