"""A protocol: which clips, which features, which metric; everything that decides a number.

Features and metrics are specs of their own, and a user's subclass of either is as good as those that are here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vidgan.bounds import Count, Length, LengthOrNone, Seed
from vidgan.data.dataset import Dataset
from vidgan.data.resize import FILTERS
from vidgan.errors import UserError
from vidgan.run.experiment import StandingStatisticsSpec
from vidgan.sample.noise import Scaled, Threshold
from vidgan.sample.video_io import Videos
from vidgan.spec import Spec, require


class EvaluationBatch(NamedTuple):
    """Clips, and what is known of them."""

    videos: Videos
    """(N, T, H, W, 3), uint8"""
    labels: NDArray[np.int64]
    """(N,), index into the classes of the set"""
    truth: Videos | None = None
    """where the clips are continuations: what really followed, beside each"""
    given: Videos | None = None
    """where it is known: the frames that were continued, beside each"""
    pairs: tuple[tuple[Videos, Videos], ...] = ()
    """of a cascade, if asked for: per level above the first its input, and its output brought down to that"""


Rows = Mapping[str, NDArray[Any]]
"""Arrays by name, a row per clip."""


class Resources(NamedTuple):
    """What feature networks are opened with."""

    weights: Path | None = None
    """the file that the user names"""
    mean_clip: Path | None = None
    """C3D's mean clip"""
    run_foreign_code: bool = False
    """whether TorchScript may be run"""
    device: torch.device = torch.device("cpu")
    """where networks run"""
    micro_batch: int | None = None
    """most clips that a network takes at a time; None: as many as it takes by itself"""

    def require_use(self, features: Sequence["Features"]) -> None:
        """Raise :class:`UserError` if a file was named that none of ``features`` needs."""
        for option, given, used in (
            ("--weights", self.weights, any(each.weights_of for each in features)),
            ("--mean-clip", self.mean_clip, any(each.needs_mean_clip for each in features)),
            ("--run-foreign-code", self.run_foreign_code, any(each.weights_of for each in features)),
        ):
            if given and not used:
                raise UserError(
                    f"{option} changes nothing of this measurement, whose features need none: leave it out"
                )


class Subject(NamedTuple):
    """What is evaluated, as far as a protocol may refuse it."""

    classes: tuple[str, ...]
    """that can be asked for, or that the files are sorted by"""
    generated: bool
    """by a model; else finished videos"""
    conditional: bool
    """a class can be asked for"""
    context: int
    """conditioning frames"""
    real: Dataset | None
    """what it is compared with"""
    levels: int = 1
    """of the model"""


class Extractor(NamedTuple):
    """Opened features."""

    rows: Callable[[EvaluationBatch], Rows]
    """what is computed of some clips"""
    facts: Mapping[str, Any]
    """what its rows depend on beside the spec: hash of the weights, accuracy of the classifier, ..."""
    spec: "Features"
    """the spec as it came out: another one where the weights' file brings its own preparation"""


class Features(Spec, ABC):
    """A function of clips, described in full."""

    @property
    def weights_of(self) -> str | None:
        """Whose weights have to be named, in words; None where none are needed."""
        return None

    @property
    def needs_mean_clip(self) -> bool:
        """Whether a mean clip belongs to the weights."""
        return False

    @property
    def needs_data(self) -> bool:
        """Whether it must know which data are meant, though no real clip is looked at."""
        return False

    @property
    def squashes(self) -> bool:
        """Whether whole frames of any shape are brought to the network's own square."""
        return False

    @property
    def needs_truth(self) -> bool:
        """Whether clips are continuations that are set beside what really followed."""
        return False

    @property
    def needs_pairs(self) -> bool:
        """Whether what the levels of a cascade were given and made is looked at."""
        return False

    def check(self, subject: Subject) -> None:
        """Raise :class:`UserError` if it does not apply to what is evaluated."""

    def check_form(self, frames: int, size: int) -> None:
        """Raise :class:`UserError` if it does not apply to clips of so many frames and pixels a side."""

    def for_frames(self, frames: int | None) -> "Features":
        """Those that see the same of clips of so many frames, so that what sees the same is computed once."""
        return self

    @abstractmethod
    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        """Load what it needs.

        Args:
            classes: of the clips that are evaluated.

        Raises:
            UserError: if weights are missing or do not fit.
        """


class Table(NamedTuple):
    """Rows of a set of clips."""

    rows: Rows
    """arrays by name, a row per clip"""
    labels: NDArray[np.int64]
    """of the clips, indices into ``classes``"""
    classes: tuple[str, ...]
    """that the labels count"""

    def take(self, numbers: NDArray[np.int64]) -> "Table":
        """The rows with these numbers, which may repeat."""
        return self._replace(rows={k: v[numbers] for k, v in self.rows.items()}, labels=self.labels[numbers])

    def get(self, name: str) -> NDArray[Any]:
        """The array ``name``; raises :class:`UserError` where the network has no such output."""
        if name not in self.rows:
            raise UserError(
                f"the weights' file gives no {name}, only {', '.join(self.rows)}: use weights in another format"
            )
        return self.rows[name]


class Score(NamedTuple):
    """A number and what belongs to it."""

    value: float
    """the headline number"""
    values: Mapping[str, Any]
    """further numbers, by name"""
    table: Mapping[str, Any] | None = None
    """rows, columns and counts, where the protocol has a table"""


Scorer = Callable[[Table], Score]


class Metric(Spec, ABC):
    """A number made of the rows of evaluated and, if it needs them, of real clips."""

    @property
    def needs_real(self) -> bool:
        """Whether it compares with real clips."""
        return True

    @property
    def larger_is_better(self) -> bool:
        """Which of two numbers is the better one."""
        return False

    @property
    def futures(self) -> int:
        """Rows that stand together: several continuations of one real clip."""
        return 1

    def dimension(self, fake: Table) -> int | None:
        """Dimensions of the features, where a count too small for them makes the number wrong."""
        return None

    def warnings(self, clips: int) -> list[str]:
        """What a reader of the number of so many clips must know, in sentences."""
        return []

    def check(self, subject: Subject) -> None:
        """Raise :class:`UserError` if it does not apply to what is evaluated."""

    def check_counts(self, fake: int, real: int | None) -> None:
        """Raise :class:`UserError` if so many clips allow no number."""

    @property
    def by_class(self) -> bool:
        """Whether the number is a mean over classes, each measured for itself."""
        return False

    def scored(self, fake: Mapping[str, int], real: Mapping[str, int] | None) -> list[str]:
        """The classes that have a number of their own, by how many clips of each there are.

        Raises:
            UserError: if there are none, or too few clips of one.
        """
        return list(fake)

    @property
    def stratified(self) -> bool:
        """Whether clips are measured class by class, so that resamples have as many of each class."""
        return False

    @abstractmethod
    def against(self, real: Table | None) -> Scorer:
        """What measures tables against ``real``, of which everything is computed once.

        Raises:
            UserError: there or when called, where the rows do not allow it.
        """


class ClipForm(Spec):
    """The form of the clips, before the network prepares them; the same for both sides.

    What is None is taken from the clips that are evaluated and filled in when the number is made.
    """

    frames: Length | None = None
    """frames per clip; None: as many as the model makes, or the shortest evaluated file has"""
    whole: Length | None = None
    """frames that the model makes, or the longest file has, of which these are the first; filled in"""
    stride: Length | None = None
    """source frames from one frame of a real clip to the next; None: the model's, 1 for files"""
    size: Length | None = None
    """side of the square (pixels); None: the model's, or the shorter side of the first evaluated file"""
    classes: tuple[str, ...] = ()
    """only clips of these classes, generated and real; none: of all"""
    view: str | None = None
    """of a cascade's lower level: real clips are of the top level's size and brought down to this one as in training,
    ``nearest`` or ``bilinear``; filled in"""
    resize: str = "bilinear"
    """filter that brings files, and larger prepared data, to this size by their shorter side"""
    crop: str = "centre"
    """where the square is cut out"""
    fit: str | None = None
    """what becomes of frames that are not square: ``crop`` cuts out the middle, ``squash`` brings the whole frame to a
    square; None: ``squash`` where the network does so with whatever it is given, else videos that are not square are
    refused. A model's clips are square, and real ones beside them are cropped as it was trained."""
    bits: Length = 8
    """clips are rounded to this many bits per value before the network sees them"""
    real_codec: str | None = None
    """how the real clips are stored: ``none`` for arrays and raw or generated bytes; filled in"""
    fake_codec: str | None = None
    """how the evaluated clips are stored; filled in"""

    def validate(self) -> None:
        require(self.resize in FILTERS, f"resize is one of {', '.join(FILTERS)}, not {self.resize!r}")
        require(self.fit in (None, "crop", "squash"), f"fit is crop or squash, not {self.fit!r}")
        require(self.crop == "centre" and self.bits == 8, "clips are cut from the centre and have 8 bits")


class Draw(Spec):
    """Which clips of data: one or more of each video, videos in order of their names unless they are shuffled."""

    split: str | None = None
    """the official split that prepared data say they are; None where nothing says so; filled in"""
    count: Count | None = None
    """most clips; None takes all there are; the number there were is filled in"""
    shuffled: bool = False
    """in an order drawn from the seed, so that fewer clips than there are do not all come from the first folders"""
    in_turns: bool = False
    """classes one after another, so that each has as many as it can"""
    random_start: bool = False
    """a window at a place drawn from the seed, instead of the first"""
    windows: Count = 1
    """most clips of a video: the first window of each, then second ones, and so on, spread evenly over its length"""
    drop_short: bool = False
    """videos without room for a clip are left out, instead of being an error"""


IN_TURNS, OF_GIVEN = "in turns", "of the given clips"


class Sampling(Spec):
    """How a model is sampled. Of files nothing of this is known."""

    truncation: Scaled | Threshold = Scaled()
    """how noise is drawn"""
    averaged: bool = True
    """moving average of the weights (where the run has one) instead of the raw ones"""
    classes: str = IN_TURNS
    """classes are asked for one after another, so equally often; or those of the clips that are continued; filled in"""
    given: LengthOrNone | None = None
    """conditioning frames of the model; filled in"""
    given_frames: bool = True
    """they stay in front of the clip"""
    random_window: bool = False
    """of a cascade: windows at random places that the last level makes as in training, instead of the first frames of
    whole videos"""
    statistics: StandingStatisticsSpec | None = None
    """standing batch statistics; None: the run's own, by noise of the samples' deviation; filled in"""

    def validate(self) -> None:
        require(
            self.classes in (IN_TURNS, OF_GIVEN),
            f"classes are {IN_TURNS} or {OF_GIVEN}, not {self.classes!r}",
        )


class Protocol(Spec):
    """A complete description of a measurement. What is None is filled in when a number is made."""

    metric: Metric
    """what is computed of the features"""
    features: Features
    """what is computed of each clip, preparation included"""
    source: ClipForm = ClipForm()
    """the clips' form"""
    real: Draw | None = None
    """which real clips; None: the number needs none"""
    clips: Count = 2048
    """evaluated clips: generated; or files, from their first frames on. Of more files those that an order drawn from
    the seed says, classes in turns; where a file belongs to a real one, the first by name"""
    sampling: Sampling | None = Sampling()
    """how a model is sampled; None for files"""
    runs: Count = 1
    """repetitions with other noise, of which the mean is reported"""
    seed: Seed = 0
    """of noise, draws and resampling; repetition i takes seed + i for its noise"""

    def validate(self) -> None:
        needs = self.metric.needs_real or self.features.needs_truth
        require(needs == (self.real is not None), "real clips are given exactly where the metric needs them")

    def check(self, subject: Subject) -> None:
        """Raise :class:`UserError` if the protocol does not apply to what is evaluated."""
        self.features.check(subject)
        self.metric.check(subject)
