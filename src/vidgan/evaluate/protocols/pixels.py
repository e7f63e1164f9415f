"""What is computed of every clip's pixels, without a network."""

import numpy as np

from vidgan.data.synthetic import SyntheticDataset
from vidgan.errors import UserError
from vidgan.evaluate.batch import Batch, Videos
from vidgan.evaluate.metrics.arrays import Floats
from vidgan.evaluate.metrics.frames import copy_last, ssim
from vidgan.evaluate.metrics.psd import luma, radial_power
from vidgan.evaluate.oracle import judge
from vidgan.evaluate.protocols.extractors import Extractor, Features, Means, Rows, Subject
from vidgan.spec import require


class OracleVerdict(Features):
    """Which class of the built-in clips an oracle sees: ``seen``, the class's number, or their count for none."""

    def check(self, subject: Subject) -> None:
        if not isinstance(subject.real, SyntheticDataset):
            raise UserError("oracle-accuracy knows the built-in clips only; use --data synthetic")
        if subject.context:
            raise UserError(
                "oracle-accuracy does not apply to a model that continues videos: their first frames show the class"
            )
        if not subject.conditional:
            raise UserError(
                "oracle-accuracy does not apply to a model without classes: none can be asked for"
            )
        if subject.classes != subject.real.classes:
            raise UserError(
                f"oracle-accuracy knows {', '.join(subject.real.classes)}; "
                f"the model was trained on {', '.join(subject.classes[:8])}"
            )

    def open(self, means: Means) -> Extractor:
        def rows(batch: Batch) -> Rows:
            names = [f"{verdict.shape}-{verdict.motion}" for verdict in judge(batch.videos)]
            known = {name: number for number, name in enumerate(means.classes)}
            return {"seen": np.array([[known.get(name, len(known))] for name in names])}

        return Extractor(rows, {"classes": list(means.classes)}, self)


class PixelMeans(Features):
    """Mean of each colour channel over all pixels of a clip, in [-1, 1]: ``means`` (3)."""

    def open(self, means: Means) -> Extractor:
        def rows(batch: Batch) -> Rows:
            return {"means": (batch.videos.astype(np.float64) / 127.5 - 1).mean((1, 2, 3))}

        return Extractor(rows, {}, self)


class PowerSpectra(Features):
    """Radially averaged power of some frames' luma (ITU-R BT.601, in [0, 1]): ``spectra`` (frames x rings)."""

    positions: tuple[int, ...] = (1, 10, 25, 50)
    """frames, counted from 1"""

    def validate(self) -> None:
        require(len(self.positions) > 0 and min(self.positions) >= 1, "positions count frames from 1")

    def open(self, means: Means) -> Extractor:
        def rows(batch: Batch) -> Rows:
            frames = batch.videos.shape[1]
            if max(self.positions) > frames:
                raise UserError(
                    f"power spectra are taken of frames {', '.join(map(str, self.positions))}; the clips have "
                    f"{frames}: choose others by --positions"
                )
            return {"spectra": radial_power(luma(batch.videos[:, [p - 1 for p in self.positions]]))}

        return Extractor(rows, {}, self)


class FrameSimilarity(Features):
    """SSIM of every frame that was predicted with what really followed: ``ssim`` (frames).

    Where the given frames are known, ``copied`` (frames) is that of the last of them, repeated.
    """

    def check(self, subject: Subject) -> None:
        if subject.generated and not subject.context:
            raise UserError(
                "this protocol compares continuations with what followed: the model continues no video"
            )

    def open(self, means: Means) -> Extractor:
        def rows(batch: Batch) -> Rows:
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
