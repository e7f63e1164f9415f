"""What a reader must know of the clips before using a number, in sentences."""

from collections.abc import Mapping, Sequence

from vidgan.data.dataset import Dataset
from vidgan.data.rates import in_words, same_rates
from vidgan.data.raw_videos import RawVideos
from vidgan.errors import some
from vidgan.evaluation.clips import DataClips

LOSSY = ("mp4", "gif")
"""formats of samples that change pixels"""


def fewer(evaluated: DataClips) -> tuple[str, ...]:
    """A warning where not all evaluated videos were measured."""
    if not evaluated.beyond:
        return ()
    by_turns = evaluated.draw.in_turns
    how = "classes in turns, in an order drawn from the seed" if by_turns else "the first by name"
    return (f"{evaluated.count} of the {len(evaluated.dataset)} evaluated videos were measured, {how}",)


def themselves(videos: RawVideos, real: Dataset | None) -> tuple[str, ...]:
    """A warning where both sides are the same."""
    if real is None or real.fingerprint != videos.fingerprint:
        return ()
    return ("the evaluated videos are the real ones: this is what the metric says of data and themselves",)


def cut_short(lengths: Mapping[str, int]) -> tuple[str, ...]:
    """A warning where the shortest video, of those whose frames these are, decides what is seen of longer ones."""
    shortest, most = min(lengths, key=lambda name: lengths[name]), max(lengths.values())
    frames = lengths[shortest]
    if frames == most:
        return ()
    return (
        f"only the first {frames} frames of each clip were evaluated, as {shortest} has no more and others have up "
        f"to {most}: leave it out, or choose by --frames",
    )


def without_number(classes: Sequence[str], scored: Sequence[str]) -> tuple[str, ...]:
    """A warning where classes are not part of a mean over classes."""
    left = [name for name in classes if name not in scored]
    if not left:
        return ()
    return (f"of {len(classes)} classes, {len(left)} have too few clips for a number: {some(left, 5)}",)


def first_by_name(real: DataClips | None) -> tuple[str, ...]:
    """A warning where the names decide which real videos are measured."""
    if real is None or not real.beyond or real.draw.shuffled:
        return ()
    videos = len({index for index, _ in real.chosen})
    return (f"the first {videos} of {len(real.dataset)} real videos by name were measured",)


def resized_again(real: DataClips | None) -> tuple[str, ...]:
    """A warning where real clips are larger than what they are compared with."""
    if real is None or not real.larger:
        return ()
    return (
        f"{real.larger} of {real.count} real clips are stored larger than {real.window.size} pixels and were resized "
        f"once more: vidgan prepare --size {real.window.size} resizes once",
    )


def lossy(videos: RawVideos) -> tuple[str, ...]:
    """A warning where files hold something else than what was made."""
    kinds = [kind for kind in videos.codec.split(" and ") if kind in LOSSY]
    if not kinds:
        return ()
    return (
        f"evaluated videos are {' and '.join(kinds)}, which do not keep every pixel: files that do (npy, webp) give "
        "another number",
    )


def other_rates(evaluated: DataClips, real: DataClips | None) -> tuple[str, ...]:
    """A warning where the two sides run at other speeds, or one of them at several."""
    own, others = evaluated.rates(), [] if real is None else real.rates()
    if same_rates(own, others) and len(own) < 2 and len(others) < 2:
        return ()
    told = [
        f"{what} at {in_words(rates)}"
        for what, rates in (("evaluated videos run", own), ("real clips", others))
        if rates
    ]
    return (f"frame rates differ: {', '.join(told)}; the same motion is not the same at another rate",)
