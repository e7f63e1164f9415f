"""The ``vidgan`` command: finds the verb, runs it, turns errors a user can mend into one line."""

import importlib
import io
import os
import sys

from vidgan.cli.process import set_up_process
from vidgan.errors import UserError, did_you_mean

# Help stands here, not in the verbs' modules: those import torch, and `vidgan --help` must answer at once.
VERBS = {
    "demo": "train a small model on built-in clips, sample, evaluate, report",
    "presets": "list the experiments, show one in full, or compare two",
    "plan": "tell parameters, memory and time before anything is trained",
    "prepare": "turn a folder of videos into a prepared dataset",
    "inspect": "show what is in a prepared dataset and name every problem",
    "train": "train an experiment on a dataset; --resume continues exactly",
    "sample": "make videos, or --interpolate between two of them",
    "predict": "continue a video with a frame-conditional model",
    "save": "write a model and its card as a folder, or upload them to the Hub",
    "export": "write a model as one file for other programs: torch or ONNX",
    "evaluate": "measure a model or videos by a protocol; look for copied clips",
    "compare": "show results side by side, unlike ones apart",
    "plot": "draw curves, truncation, futures, spectra or levels",
    "doctor": "tell what this machine has, and what to do about what it lacks",
    "report": "write one self-contained page that shows a run",
    "studio": "open a live page for runs, models and data in a browser",
    "completion": "print a script by which bash, zsh or fish completes words",
}

FORMER = {
    "interpolate": "sample --interpolate",
    "levels": "plot levels",
    "neighbours": "evaluate --memorisation",
    "classes": "compare --by-class",
    "train-classifier": "evaluate --train-classifier FILE",
    "curves": "plot curves",
    "truncation": "plot truncation",
    "futures": "plot futures",
    "spectra": "plot spectra",
}
"""verbs of earlier versions, and what does the same now"""

UNEXPECTED = 70
"""exit status of a fault of vidgan's own (EX_SOFTWARE of sysexits.h)"""

TOO_LARGE = (
    "allocate memory",
    "out of memory",
    "multiplication overflow",
    "calculation overflowed",
    "array is too big",
)
"""words of torch and numpy where there is less memory than is asked for, and by how much"""

USAGE = "usage: vidgan VERB [options]      (vidgan VERB --help explains a verb)"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status: 0 fine, 2 for bad input, 130 when interrupted, 70 for a fault of vidgan's
    own. Each but the first comes with one line on standard error; with ``VIDGAN_TRACEBACK=1`` in the environment, its
    cause is raised instead."""
    set_up_process()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal does not know is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = answer(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # a reader that has left is told of now, not when Python has shut down
        return status
    except SystemExit as end:
        if end.code not in (0, None):  # not after help
            raise
        return 0
    except KeyboardInterrupt:
        print("vidgan: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if os.environ.get("VIDGAN_TRACEBACK"):
            raise
        return told(error)


def answer(args: list[str]) -> int:
    """Do what a command says; raises what goes wrong."""
    if not args or args[0] in ("-h", "--help"):
        print(help_text())
        return 0
    if args[0] == "--version":
        from vidgan import __version__

        print(f"vidgan {__version__}")
        return 0
    verb = args[0]
    if verb in FORMER:
        raise UserError(f"vidgan {verb} is now vidgan {FORMER[verb]}")
    if verb not in VERBS:
        raise UserError(
            f"there is no verb {verb!r}{did_you_mean(verb, list(VERBS))}; vidgan --help lists them"
        )
    return int(importlib.import_module(f"vidgan.cli.{verb}").run(args[1:]))


def told(error: Exception) -> int:
    """Say in one line what went wrong; the exit status."""
    if isinstance(error, UserError):
        return _fail(str(error))
    brief = (str(error).splitlines() or [""])[0]
    if isinstance(error, MemoryError) or any(words in brief for words in TOO_LARGE):
        return _fail(f"there is not enough memory for what is asked: {brief}")
    if isinstance(error, OSError) and error.errno is not None:
        return _fail(f"{error.strerror}: {error.filename or 'while reading or writing'}")
    from vidgan.user_code import place_in

    if (place := place_in(error)) is not None:
        return _fail(f"{place}; VIDGAN_TRACEBACK=1 shows all of it")
    kind = type(error).__name__
    _fail(
        f"unexpected, and a fault of vidgan: {kind}: {brief}; VIDGAN_TRACEBACK=1 shows where, please report it"
    )
    return UNEXPECTED


def help_text() -> str:
    """What ``vidgan --help`` prints."""
    return f"vidgan: large-scale video GANs\n\n{USAGE}\n\n{table_of(VERBS)}"


def table_of(named: dict[str, str]) -> str:
    """Names and what they stand for, in two columns."""
    return "\n".join(f"  {name:<12}{text}" for name, text in named.items())


def _fail(message: str) -> int:
    from vidgan.names import tell

    tell(f"vidgan: error: {message}", to=sys.stderr)
    return 2
