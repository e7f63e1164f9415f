"""What is evaluated: samples of a model, copies of the frames that it is given, finished videos.

Each says which clips a protocol looks at and what is recorded; all else of a measurement is the same for all.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from vidgan.bounds import MOST_STEPS
from vidgan.data.dataset import Dataset
from vidgan.data.raw_videos import RawVideos, refuse_broken
from vidgan.data.store import PreparedDataset
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.caveats import (
    cut_short,
    fewer,
    first_by_name,
    lossy,
    other_rates,
    resized_again,
    themselves,
    without_number,
)
from vidgan.evaluation.clips import (
    PART,
    Clips,
    CopiedClips,
    DataClips,
    GeneratedClips,
    PairedClips,
    codec_of,
    order_of,
    statistics_of,
    view_of,
)
from vidgan.evaluation.protocols.base import OF_GIVEN, Draw, Protocol, Subject
from vidgan.evaluation.protocols.metrics import BestFuture
from vidgan.memory import require_memory_for_clips
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, whole_window
from vidgan.sample.classes import class_numbers
from vidgan.sample.model import Model
from vidgan.sample.windows import window_frames
from vidgan.spec import to_json

HELD: Final = 2
"""bytes that are held of each value of a part: its clips, and all of them together"""
AHEAD: Final = 1
"""the same of the next part, which is read meanwhile where it is of files"""


class Sides(NamedTuple):
    """The clips of both sides."""

    protocol: Protocol
    """with everything that the clips decide filled in"""
    fakes: Callable[[int], Clips]
    """evaluated clips by the number of the run, from 0"""
    real: DataClips | None
    """where the metric compares with them"""
    facts: Mapping[str, Any] | None
    """what is recorded of the real side; None where there is none"""
    warnings: tuple[str, ...] = ()

    def checked(self) -> "Sides":
        """The same, with a warning where classes have no number.

        Raises:
            UserError: where so many clips of this form allow none, before any is made or read.
        """
        source, metric = self.protocol.source, self.protocol.metric
        assert source.frames is not None
        assert source.size is not None
        self.protocol.features.check_form(source.frames, source.size)
        held = min(PART, self.protocol.clips * metric.futures)
        ahead = AHEAD if self.fakes(0).decoded or (self.real is not None and self.real.decoded) else 0
        require_memory_for_clips(
            held, source.frames, source.size, HELD + ahead, "choose a smaller --size or --frames"
        )
        if (total := self.protocol.clips * metric.futures) > MOST_STEPS:
            raise UserError(
                f"{total:,} continuations are more than can be made: ask for fewer --futures or --clips"
            )
        metric.check_counts(self.protocol.clips, None if self.real is None else self.real.count)
        if not metric.by_class:
            return self
        fake = self.fakes(0).per_class()
        scored = metric.scored(fake, None if self.real is None else self.real.per_class())
        return self._replace(warnings=(*self.warnings, *without_number(list(fake), scored)))


class Evaluated(ABC):
    """What is evaluated."""

    @property
    def step(self) -> int | None:
        """Generator updates of the model; None where there is none."""
        return None

    @property
    def marks(self) -> dict[str, Any]:
        """Further fields of a result's line."""
        return {}

    @abstractmethod
    def subject(self, real: Dataset | None) -> Subject:
        """What a protocol may refuse."""

    @abstractmethod
    def classes_of(self, real: Dataset | None) -> tuple[str, ...]:
        """The classes that the labels of the evaluated clips count."""

    def prepare(self, protocol: Protocol, replicas: Replicas = Replicas()) -> None:  # noqa: B027  (most do nothing)
        """Do what is done once before clips are made.

        Args:
            protocol: with everything that the clips decide filled in.
            replicas: the processes that call this together and share the work.
        """

    @abstractmethod
    def facts(self, clips: Clips) -> dict[str, Any]:
        """What is recorded of the evaluated ``clips``."""

    @abstractmethod
    def sides(self, name: str, protocol: Protocol, real: Dataset | None) -> Sides:
        """The clips that ``protocol``, called ``name``, looks at; against ``real``, where it compares.

        Raises:
            UserError: if the protocol asks for other clips than there are, or real ones are missing.
        """


def subject_of(experiment: Experiment, classes: tuple[str, ...], real: Dataset | None) -> Subject:
    """A model of ``classes``, as far as a protocol may refuse it."""
    context, levels = experiment.levels[0].context_frames, len(experiment.levels)
    return Subject(classes, True, experiment.conditional, context, real, levels)


class OfExperiment(Evaluated):
    """What a model makes, or what it is given.

    Args:
        classes: that it can be asked for.
        place: run directory, or folder of a saved model; None where it is not known.
    """

    def __init__(self, experiment: Experiment, classes: tuple[str, ...], place: Path | None) -> None:
        self.experiment, self.classes, self.place = experiment, classes, place
        self.context = experiment.levels[0].context_frames

    @property
    def marks(self) -> dict[str, Any]:
        """The level (from 1), where it is not the run's last: steps are those of a level."""
        return {"level": len(self.experiment.levels)} if self.experiment.above else {}

    def subject(self, real: Dataset | None) -> Subject:
        return subject_of(self.experiment, self.classes, real)

    def classes_of(self, real: Dataset | None) -> tuple[str, ...]:
        """Its own; continuations have the labels of what they continue."""
        return real.classes if real is not None and self.context else self.classes

    def sides(self, name: str, protocol: Protocol, real: Dataset | None) -> Sides:
        protocol = self.adapted(protocol)
        asked, metric, sampling = protocol.source, protocol.metric, protocol.sampling
        assert sampling is not None, "a protocol for files alone"
        if real is None and (protocol.real is not None or self.context):
            raise UserError(f"{name} needs real videos: name them")
        if asked.classes and not self.experiment.conditional:
            raise UserError("this model was trained without classes: ask for none")
        whole = whole_window(self.experiment)
        made = whole.frames if sampling.given_frames else whole.frames - self.context
        if sampling.random_window:
            if protocol.features.needs_pairs:
                raise UserError(f"{name} compares whole videos with their inputs: leave out random-window")
            made = window_frames(self.experiment, asked.frames)
        frames, stride = asked.frames or made, asked.stride or whole.stride
        if frames > made:
            raise UserError(
                f"{name} takes clips of {frames} frames; this model makes {made}: choose --frames {made} or fewer"
            )
        if asked.fit is not None:
            raise UserError(
                "fit says what becomes of videos that are not square; a model's are: leave it out"
            )
        if asked.size not in (None, whole.size):
            raise UserError(
                f"this model makes clips of {whole.size}x{whole.size}, not {asked.size}x{asked.size}"
            )
        only = tuple(self.classes[number] for number in class_numbers(self.classes, asked.classes))
        given = against = None
        count, drawn = protocol.clips, protocol.real
        if real is not None and self.context:
            draw = protocol.real or Draw(shuffled=True)
            if metric.futures > 1 or protocol.features.needs_truth:
                draw = draw.replace(count=protocol.clips)
            given = DataClips(real, whole.replace(stride=stride), draw, protocol.seed, only)
            if protocol.features.needs_truth:
                count, drawn = given.count, given.drawn
        if real is not None and metric.needs_real:
            assert protocol.real is not None
            size, filter = self.experiment.data_size, self.experiment.resize
            window = WindowSpec(size=size, frames=frames, stride=stride, filter=filter)
            view = view_of(self.experiment)
            against = DataClips(real, window, protocol.real, protocol.seed, only, view=view)
            drawn = against.drawn
        filled = protocol.replace(
            real=drawn,
            source=asked.replace(
                frames=frames,
                whole=made,
                stride=stride,
                size=whole.size,
                view=None if against is None or against.view is None else against.view.name,
                classes=only,
                real_codec=None if real is None else codec_of(real),
                fake_codec="none",
            ),
            clips=count,
        )
        return Sides(
            self.recorded(filled),
            self.fakes(filled, given),
            against,
            None if real is None else facts_of(real, against or given),
            (*first_by_name(against or given), *resized_again(against or given)),
        )

    def adapted(self, protocol: Protocol) -> Protocol:
        """The protocol as it is meant for what is evaluated."""
        return protocol

    def recorded(self, protocol: Protocol) -> Protocol:
        """The protocol as it is recorded."""
        return protocol

    @abstractmethod
    def fakes(self, protocol: Protocol, given: DataClips | None) -> Callable[[int], Clips]:
        """The evaluated clips by the number of the run; ``given``: those whose first frames a model is given."""

    def facts(self, clips: Clips) -> dict[str, Any]:
        """The run, and which weights made the clips or that they are copies of given frames."""
        made_of = {name: fact for name, fact in clips.identity.items() if name in ("weights", "copies")}
        return {"run": None if self.place is None else str(self.place), **made_of}


class ModelSamples(OfExperiment):
    """Samples of a model, or its continuations of real clips.

    Args:
        open: the model; called when it is first needed, so that a protocol that does not apply costs nothing.
    """

    def __init__(
        self,
        experiment: Experiment,
        classes: tuple[str, ...],
        open: Callable[[], Model],
        place: Path | None = None,
    ) -> None:
        super().__init__(experiment, classes, place)
        self._open = open

    @classmethod
    def of(cls, model: Model, place: Path | None = None) -> "ModelSamples":
        """Of a model that is open."""
        return cls(model.experiment, model.class_names, lambda: model, place)

    @functools.cached_property
    def model(self) -> Model:
        """The model."""
        return self._open()

    @property
    def step(self) -> int:
        return self.model.step

    def prepare(self, protocol: Protocol, replicas: Replicas = Replicas()) -> None:
        """Take standing statistics, where they are not kept yet."""
        assert protocol.sampling is not None
        self.model.sampler(
            statistics=protocol.sampling.statistics,
            window=protocol.source.frames if protocol.sampling.random_window else None,
            replicas=replicas,
        )

    def adapted(self, protocol: Protocol) -> Protocol:
        """With what its samples have: standing statistics, given frames, and averaged weights where there are any."""
        sampling = protocol.sampling
        assert sampling is not None, "a protocol for files alone"
        return protocol.replace(
            sampling=sampling.replace(
                averaged=sampling.averaged and self.experiment.training.average is not None,
                given=self.context,
                classes=OF_GIVEN if self.context and self.experiment.conditional else sampling.classes,
                statistics=statistics_of(self.experiment, sampling),
            )
        )

    def fakes(self, protocol: Protocol, given: DataClips | None) -> Callable[[int], Clips]:
        source, sampling, futures = protocol.source, protocol.sampling, protocol.metric.futures
        assert sampling is not None
        assert source.frames is not None
        frames = source.frames

        @functools.cache
        def clips(run: int) -> GeneratedClips:
            return GeneratedClips(
                self.model,
                sampling,
                protocol.seed + run,
                protocol.clips * futures,
                frames,
                given=given,
                futures=futures,
                pairs=protocol.features.needs_pairs,
                only=[self.classes.index(name) for name in source.classes],
            )

        return clips


class CopyBaseline(OfExperiment):
    """What a model is given, its last frame standing still: the copy baseline (Luc et al. 2020, D.3)."""

    def adapted(self, protocol: Protocol) -> Protocol:
        """Of one clip there is one copy, and no noise."""
        metric = protocol.metric
        if isinstance(metric, BestFuture):
            metric = metric.replace(futures=1)
        return protocol.replace(metric=metric, runs=1)

    def recorded(self, protocol: Protocol) -> Protocol:
        return protocol.replace(sampling=None)

    def fakes(self, protocol: Protocol, given: DataClips | None) -> Callable[[int], Clips]:
        sampling, frames = protocol.sampling, protocol.source.frames
        if given is None:
            raise UserError("copies are of the last given frame, and this model is given none")
        assert sampling is not None
        assert frames is not None
        clips = CopiedClips(given, protocol.clips, self.context, sampling.given_frames, frames)
        return lambda run: clips


class FinishedVideos(Evaluated):
    """Raw videos, or an array of clips; they begin at their first frames."""

    def __init__(self, videos: RawVideos) -> None:
        self.videos = videos

    def subject(self, real: Dataset | None) -> Subject:
        classes = self.videos.classes
        return Subject(classes, False, len(classes) > 1, 0, real)

    def classes_of(self, real: Dataset | None) -> tuple[str, ...]:
        return self.videos.classes

    def facts(self, clips: Clips) -> dict[str, Any]:
        videos = self.videos
        own = clips.fake if isinstance(clips, PairedClips) else clips
        assert isinstance(own, DataClips)
        return {
            "files": videos.source,
            "fingerprint": videos.fingerprint,
            "videos": len(videos),
            "rates": list(map(list, own.rates())),
            "sizes": list(map(list, own.sizes())),
            "remarks": list(map(str, videos.remarks)),
        }

    def sides(self, name: str, protocol: Protocol, real: Dataset | None) -> Sides:
        asked, metric, videos = protocol.source, protocol.metric, self.videos
        if protocol.real is not None and real is None:
            raise UserError(f"{name} compares with real videos: name them by --real FOLDER or --data DEST")
        if asked.classes:
            raise UserError("a model is asked for classes; of videos give a folder with those alone")
        size, stride, futures = videos.size, asked.stride or 1, metric.futures
        count, paired = min(len(videos), protocol.clips * futures), protocol.features.needs_truth
        # Files and what followed are paired by their order, so nothing is shuffled or left out.
        some = count < len(videos) and not paired
        own = Draw(count=count, shuffled=some, in_turns=some)
        chosen = order_of(videos, own, protocol.seed)[:count]
        lengths, faults = dict[str, int](), list[UserError]()
        for index in chosen:
            try:
                lengths[videos.name(index)] = videos.info(index).frames
            except UserError as error:
                faults.append(error)
        refuse_broken(faults)
        frames = asked.frames or min(lengths.values())
        form = self._fit(protocol, chosen)
        shape = self._shape(protocol) if form == "squash" else None
        evaluated = DataClips(videos, WindowSpec(size=size, frames=frames), own, protocol.seed, shape=shape)
        clips: Clips = evaluated
        reals = None
        if protocol.real is not None and real is not None:
            window, draw = WindowSpec(size=size, frames=frames, stride=stride), protocol.real
            draw = Draw(count=max(1, count // futures)) if paired else draw
            reals = DataClips(real, window, draw, protocol.seed, shape=shape)
            if paired:
                clips = PairedClips(evaluated, reals, futures)
        filled = protocol.replace(
            real=protocol.real if reals is None else reals.drawn,
            source=asked.replace(
                frames=frames,
                whole=max(lengths.values()),
                stride=stride,
                size=size,
                fit=form,
                real_codec=None if reals is None else codec_of(reals.dataset),
                fake_codec=videos.codec,
            ),
            clips=count // futures,
            sampling=None,
            runs=1,
        )
        random = reals is not None and (reals.draw.shuffled or reals.draw.random_start)
        said = () if asked.frames is not None else cut_short(lengths)
        return Sides(
            filled,
            lambda run: clips,
            reals if metric.needs_real else None,
            None if real is None else {**facts_of(real, reals), "drawn_at_random": random},
            (
                *said,
                *fewer(evaluated),
                *themselves(videos, real),
                *first_by_name(reals),
                *resized_again(reals),
                *other_rates(evaluated, reals),
                *lossy(videos),
            ),
        )

    def _fit(self, protocol: Protocol, chosen: Sequence[int]) -> str | None:
        """What becomes of frames that are not square; None where that is not said and the ``chosen`` videos are.

        Raises:
            UserError: where it has to be said.
        """
        if protocol.source.fit is not None:
            return protocol.source.fit
        for index in chosen:
            _, _, height, width = self.videos.info(index)
            if height != width and protocol.features.squashes:
                return "squash"
            if height != width:
                raise UserError(
                    f"{self.videos.name(index)} is {width}x{height} pixels, which is not square: say by --fit crop "
                    "that the middle is measured, or by --fit squash that it is the whole frame, made a square"
                )
        return None

    def _shape(self, protocol: Protocol) -> tuple[int, int]:
        """Height and width of squashed frames: those of the first video where the network squashes by itself."""
        _, _, height, width = self.videos.info(0)
        return (height, width) if protocol.features.squashes else (self.videos.size, self.videos.size)


def facts_of(dataset: Dataset, clips: DataClips | None) -> dict[str, Any]:
    """What a result records of the real data."""
    facts: dict[str, Any] = {
        "fingerprint": dataset.fingerprint,
        "videos": len(dataset),
        "classes": len(dataset.classes),
        "left_out": None if clips is None else clips.left_out,
        "not_taken": None if clips is None else clips.beyond,
        "rates": [] if clips is None else list(map(list, clips.rates())),
        "sizes": [] if clips is None else list(map(list, clips.sizes())),
    }
    whole, _ = dataset.origin(0)
    if isinstance(whole, PreparedDataset):
        facts |= {"source": whole.place, "prepared": to_json(whole.index.spec)}
    elif isinstance(dataset, RawVideos):
        facts |= {"source": dataset.source, "remarks": list(map(str, dataset.remarks))}
    return facts
