"""``vidgan save RUN --out FOLDER``, ``--hub owner/name``: a trained model with its card, to hand on."""

from pathlib import Path
from typing import Final

from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import Run, Weights, output_folder, refuse_idle
from vidgan.errors import UserError
from vidgan.files import read_bytes
from vidgan.names import tell
from vidgan.sample.origin import About

LARGEST_TEXT: Final = 2**16
"""bytes of what an author writes on limits"""


@option_set
class Options(Run, Weights):
    """Writes a trained model and its card as a folder, or uploads both to the Hugging Face Hub.

    What is not said of a saved model stays as it is.
    """

    out: Path | None = None
    """folder to write, new or empty"""
    hub: str | None = None
    """or a repository of the Hub, owner/name"""
    private: bool = False
    """make that repository a private one"""
    name: str | None = None
    """what the card says to load (the folder's name)"""
    licence: str | None = None
    """of the weights, such as cc-by-4.0"""
    data_source: str | None = None
    """where the training data come from, a text or an address"""
    data_licence: str | None = None
    """of the training data"""
    begun_from: str | None = None
    """whose weights training began from (as the run's record tells)"""
    limits: Path | None = None
    """file with what the model does not do well, in Markdown"""
    data: str | None = None
    """data whose first frames a frame-conditional model takes standing statistics of (those of its training)"""


def run(args: list[str]) -> int:
    """Parse ``args``, then write or upload the model."""
    options = parse(Options, "save", args)
    if (options.out is None) == (options.hub is None):
        raise UserError("give either --out FOLDER or --hub owner/name")
    about: About = {
        "data_source": options.data_source,
        "data_licence": options.data_licence,
        "begun_from": options.begun_from,
        "limits": None if options.limits is None else text_in(options.limits),
    }
    model = options.model(options.run, options.data)
    if options.data is not None and not model.experiment.levels[0].context_frames:
        raise UserError("this model makes videos from noise: leave out --data")
    if options.out is not None:
        refuse_idle(args, "without --hub", "--private")
        output_folder(options.out)
        model.save(options.out, options.licence, options.name, **about)
        tell(f"wrote {options.out}")
    elif options.hub is not None:
        refuse_idle(args, "with --hub, whose place the card says", "--name")
        tell(f"uploaded {model.push_to_hub(options.hub, options.licence, options.private, **about)}")
    return 0


def text_in(file: Path) -> str:
    """The text of a file.

    Raises:
        UserError: if it cannot be read, is empty or is no text.
    """
    try:
        text = read_bytes(file, LARGEST_TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8: {error}") from error
    if not text.strip():
        raise UserError(f"{file} is empty: write what the model does not do well")
    return text
