"""The ``vidgan`` command: finds the verb, runs it, turns errors a user can mend into one line."""

import errno
import importlib
import os
import sys

from vidgan.errors import UserError, did_you_mean

# Help stands here, not in the verbs' modules: those import torch, and `vidgan --help` must answer at once.
VERBS = {
    "demo": "train a small model on built-in clips, sample, evaluate and write a report: the tour",
    "presets": "list the experiments, or show one of them in full",
    "prepare": "turn a folder of videos into a prepared dataset",
    "inspect": "show what is in a prepared dataset and name every problem",
    "plan": "tell parameters, memory and time of training a preset before anything is run",
    "train": "train a preset on a dataset; --resume goes on exactly",
    "sample": "make videos with a trained model",
    "levels": "show what every level of a cascade makes, and other models beside it",
    "interpolate": "make videos between two samples, or between two classes",
    "predict": "continue a video with a frame-conditional model",
    "evaluate": "measure a trained model, or videos, by a named protocol",
    "neighbours": "tell whether a model copies its training clips or has collapsed in some classes",
    "compare": "show results side by side, unlike ones apart",
    "train-classifier": "train a small classifier on your data, to measure with",
    "truncation": "measure a trained model at several deviations of the noise, and draw the curve",
    "futures": "draw how near the best of several predictions comes, frame by frame",
    "classes": "show scores by class beside how much each class moves",
    "spectra": "draw the power spectra that were measured of a run or of videos",
    "curves": "draw how runs compare over training: mean and deviation over seeds",
    "report": "write one self-contained page that shows a run",
}

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
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] in ("-h", "--help"):
        print(help_text())
        return 0
    if args[0] == "--version":
        from vidgan import __version__

        print(f"vidgan {__version__}")
        return 0
    verb = args[0]
    if verb not in VERBS:
        return _fail(f"there is no verb {verb!r}{did_you_mean(verb, list(VERBS))}; vidgan --help lists them")
    try:
        run = importlib.import_module(f"vidgan.cli.{verb.replace('-', '_')}").run
        return int(run(args[1:]))
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
    lines = [f"  {verb:<18}{text}" for verb, text in VERBS.items()]
    return "\n".join(["vidgan: large-scale video GANs", "", USAGE, "", *lines])


def _fail(message: str) -> int:
    print(f"vidgan: error: {message}", file=sys.stderr)
    return 2
