"""The ``vidgan`` command: finds the verb, runs it, turns errors a user can mend into one line."""

import errno
import importlib
import io
import os
import sys

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
    "evaluate": "measure a model or videos by a protocol; look for copied clips",
    "compare": "show results side by side, unlike ones apart",
    "plot": "draw curves, truncation, futures, spectra or levels",
    "report": "write one self-contained page that shows a run",
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

MENDABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)
"""System errors that say what the user can do"""

USAGE = "usage: vidgan VERB [options]      (vidgan VERB --help explains a verb)"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status: 0 fine, 2 for bad input, 130 when interrupted."""
    # Before torch loads: compute threads that wait for each other soon sleep. Spinning for long, which is the default,
    # makes a training step several times slower as soon as fewer cores are free than there are threads; sleeping at
    # once, small steps half as fast again as with one thread, as waking takes longer than what is waited for.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal does not know is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] in ("-h", "--help"):
        print(help_text())
        return 0
    if args[0] == "--version":
        from vidgan import __version__

        print(f"vidgan {__version__}")
        return 0
    verb = args[0]
    if verb in FORMER:
        return _fail(f"vidgan {verb} is now vidgan {FORMER[verb]}")
    if verb not in VERBS:
        return _fail(f"there is no verb {verb!r}{did_you_mean(verb, list(VERBS))}; vidgan --help lists them")
    try:
        run = importlib.import_module(f"vidgan.cli.{verb}").run
        return int(run(args[1:]))
    except SystemExit as end:
        if end.code not in (0, None):  # not after help
            raise
        return 0
    except UserError as error:
        if os.environ.get("VIDGAN_TRACEBACK"):
            raise
        return _fail(str(error))
    except KeyboardInterrupt:
        print("vidgan: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        return _fail(f"{error.strerror}: {error.filename or 'while writing'}")


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
