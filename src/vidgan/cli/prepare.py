"""``vidgan prepare``: videos on disk -> a prepared dataset."""

import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import tyro

from vidgan.cli.parse import option_set, parse
from vidgan.cli.progress import Advance, clips_progress
from vidgan.cli.shared import at_least, refuse_idle
from vidgan.data.codecs import CODECS, CodecName, Jpeg
from vidgan.data.layouts import Split
from vidgan.data.prepare import Share, one_per_core, prepare_by, prepare_share, prepare_spec
from vidgan.data.remote import source_of
from vidgan.data.store import LAYOUTS, LayoutName, PreparedDataset, PrepareSpec
from vidgan.data.timeline import MAX_GAP
from vidgan.errors import UserError
from vidgan.names import tell
from vidgan.report.words import count

TIMELESS: Final = ("strips", "frames", "moving-mnist", "bair")
"""layouts of images and arrays, which say nothing of time"""
LISTED = 20
"""sources left out that are listed; `vidgan inspect` lists all"""


@option_set
class Options:
    """Turns a folder of videos into a dataset to train on.

    The shorter side is resized, the aspect kept; training crops squares and picks frames as it reads.
    Broken files are left out and listed. An interrupted run resumes where it stopped.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """folder with the data as it lies on disk, or in an object store: s3://BUCKET/FOLDER (docs/datasets.md)"""
    dest: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")]
    """folder to make; a preparation that was interrupted there is continued"""
    layout: LayoutName = "folder"
    """folder: a folder of videos (whatever FFmpeg reads, animated WebP) per class, or videos without classes;
    strips: the same with an image per clip, its square frames side by side; frames: with a folder per clip, an image
    for each frame; tar: videos in tar files (WebDataset); the others: datasets as they are published
    (docs/datasets.md)"""
    split: str | None = None
    """official split of a published dataset: train, test, ...; docs/datasets.md lists them"""
    shard: str | None = None
    """I/N: make only the I-th of N parts, for several machines; the same command without it joins them"""
    size: int = 64
    """shorter side of the stored frames (pixels)"""
    resize: Literal["bilinear", "area", "bilinear-aliased"] = "bilinear"
    """filter: bilinear (antialiased), area (exact average) or bilinear-aliased (of four pixels)"""
    codec: CodecName = "raw"
    """how frames are stored: raw and png keep every bit, jpeg is smaller and lossy"""
    quality: int = 95
    """of jpeg, 1 to 100"""
    fps: float | None = None
    """frames per second to which videos are resampled, each frame the nearest in time (their own rates)"""
    max_gap: float = MAX_GAP
    """seconds between two frames from which on a gap is closed: the recorder paused, or a time stamp is wrong"""
    workers: int | None = None
    """worker processes; one per core without it, 0 works in this process"""


def run(args: list[str]) -> int:
    """Parse ``args`` and prepare."""
    options = parse(Options, "prepare", args)
    if options.workers is not None:
        at_least("--workers", options.workers, 0, 1000)
    if options.codec != "jpeg":
        refuse_idle(args, f"of {options.codec}; --codec jpeg has a quality", "--quality")
    if options.layout in TIMELESS:
        refuse_idle(args, f"of {options.layout}, whose frames have no times", "--fps", "--max-gap")
    spec = prepare_spec(
        options.layout,
        options.split,
        options.size,
        options.resize,
        options.codec,
        options.quality,
        options.fps,
        options.max_gap,
    )
    share = None if options.shard is None else _share(options.shard)
    source = source_of(options.source)
    workers = one_per_core() if options.workers is None else options.workers
    try:
        with clips_progress() as show:

            def begin(total: int, kept: int) -> Advance:
                return show("clips", total, kept)

            if share is not None:
                prepare_share(source, options.dest, spec, share, workers, begin)
            else:
                dataset = prepare_by(source, options.dest, spec, workers, begin)
    except KeyboardInterrupt:
        tell(f"stopped; the same command resumes in {options.dest}", to=sys.stderr)
        return 130
    if share is not None:
        tell(
            f"{options.dest}: part {share.number} of {share.of} is done; without --shard the parts are joined"
        )
        return 0
    _show(dataset, options.dest)
    return 0


def options_for(spec: PrepareSpec) -> list[str]:
    """The options by which ``spec`` is prepared."""
    layout = next(name for name, kind in LAYOUTS.items() if type(spec.layout) is kind)
    codec = next(name for name, kind in CODECS.items() if type(spec.codec) is kind)
    words = ["--layout", layout]
    words += ["--split", spec.layout.split] if isinstance(spec.layout, Split) else []
    words += ["--size", str(spec.size), "--resize", spec.resize, "--codec", codec]
    words += ["--quality", str(spec.codec.quality)] if isinstance(spec.codec, Jpeg) else []
    if layout in TIMELESS:
        return words
    words += [] if spec.fps is None else ["--fps", f"{spec.fps:.17g}"]
    return [*words, "--max-gap", f"{spec.max_gap:.17g}"]


def _share(text: str) -> Share:
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise UserError(f"--shard is I/N with I from 1 to N, such as 2/8, got {text!r}")
    return Share(int(number), int(of))


def _show(dataset: PreparedDataset, dest: Path) -> None:
    frames = int(dataset.index.clips["frames"].sum())
    tell(
        f"{dest}: {count(len(dataset), 'clip')}, {count(frames, 'frame')}, "
        f"{count(len(dataset.classes), 'class', 'classes')}"
    )
    if left_out := dataset.index.left_out:
        tell(f"left out ({len(left_out)}):")
        for name, reason in left_out[:LISTED]:
            tell(f"  {name}: {reason}")
        if len(left_out) > LISTED:
            tell(f"  and {len(left_out) - LISTED} more; vidgan inspect {dest} lists them")
    for remark in dataset.index.remarks:
        tell(f"{remark}")
