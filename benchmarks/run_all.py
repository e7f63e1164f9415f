"""Every ``bench_*.py``, one after the other, and what they found in one table: ``make bench``.

    git worktree add ../before 66b4565
    python benchmarks/run_all.py --before ../before

Each script prints as it does alone; the table, in Markdown, comes last, and is in ``--out`` from the first script on,
so that what is cut short leaves what it had. With ``--before``, training steps of an older checkout stand in it too.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from interleaved import Row, machine, rows_of
from vidgan.files import write_text
from vidgan.run.distributed import choose_device

HERE: Final = Path(__file__).resolve().parent


class Found(NamedTuple):
    """What a script printed as tables, and how it ended."""

    script: str
    rows: Sequence[Row]
    status: int


def commands(rounds: int | None, before: Path | None, only: Sequence[str] | None) -> Iterator[list[str]]:
    """The scripts with their options: those of the folder, then the older checkout's steps beside today's."""
    given = [] if rounds is None else ["--rounds", str(rounds)]
    for script in sorted(HERE.glob("bench_*.py")):
        if only is None or script.stem in only:
            yield [str(script), *given]
    if before is not None:
        yield [str(HERE / "compare_checkouts.py"), str(before), *given]


def run(command: Sequence[str]) -> Found:
    """Run a script and show what it prints as it comes."""
    lines = []
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return Found(Path(command[0]).name, rows_of("".join(lines)), process.returncode)


def commit_of(checkout: Path) -> str:
    """Its short hash, with ``+`` where files differ from it; "unknown" outside a repository."""
    done = subprocess.run(
        ["git", "-C", str(checkout), "describe", "--always", "--exclude=*", "--dirty=+"],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or "unknown"


def measured(before: Path | None) -> str:
    """What the table depends on: machine and commits."""
    older = "" if before is None else f", before: {commit_of(before)}"
    return f"{machine(choose_device())}; commit {commit_of(HERE.parent)}{older}"


def page(title: str, found: Sequence[Found]) -> str:
    """The table, below what it depends on."""
    head = (
        f"{title}. Ratios are to the first case of the same round, with the least and the greatest.",
        "",
        "| script | what | case | ms | ratio | least-most |",
        "|---|---|---|---:|---:|---|",
    )
    lines = []
    for each in found:
        for row in each.rows:
            lines.append(
                f"| {each.script} | {row.title} | {row.case} | {row.milliseconds:,.3f} | {row.ratio:.2f} "
                f"| {row.least:.2f}-{row.most:.2f} |"
            )
        if each.status:
            lines.append(f"| {each.script} | **ended with status {each.status}** | | | | |")
    return "\n".join((*head, *lines)) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--before", type=Path, help="folder of an older checkout (compare_checkouts.py)")
    parser.add_argument("--rounds", type=int, help="measurements per case (each script's own number)")
    parser.add_argument("--only", nargs="+", metavar="SCRIPT", help="of these alone, as bench_norm")
    parser.add_argument("--out", type=Path, default=Path("build/bench.md"), help="the table (%(default)s)")
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    title, table, found = measured(asked.before), "", list[Found]()
    for command in commands(asked.rounds, asked.before, asked.only):
        print(f"\n== {Path(command[0]).name}", flush=True)
        found.append(run(command))
        table = page(title, found)
        write_text(asked.out, table)
    print(f"\n{table}")
    if any(each.status for each in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
