"""``vidgan evaluate RUN --protocol NAME``: a number with its protocol on record."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from vidgan.cli.data import data_of_run, given_frames
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.evaluate.protocols import ALL, Protocol, protocol
from vidgan.evaluate.record import evaluate
from vidgan.run.device import choose_device
from vidgan.run.directory import RunDirectory
from vidgan.sample.published import AtStep, Last, open_trained


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measures a trained model by a named protocol and appends the result to the run's metrics.jsonl."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run directory"""
    protocol: tuple[str, ...]
    """one or more protocols, such as oracle-accuracy or pixel-statistics"""
    data: str | None = None
    """prepared dataset or "synthetic"; the run's own without it"""
    clips: int | None = None
    """generated clips; the protocol's number without it"""
    seed: int = 0
    """seed of the noise"""
    sigma: float = 1.0
    """standard deviation of the noise"""
    step: int | None = None
    """evaluate the checkpoint of this step instead of the newest"""
    raw: bool = False
    """raw weights instead of their moving average"""


def run(args: list[str]) -> int:
    """Parse ``args`` and measure."""
    options = parse(Options, "evaluate", args)
    if not options.protocol:
        raise UserError(f"--protocol takes one or more of: {', '.join(ALL)}")
    chosen = {name: with_options(protocol(name), options) for name in options.protocol}
    directory = RunDirectory.open(options.run)
    dataset = data_of_run(directory, options.data)
    for each in chosen.values():  # before anything is computed
        each.check(directory, dataset)
    device = choose_device()
    choice = Last() if options.step is None else AtStep(step=options.step)
    # A model is settled on the data it was trained on, whatever it is measured against.
    own = dataset if dataset.fingerprint == directory.data.fingerprint else None
    model = open_trained(directory, choice, not options.raw, device, given_frames(directory, own))
    for name, each in chosen.items():
        show(evaluate(directory, model, dataset, name, each))
    return 0


def with_options(named: Protocol, options: Options) -> Protocol:
    """A protocol with the settings that were given."""
    return named.replace(
        clips=named.clips if options.clips is None else options.clips,
        seed=options.seed,
        sigma=options.sigma,
        averaged=not options.raw,
    )


def show(line: dict[str, Any]) -> None:
    """Print a result and its table."""
    print(
        f"{line['protocol']}: {line['value']:.4f}  ({line['clips']} clips, step {line['step']}, seed {line['seed']})"
    )
    for name, value in line["values"].items():
        if name != "per_class":
            print(f"  {name}: {value}")
    table = line.get("table")
    if table is not None:
        width = max(len(name) for name in [*table["rows"], *table["columns"]]) + 2
        print("  asked \\ seen".ljust(width) + "".join(c.rjust(width) for c in table["columns"]))
        for name, counts in zip(table["rows"], table["counts"], strict=True):
            print(f"  {name}".ljust(width) + "".join(str(c).rjust(width) for c in counts))
