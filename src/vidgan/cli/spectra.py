"""``vidgan spectra RUN --out FILE``: power spectra that were measured, as a figure."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.checks import file_to_write
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.files import write_text
from vidgan.report.figure import figure
from vidgan.report.spectra import spectra
from vidgan.run.logs import read_lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Draws the newest power spectra that vidgan evaluate --protocol psd has measured: a plot per frame, generated
    beside real, with one standard deviation over groups of clips.
    """

    results: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FILE.metrics.jsonl")]
    """run directory, or the file with results of videos"""
    out: Path
    """SVG file to write"""


def run(args: list[str]) -> int:
    """Parse ``args`` and draw."""
    options = parse(Options, "spectra", args)
    file_to_write(options.out, ".svg")
    path = options.results / "metrics.jsonl" if options.results.is_dir() else options.results
    found = [line for line in read_lines(path) if line["protocol"] == "psd"] if path.is_file() else []
    if not found:
        raise UserError(f"{path} has no power spectra: measure them by vidgan evaluate --protocol psd")
    write_text(options.out, figure(spectra(found[-1])))
    print(f"wrote {options.out}")
    return 0
