"""``vidgan report RUN``: one page that shows a run."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.parse import parse
from vidgan.report.page import write_report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Writes report.html into a run directory: one self-contained page with results, samples and curves."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run directory"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write the page."""
    options = parse(Options, "report", args)
    print(write_report(options.run))
    return 0
