"""Features that need no network: pixels, spectra, motion, similarity, agreement of a cascade's levels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidgan.bounds import Length
from vidgan.data.synthetic import SyntheticDataset
from vidgan.errors import UserError
from vidgan.evaluation.metrics.features import Floats
from vidgan.evaluation.metrics.frames import WINDOW, copy_last, luma, mean_motion, psnr, radial_power, ssim
from vidgan.evaluation.oracle import Recognised, recognise
from vidgan.evaluation.protocols.base import (
    EvaluationBatch,
    Extractor,
    Features,
    Resources,
    Rows,
    Subject,
)
from vidgan.sample.video_io import Videos
from vidgan.spec import require


class OracleLabels(Features):
    """Which class of the built-in clips an oracle sees: ``seen``, the class's number, or their count for none."""

    @property
    def needs_data(self) -> bool:
        return True

    def check(self, subject: Subject) -> None:
        if not isinstance(subject.real, SyntheticDataset):
            raise UserError("the oracle knows the built-in clips only; use --data synthetic")
        if subject.context:
            raise UserError(
                "the oracle does not apply to a model that continues videos: their first frames show the class"
            )
        if not subject.conditional:
            raise UserError("the oracle does not apply to a model without classes: none can be asked for")
        if subject.classes != subject.real.classes:
            raise UserError(
                f"the oracle knows {', '.join(subject.real.classes)}; "
                f"the model was trained on {', '.join(subject.classes[:8])}"
            )

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            return {"seen": numbered(recognise(batch.videos), classes)}

        return Extractor(rows, {"classes": list(classes)}, self)


def numbered(seen: Sequence[Recognised], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """The number of each class that is seen, or the count of classes for none of them: (N, 1)."""
    known = {name: number for number, name in enumerate(classes)}
    return np.array([[known.get(f"{each.shape}-{each.motion}", len(known))] for each in seen], np.int64)


class PixelMeans(Features):
    """Mean of each colour channel over all pixels of a clip, in [-1, 1]: ``means`` (3)."""

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            return {"means": (batch.videos.astype(np.float64) / 127.5 - 1).mean((1, 2, 3))}

        return Extractor(rows, {}, self)


class PowerSpectra(Features):
    """Radially averaged power of some frames' luma (ITU-R BT.601, in [0, 1]): ``spectra`` (frames x rings)."""

    positions: tuple[Length, ...] = (1, 10, 25, 50)
    """frames, counted from 1"""

    def validate(self) -> None:
        require(len(self.positions) > 0 and min(self.positions) >= 1, "positions count frames from 1")

    def check_form(self, frames: int, size: int) -> None:
        if max(self.positions) > frames:
            raise UserError(
                f"power spectra are taken of frames {', '.join(map(str, self.positions))}; the clips have "
                f"{frames}: choose others by --positions"
            )

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            return {"spectra": radial_power(luma(batch.videos[:, [p - 1 for p in self.positions]]))}

        return Extractor(rows, {}, self)


class ClipMotion(Features):
    """How much a clip moves: mean absolute difference of its neighbouring frames, pixels in [0, 1]: ``motion`` (1).

    Our choice: SSW-GAN, G picks ten categories by hand that have much motion or little, and measures none.
    """

    def check(self, subject: Subject) -> None:
        if subject.context:
            raise UserError(
                "this protocol does not apply to a model that continues videos: their first frames are given"
            )

    def check_form(self, frames: int, size: int) -> None:
        if frames < 2:
            raise UserError("clips of one frame do not move: evaluate at least two by --frames")

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            return {"motion": mean_motion(batch.videos)[:, None]}

        return Extractor(rows, {}, self)


class FrameSimilarity(Features):
    """SSIM of every frame that was predicted with what really followed: ``ssim`` (frames).

    Where the given frames are known, ``copied`` (frames) is that of the last of them, repeated.
    """

    @property
    def needs_truth(self) -> bool:
        return True

    def check(self, subject: Subject) -> None:
        if subject.generated and not subject.context:
            raise UserError(
                "this protocol compares continuations with what followed: the model continues no video"
            )

    def check_form(self, frames: int, size: int) -> None:
        if size < WINDOW:
            raise UserError(f"SSIM needs frames of at least {WINDOW}x{WINDOW}, not {size}x{size}")

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            assert batch.truth is not None, "continuations stand beside what followed"
            found = {"ssim": ssim(batch.videos, batch.truth)}
            return (
                found if batch.given is None else {**found, "copied": copied_ssim(batch.given, batch.truth)}
            )

        return Extractor(rows, {}, self)


def copied_ssim(given: Videos, truth: Videos) -> Floats:
    """SSIM (N, T) of the last frame of ``given`` (N, C, H, W, 3) with each of ``truth`` (N, T, H, W, 3)."""
    scores: list[Floats] = []
    for i, (first, following) in enumerate(zip(given, truth, strict=True)):
        # Futures of one clip stand one after another, and its copy is the same for all of them.
        same = i > 0 and np.array_equal(first, given[i - 1]) and np.array_equal(following, truth[i - 1])
        scores.append(scores[-1] if same else ssim(copy_last(first, len(following)), following))
    return np.stack(scores)


class LevelSimilarity(Features):
    """PSNR (dB) between the input of each level above the first and its output, brought down to it: ``psnr`` (levels).

    Our choice: an output is brought down as the data's own view of the level below is made, which makes real pairs
    equal, and the squared error is averaged over a whole clip. SSW-GAN, 4 asks that outputs be "a valid upsampled
    version" of inputs and shows it in pictures (Figures 4 and 10).
    """

    @property
    def needs_pairs(self) -> bool:
        return True

    def check(self, subject: Subject) -> None:
        if not subject.generated:
            raise UserError("this protocol needs the videos of all levels: evaluate a run, not files")
        if subject.levels < 2:
            raise UserError("this protocol compares the levels of a cascade, and this model has one level")

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            found = [psnr(as_one_image(given), as_one_image(output)) for given, output in batch.pairs]
            return {"psnr": np.stack(found, axis=1)}

        return Extractor(rows, {}, self)


def as_one_image(videos: Videos) -> Videos:
    """Clips (N, T, H, W, 3) with their frames below each other: (N, T H, W, 3)."""
    return videos.reshape(len(videos), -1, *videos.shape[3:])
