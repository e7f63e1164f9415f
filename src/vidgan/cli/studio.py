"""``vidgan studio [RUN ...]``: a live page for runs, models and data."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.parse import Code, option_set, parse
from vidgan.cli.shared import Device, at_least, output_folder
from vidgan.names import tell
from vidgan.studio.access import Access
from vidgan.studio.app import serve
from vidgan.studio.served import Served


@option_set
class Options(Code, Device):
    """Opens a page in which models make clips, runs are watched, started and stopped, and data are looked at.

    Only this machine can open it, unless --host and --token say otherwise.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")] = ()
    """runs, saved models, folders of them, or hf:owner/name (runs and zoo, where they are)"""
    data: tuple[str, ...] = ()
    """prepared datasets (folders or URLs), or folders of them"""
    weights: tuple[Path, ...] = ()
    """files of networks' weights to measure with"""
    out: Path = Path("runs")
    """folder for runs that are started from the page"""
    port: int = 7860
    """port; 0: any that is free"""
    host: str = "127.0.0.1"
    """address to listen at; others than this machine's need --token"""
    token: str | None = None
    """what others have to type before they see anything"""
    micro_batch: int | None = None
    """videos made at a time (by the memory of training)"""


def run(args: list[str]) -> int:
    """Parse ``args`` and serve until Ctrl-C."""
    options = parse(Options, "studio", args)
    access = Access(options.host, options.port, options.token)
    access.check()
    output_folder(options.out)
    if options.micro_batch is not None:
        at_least("--micro-batch", options.micro_batch, 1)
    places = options.runs or tuple(name for name in ("runs", "zoo") if Path(name).is_dir())
    if not places:
        tell(
            "there are no folders runs and zoo here, so there is no model to show yet: start a run on the page Train, "
            "or name runs and saved models: vidgan studio RUN",
            to=sys.stderr,
        )
    code, most = options.code or None, options.micro_batch
    served = Served(places, options.data, options.out, options.device, code, options.weights, most)
    serve(served, access)
    return 0
