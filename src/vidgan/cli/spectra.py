"""``vidgan spectra RUN --out FILE``: power spectra that were measured, as a figure."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.report.figures import check_target, save, spectra
from vidgan.run.logs import read_lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Draws the newest power spectra that vidgan evaluate --protocol psd has measured: a plot per frame, generated
    beside real, with one standard deviation over groups of clips.
    """

    results: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FILE.metrics.jsonl")]
    """run directory, or the file with results of videos"""
    out: Path
    """file to write: .svg, .pdf or .png"""


def run(args: list[str]) -> int:
    """Parse ``args`` and draw."""
    options = parse(Options, "spectra", args)
    check_target(options.out)
    path = options.results / "metrics.jsonl" if options.results.is_dir() else options.results
    found = [line for line in read_lines(path) if line["protocol"] == "psd"] if path.is_file() else []
    if not found:
        raise UserError(f"{path} has no power spectra: measure them by vidgan evaluate --protocol psd")
    save(options.out, spectra(found[-1]))
    print(f"wrote {options.out}")
    return 0
