"""``vidgan report RUN``: one page that shows a run."""

import time
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import Run, at_least, refuse_idle
from vidgan.names import tell
from vidgan.report.page import write_report


@option_set
class Options(Run):
    """Writes report.html into a run directory: one self-contained page with results, samples and curves."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run directory"""
    watch: bool = False
    """write it again whenever the run has changed, until Ctrl-C"""
    every: int = 30
    """seconds between two looks with --watch"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write the page."""
    options = parse(Options, "report", args)
    at_least("--every", options.every, 1)
    if not options.watch:
        refuse_idle(args, "without --watch", "--every")
        tell(str(write_report(options.run)))
        return 0
    tell(f"{write_report(options.run, options.every)}: open it in a browser; Ctrl-C ends", flush=True)
    try:
        watch(options.run, options.every)
    except KeyboardInterrupt:
        tell(str(write_report(options.run)))
    return 0


def watch(run: Path, seconds: int) -> None:
    """Write the page again whenever files of the run have changed, for ever."""
    known = stamps(run)
    while True:
        time.sleep(seconds)
        if (now := stamps(run)) != known:
            write_report(run, seconds)
            known = now


def stamps(run: Path) -> dict[str, int]:
    """When the files that the page shows were changed last."""
    paths = [*run.glob("*.json*"), *(run / "samples").rglob("*.webp")]
    return {str(path): path.stat().st_mtime_ns for path in paths if path.is_file()}
