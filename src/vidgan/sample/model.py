"""A trained model: sampled, and saved as a folder."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Unpack

import torch
from torch import Tensor

from vidgan.errors import UserError, some
from vidgan.files import write_folder, write_json, write_sums, write_text
from vidgan.memory import FLOAT, require_memory_for_clips
from vidgan.models.cascade import FrozenLevel
from vidgan.models.generator import Generator
from vidgan.nn.norm import BatchStatistics
from vidgan.run.checkpoints import save as save_state
from vidgan.run.directory import code_of, versions
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, StandingStatisticsSpec
from vidgan.run.graphs import require_compiler
from vidgan.sample.card import CARD, card
from vidgan.sample.classes import Classes, class_numbers
from vidgan.sample.hub import push
from vidgan.sample.noise import Scaled, Truncation, latents, truncation
from vidgan.sample.origin import About, Origin
from vidgan.sample.passes import Trained, at_once
from vidgan.sample.sampler import End, Futures, Sampler, device_of, require_memory_for_videos
from vidgan.sample.standing import GivenFrames, StatisticsStore, frozen_levels
from vidgan.sample.windows import window_frames, window_levels
from vidgan.spec import to_json
from vidgan.tensor_file import State

FORMAT: Final = "vidgan-model-1"
RECORD, WEIGHTS, STATISTICS = "model.json", "weights.safetensors", "statistics"
"""Two files of a saved model, and a folder."""


class Model:
    """A trained model. Videos are float (n, T, 3, H, W) in [-1, 1] on the CPU.

    Clip number i is a function of the seed, i and its class, whatever else is made beside it. Standing statistics are
    those that are saved, or are taken when they are first needed, since the generators do not change.

    Args:
        generators: one for each level, from the lowest.
        step: generator updates of the top level.
        label_counts: how often the data have each class; see :func:`vidgan.run.experiment.label_counts`.
        data: whose frames a frame-conditional model is given for its standing statistics; others need none.
        statistics: where standing statistics are kept; None: in memory. Its ``taken`` tells whether they were not
            saved and have been taken anew.
        of_batch: the top level's statistics are those of the clips that are made together, as in its training, and
            not standing ones; then a clip depends on what is made beside it (Clark et al. 2019, C: early variants
            "required batch statistics in order to produce good samples").
        origin: what it was trained on and how it was measured, for its card.
        processes: that shared every batch of its training: what fits is what fitted each of them.

    Attributes:
        dtype: what networks compute in, as in training unless it is set: None is the dtype of their weights, float32.
        micro_batch: videos made at a time, and passed for standing statistics, which changes rounding alone; None: as
            many as fit where training fits.
        compile: whether generators make videos as compiled graphs, which take minutes to make.
    """

    micro_batch: int | None = None
    compile: bool = False

    def __init__(
        self,
        experiment: Experiment,
        generators: Sequence[Generator],
        class_names: Sequence[str],
        step: int,
        label_counts: Sequence[int],
        data: GivenFrames | None = None,
        statistics: StatisticsStore | None = None,
        of_batch: bool = False,
        origin: Origin = Origin(),
        processes: int = 1,
    ) -> None:
        self.of_batch, self.origin, self.processes = of_batch, origin, processes
        self.experiment, self.generators = experiment, tuple(generators)
        self.class_names, self.step, self.label_counts = tuple(class_names), step, tuple(label_counts)
        self.data, self.statistics = data and data.of_classes(self._known), statistics or StatisticsStore()
        self.dtype = experiment.training.dtype
        self._samplers: dict[tuple[object, ...], Sampler] = {}

    def with_batch_statistics(self) -> "Model":
        """The same model whose top level takes the statistics of the clips that are made together."""
        model = copy.copy(self)
        model.of_batch, model._samplers = True, {}
        return model

    @property
    def device(self) -> torch.device:
        """Where videos are made."""
        return device_of(self.generators[0])

    @property
    def _known(self) -> tuple[str, ...] | None:
        """The classes that given frames have to have; None where classes do not matter."""
        return self.class_names if self.experiment.conditional else None

    def __repr__(self) -> str:
        top = self.experiment.levels[-1]
        size = f"{top.frames}x{top.size}x{top.size}"
        number = len(self.class_names)
        classes = "1 class" if number == 1 else f"{number} classes"
        return f"Model({self.experiment.name}, step {self.step}, {size}, {classes}, {self.device})"

    def sample(
        self,
        count: int,
        classes: Classes = None,
        seed: int = 0,
        sigma: float | None = None,
        threshold: float | None = None,
        frames: int | None = None,
        first: int = 0,
        window: int | None = None,
    ) -> Tensor:
        """``count`` videos from noise.

        Args:
            sigma: standard deviation of the noise; below 1 is truncation.
            threshold: truncate by drawing values beyond this again, instead of by ``sigma``.
            frames: of each video, at least as many as in training; it takes standing statistics of its own.
            first: number of the first clip.
            window: of a cascade, instead of whole videos, windows of so many frames at random places, which the top
                level makes of their own input alone, as in training (SSW-GAN, 5.1, note 1).

        Raises:
            UserError: for an unknown class, impossible values, or a model that continues videos.
        """
        self._require_memory(count, frames)
        (numbers, labels), noise = self._clips(count, classes, first), truncation(sigma, threshold)
        return self.sampler(frames, noise, window=window).sample(numbers, labels, seed, noise)

    def levels(
        self,
        count: int,
        classes: Classes = None,
        seed: int = 0,
        sigma: float | None = None,
        threshold: float | None = None,
        frames: int | None = None,
        first: int = 0,
        lowest: Tensor | None = None,
    ) -> list[Tensor]:
        """What :meth:`sample` makes, after the videos of the levels below it: the lowest level first.

        Args:
            lowest: videos that stand for what level 1 would make.
        """
        self._require_memory(count, frames)
        numbers, labels = self._clips(count, classes, first)
        noise = truncation(sigma, threshold)
        return self.sampler(frames, noise).sample_levels(numbers, labels, seed, noise, lowest)

    def stream(
        self,
        number: int,
        chunk: int,
        classes: Classes = None,
        seed: int = 0,
        sigma: float | None = None,
        threshold: float | None = None,
        frames: int | None = None,
    ) -> Iterator[Tensor]:
        """Clip ``number`` of a cascade, part after part (t, 3, H, W): what :meth:`sample` makes, up to rounding.

        Levels above the first make ``chunk`` frames at a time, so that their memory does not grow with the video.

        Raises:
            UserError: if a level above the first cannot be made in chunks.
        """
        (_, (label,)), noise = self._clips(1, classes, number), truncation(sigma, threshold)
        return self.sampler(frames, noise, chunk=chunk).stream(number, label, seed, chunk, noise)

    def interpolate(
        self,
        classes: Classes = None,
        points: int = 6,
        seed: int = 0,
        sigma: float | None = None,
        threshold: float | None = None,
        number: int = 0,
    ) -> Tensor:
        """``points`` videos on the way from one sample to another, both included (Clark et al. 2019, 4.4).

        Args:
            classes: two: from the first to the second at one latent; one: between latents of it; None: between latents
                of class ``number``, beginning again after the last.
            number: of the interpolation; each has noise of its own.
        """
        if points < 2:
            raise UserError(f"an interpolation has at least 2 points, got {points}")
        self._require_memory(points)
        (first, last), noise = self.ends(classes, number), truncation(sigma, threshold)
        return self.sampler(truncation=noise).interpolate(first, last, points, seed, noise)

    def ends(self, classes: Classes = None, number: int = 0) -> tuple[End, End]:
        """The two samples between which :meth:`interpolate` makes its videos."""
        chosen = self.class_numbers(classes)
        if classes is not None and len(chosen) == 2:
            return End(number, chosen[0]), End(number, chosen[1])
        if classes is not None and len(chosen) != 1:
            raise UserError(f"an interpolation is of one class or from one to another, not of {len(chosen)}")
        label = chosen[number % len(chosen)]
        return End(2 * number, label), End(2 * number + 1, label)

    def noise(
        self,
        count: int,
        seed: int = 0,
        sigma: float | None = None,
        threshold: float | None = None,
        first: int = 0,
    ) -> Tensor:
        """What :meth:`sample` and :meth:`predict` make the same clips from, as exported files take it: (count, K), the
        latents of all levels, the lowest first."""
        numbers, drawn = range(first, first + count), truncation(sigma, threshold)
        dimensions = [level.generator.latent for level in self.experiment.levels]
        return torch.cat([latents(seed, i, numbers, size, drawn) for i, size in enumerate(dimensions)], dim=1)

    def predict(
        self,
        frames: Tensor,
        count: int = 4,
        label: Classes | int = None,
        seed: int = 0,
        sigma: float | None = None,
        threshold: float | None = None,
        length: int | None = None,
        first: int = 0,
    ) -> Tensor:
        """``count`` continuations of the same frames, of which they hold what follows.

        Args:
            frames: float (C, 3, H, W) in [-1, 1], as many as the model is given.
            label: class, by name or number; of several, continuation i has number i, beginning again after the last.
                Only a model of one class, or without, needs none.
            length: frames of each; beyond the trained length the model continues its own frames. None: that length.
            first: number of the first continuation.

        Standing statistics are of given frames, so of truncated noise they need the data; where those are gone, the
        statistics of other noise take their place, and it warns so.

        Raises:
            UserError: for frames of another shape, or a model that is given none.
        """
        return self.futures(frames, count, label, seed, sigma, threshold, length, first).video

    def futures(
        self,
        frames: Tensor,
        count: int = 4,
        label: Classes | int = None,
        seed: int = 0,
        sigma: float | None = None,
        threshold: float | None = None,
        length: int | None = None,
        first: int = 0,
        motion_units: int | None = None,
    ) -> Futures:
        """What :meth:`predict` makes, with the motion of each frame since the one before, where the units warp.

        Args:
            motion_units: units whose motion is combined, from the finest; None: all.
        """
        level = self.experiment.levels[0]
        if not level.context_frames:
            raise UserError("this model makes videos from noise and is given no frames: sample it")
        shape = (level.context_frames, 3, level.size, level.size)
        if not frames.is_floating_point() or frames.shape != shape:
            raise UserError(
                f"this model is given float frames {shape} in [-1, 1], got {frames.dtype} {tuple(frames.shape)}"
            )
        if count < 1 or (length is not None and length < 1):
            raise UserError(f"at least one frame of one future, got {length} of {count}")
        self._require_memory(count, length)
        if label is None and self.experiment.conditional and len(self.class_names) > 1:
            raise UserError(
                "this model continues videos by class: say which, by name or number; "
                f"there are {len(self.class_names)}: {some(self.class_names, 20)}"
            )
        asked = [label] if isinstance(label, int) else label
        labels = class_numbers(self.class_names, [0] if asked is None else asked)
        given = frames[None].expand(count, -1, -1, -1, -1)
        numbers, noise = range(first, first + count), truncation(sigma, threshold)
        sampler = self._continuing_sampler(noise)
        return sampler.predict(
            given, numbers, [labels[i % len(labels)] for i in numbers], seed, length, noise, motion_units
        )

    def _continuing_sampler(self, noise: Truncation) -> Sampler:
        """As :meth:`sampler`; where data would be needed for it and are gone, with the statistics of other noise."""
        try:
            return self.sampler(truncation=noise)
        except UserError as fault:
            if noise.deviation == 1:
                raise
            sampler = self.sampler()
            warnings.warn(
                f"{fault}; standing statistics are of noise of deviation 1 instead of {noise.deviation:.3g}",
                stacklevel=4,
            )
            return sampler

    def sampler(
        self,
        frames: int | None = None,
        truncation: Truncation = Scaled(),
        statistics: StandingStatisticsSpec | None = None,
        chunk: int | None = None,
        window: int | None = None,
        replicas: Replicas = Replicas(),
    ) -> Sampler:
        """The levels with standing statistics for videos of ``frames`` frames; None: as many as in training.

        Args:
            truncation: of the noise that is sampled with. Statistics are of noise of the same deviation (Luc et al.
                2020, E.2 takes them for each evaluation), unless ``statistics`` sets one.
            statistics: how they are taken; None: as the experiment says.
            chunk: where statistics have yet to be taken, levels above the first make this many frames at a time.
            window: as in :meth:`sample`; its statistics are of such windows, which are not cut by ``chunk``.
            replicas: the processes that call this together and share the work of statistics.
        """
        experiment = self.experiment if frames is None else unrolled(self.experiment, frames)
        spec = (statistics or experiment.training.standing_statistics).at(truncation.deviation)
        if self.micro_batch is not None and self.micro_batch < 1:
            raise UserError(f"at least one video is made at a time, got a micro-batch of {self.micro_batch}")
        if window is not None:
            window = window_frames(experiment, window)
        elif frames is not None and self.device.type == "cpu":
            require_memory_for_videos(experiment, self.dtype, chunk)
        key = (experiment.levels[-1].frames, spec, window, self.dtype, self.micro_batch, self.compile)
        if key not in self._samplers:
            if self.compile:
                require_compiler(self.device, "compiling a model's generators")
            how = (spec, replicas, self.micro_batch, Trained(self.experiment, self.processes))
            kept = (self.label_counts, self.data, self.statistics, chunk, *how)
            if self.of_batch:  # levels below are fed with standing statistics in training too
                top = FrozenLevel(experiment.levels[-1], self.generators[-1], BatchStatistics())
                levels = (*frozen_levels(experiment, self.generators[:-1], *kept), top)
            elif window is None:
                levels = frozen_levels(experiment, self.generators, *kept)
            else:
                known = (self.label_counts, self.statistics, window, *how)
                levels = window_levels(experiment, self.generators, *known)
            self._samplers[key] = Sampler(levels, self.at_once(frames), window, self.dtype, self.compile)
        return self._samplers[key]

    def at_once(self, frames: int | None = None) -> int:
        """Videos of ``frames`` frames (None: as many as in training) that are made at a time."""
        longer = self.experiment if frames is None else unrolled(self.experiment, frames)
        return self.micro_batch or at_once(Trained(self.experiment, self.processes), longer.levels)

    def class_numbers(self, classes: Classes = None) -> list[int]:
        """The numbers of classes given by name or number; None: all.

        Raises:
            UserError: if there is no such class, or the model has none.
        """
        if classes is not None and not self.experiment.conditional:
            raise UserError("this model was trained without classes: give none")
        if classes is not None and not classes:
            raise UserError("an empty list of classes: leave them out for all")
        return class_numbers(self.class_names, classes)

    def labels_of(self, numbers: Sequence[int], classes: Classes = None) -> list[int]:
        """The numbers of the classes of clips: clip i has number i of ``classes``, beginning again after the last.

        Raises:
            UserError: if there is no such class, or the model has none.
        """
        chosen = self.class_numbers(classes)
        return [chosen[number % len(chosen)] for number in numbers]

    def save(
        self,
        folder: str | Path,
        licence: str | None = None,
        name: str | None = None,
        **about: Unpack[About],
    ) -> None:
        """Write weights, experiment, standing statistics and a card as one folder that :func:`load` reads: whole or not
        at all.

        Args:
            licence: of the weights, for the card (``cc-by-4.0``); None: that of the saved model that this one is, if
                it has one.
            name: what the card says to load; None: the folder.
            about: ``data_source``, ``data_licence``, ``begun_from`` and ``limits``, texts for the record and the card
                (:class:`vidgan.sample.origin.About`); what is left out stays as the saved model that this one is has
                it, or as its run tells.

        Raises:
            UserError: if the folder exists and is not empty, is the one that the program runs in, or a text is blank.
        """
        place, origin = Path(folder), self.origin.told(licence, **about)
        if place.resolve() == Path.cwd():
            raise UserError(f"{folder} is the folder that this runs in: name one within it")
        if place.exists() and not (place.is_dir() and not any(place.iterdir())):
            raise UserError(f"{place} exists and is not empty: choose another folder")
        self.sampler()
        place.parent.mkdir(parents=True, exist_ok=True)
        text = card(self.experiment, self.step, self.class_names, origin, name or place.name)
        write_folder(place, lambda part: self._write(part, origin, text))

    def push_to_hub(
        self,
        repo: str,
        licence: str | None = None,
        private: bool = False,
        token: str | None = None,
        **about: Unpack[About],
    ) -> str:
        """Save, as :meth:`save`, and upload it as ``repo`` (``owner/name``) of the Hugging Face Hub, or of the server
        that ``HF_ENDPOINT`` names; see :func:`vidgan.sample.hub.push`."""
        return push(lambda folder, place: self.save(folder, licence, place, **about), repo, private, token)

    def _write(self, folder: Path, origin: Origin, text: str) -> None:
        tensors = {
            f"level{index + 1}/{name}": tensor
            for index, generator in enumerate(self.generators)
            for name, tensor in generator.state_dict().items()
        }
        save_state(folder / WEIGHTS, State(tensors, {}))
        record = {
            "format": FORMAT,
            "experiment": to_json(self.experiment),
            "class_names": self.class_names,
            "step": self.step,
            "processes": self.processes,
            "label_counts": self.label_counts,
            "data": None if self.data is None else self.data.fingerprint,
            "code": code_of(self.experiment),
            "origin": origin.recorded(),
            **versions(),
        }
        write_json(folder / RECORD, record)
        write_text(folder / CARD, text)
        self.statistics.write_all(folder / STATISTICS)
        write_sums(folder)

    def _require_memory(self, count: int, frames: int | None = None) -> None:
        """Raise :class:`UserError` where so many videos (of ``frames`` frames; None: as trained) cannot be held.

        They are made part by part and joined, so each value is held twice.
        """
        top = self.experiment.levels[-1]
        require_memory_for_clips(
            count, top.frames if frames is None else frames, top.size, 2 * FLOAT, "ask for fewer at once"
        )

    def _clips(self, count: int, classes: Classes, first: int) -> tuple[range, list[int]]:
        """Numbers and labels of clips from noise."""
        if self.experiment.levels[0].context_frames:
            raise UserError("this model continues videos: give it frames to predict from")
        if count < 1:
            raise UserError(f"at least one video, got {count}")
        numbers = range(first, first + count)
        return numbers, self.labels_of(numbers, classes)


def unrolled(experiment: Experiment, frames: int) -> Experiment:
    """``experiment`` with videos of ``frames`` frames, at least as many as it was trained on.

    Weights do not depend on the length. Recurrent units run on, attention over time sees all frames, and the statistics
    of every time step, those beyond the trained length too, are taken anew at the new length.

    Raises:
        UserError: if the model makes more frames already, or its levels cannot share ``frames``.
    """
    trained = experiment.levels[-1].frames
    if frames < trained:
        raise UserError(
            f"frames must be at least {trained}, the length this model was trained on, got {frames}; windows of a "
            "video may be shorter (random_window)"
        )
    ratio = trained // experiment.levels[0].frames
    if frames % ratio:
        raise UserError(f"frames must be a multiple of {ratio}: the first level makes one frame in {ratio}")
    levels = tuple(level.replace(frames=frames * level.frames // trained) for level in experiment.levels)
    return experiment.replace(levels=levels)
