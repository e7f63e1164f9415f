"""Standing statistics: batch statistics per layer and step, averaged over many passes, and the files that keep them.

Statistics depend on the weights, the length of the videos, how the passes draw and, where a level is given frames,
on the data: so does the name of their file. Those of samples are of noise of the samples' own deviation. (Streams are
still called "settle": another name draws other numbers.)
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.window import random_clip, random_item
from vidgan.errors import UserError
from vidgan.models.cascade import Chunk, FrozenLevel, by_label, chunks_of, inputs_of, stream_chunks
from vidgan.models.generator import NOTHING, Conditioning, Generator, from_below, join
from vidgan.nn.layers import held_weights
from vidgan.nn.norm import Clock, StandingStatistics
from vidgan.run.batch import evenly
from vidgan.run.checkpoints import load_statistics, save_statistics, weights_hash
from vidgan.run.data import data_of_run
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, window_of
from vidgan.sample.memory import short_of_memory
from vidgan.sample.noise import Scaled, latents
from vidgan.sample.passes import Trained, at_once, clips_in_memory
from vidgan.sample.pieces import Piece, PiecewiseStatistics, bytes_waiting, pass_in_pieces, require_room
from vidgan.sample.sampler import device_of, parts_of
from vidgan.seeds import derive, stream


class GivenFrames(NamedTuple):
    """The data whose frames a frame-conditional level is given for its standing statistics; each data has its own."""

    fingerprint: str
    """of the data"""
    open: Callable[[], Dataset]
    """opens them; called only where their statistics are not kept yet"""

    def of_classes(self, names: tuple[str, ...] | None) -> Self:
        """The same; opening them raises :class:`UserError` where they have other classes, if those matter."""

        def checked() -> Dataset:
            dataset = self.open()
            if names is not None and dataset.classes != names:
                raise UserError(
                    "this model continues videos by class, and the data for its standing statistics have other classes"
                )
            return dataset

        return self._replace(open=checked)

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Frames of data that are open already."""
        return cls(dataset.fingerprint, lambda: dataset)


def given_frames(run: RunDirectory, named: Dataset | None) -> GivenFrames:
    """What a frame-conditional run takes standing statistics of: ``named`` data, or else those of its training."""
    if named is not None:
        return GivenFrames.of(named)

    def own() -> Dataset:
        dataset = data_of_run(run, None)
        if dataset.fingerprint != run.data.fingerprint:
            raise UserError(
                f"the data of this run have changed since it started ({run.data.source}); name them by --data"
            )
        return dataset

    return GivenFrames(run.data.fingerprint, own)


class StatisticsStore:
    """Standing statistics by all that they depend on: in memory, and in files where there are folders for them.

    Args:
        read: folders that they are looked for in.
        write: folder for new ones, looked for in too; None writes nothing.

    Attributes:
        taken: whether some that were asked for were in no folder, and have been taken anew.
    """

    def __init__(self, read: Sequence[Path] = (), write: Path | None = None) -> None:
        self.write = write
        self.folders = [*read] if write is None or write in read else [*read, write]
        self.taken = False
        self._tables: list[tuple[dict[str, Any], dict[str, Tensor]]] = []

    def load(self, facts: dict[str, Any]) -> dict[str, Tensor] | None:
        """The table of exactly these ``facts``; None where there is none."""
        found = [table for known, table in self._tables if known == facts]
        for folder in self.folders if not found else ():
            table = load_statistics(folder, facts)
            if table is not None:
                self._tables.append((facts, table))
                return table
        return found[0] if found else None

    def save(self, facts: dict[str, Any], table: dict[str, Tensor], writes: bool = True) -> None:
        """Keep a table that was taken anew; in a file too, unless another process writes it."""
        self.taken = True
        self._tables.append((facts, table))
        if self.write is not None and writes:
            save_statistics(self.write, facts, table)

    def write_all(self, folder: Path) -> None:
        """Write all that were loaded or saved into ``folder``."""
        for facts, table in self._tables:
            save_statistics(folder, facts, table)


def frozen_levels(
    experiment: Experiment,
    generators: Sequence[Generator],
    labels: Sequence[int],
    data: GivenFrames | None = None,
    store: StatisticsStore | None = None,
    chunk: int | None = None,
    statistics: StandingStatisticsSpec | None = None,
    replicas: Replicas = Replicas(),
    at_once: int | None = None,
    trained: Trained | None = None,
) -> tuple[FrozenLevel, ...]:
    """The first levels of ``experiment``, one for each generator, with standing statistics: kept ones or new ones.

    Args:
        labels: how often the data have each class; see :func:`vidgan.run.experiment.label_counts`.
        data: whose frames a frame-conditional level is given; others need none.
        chunk: frames that levels above the first make at a time; None: all of them.
        statistics: how they are taken; None: as the experiment says, by noise that is not truncated.
        replicas: the processes that call this together and share the work; rank 0 keeps what is new.
        at_once: as in :func:`statistics_of_level`.
        trained: as in :func:`statistics_of_level`.

    Raises:
        UserError: if a frame-conditional level has no data and its statistics are not kept.
    """
    spec, store = (statistics or experiment.training.standing_statistics).at(1.0), store or StatisticsStore()
    hashes = [weights_hash(generator) for generator in generators]
    levels: list[FrozenLevel] = []
    for index, generator in enumerate(generators):
        level = experiment.levels[index]
        facts = facts_of(experiment, hashes[: index + 1], level.frames, spec, labels)
        if level.context_frames:
            if data is None:
                raise UserError("a frame-conditional model takes standing statistics of data: give it some")
            facts["data"] = data.fingerprint
            if experiment.conditional:
                facts["labels"] = "of the given frames"
        table = store.load(facts)
        if any(replicas.agree(table is None)):
            dataset = data.open() if data is not None and level.context_frames else None
            table = statistics_of_level(
                experiment, index, generator, levels, labels, dataset, spec, chunk, replicas, at_once, trained
            )
            store.save(facts, table, replicas.is_rank_zero)
        assert table is not None
        # From a file they come on the CPU.
        levels.append(FrozenLevel(level, generator, StandingStatistics(table, device_of(generator))))
    return tuple(levels)


def facts_of(
    experiment: Experiment,
    hashes: Sequence[str],
    frames: int,
    spec: StandingStatisticsSpec,
    labels: Sequence[int],
) -> dict[str, Any]:
    """What a table of a level's statistics depends on.

    Args:
        hashes: of the weights of the levels below and, last, of its own.
        frames: of the videos.
    """
    # Nothing is said of float32, as in tables of earlier versions.
    dtype = {"dtype": "bfloat16"} if experiment.training.bf16 else {}
    return {
        "weights": [hashes[-1], *hashes[:-1]],
        "frames": frames,
        "standing_statistics": spec.facts(),
        "seed": experiment.training.seed,
        "labels": list(labels),
    } | dtype


Given = Callable[[range, Tensor], Iterable[Conditioning]]
"""(numbers of clips, their labels (B,)) -> what the generator is conditioned on, chunk by chunk."""


@torch.no_grad()
def standing_statistics(
    generator: Generator,
    chunks: Sequence[Chunk],
    labels: Sequence[int],
    spec: StandingStatisticsSpec,
    seed: int,
    given: Given,
    label_of: Callable[[int], Tensor] | None = None,
    *,
    at_once: int | None = None,
    dtype: torch.dtype | None = None,
    replicas: Replicas = Replicas(),
) -> dict[str, Tensor]:
    """Average means and variances of all normalisation layers (Luc et al. 2020, E.2; SSW-GAN, A).

    Args:
        chunks: the video that is generated; statistics are per step, so another length needs its own. Those of a
            chunk are taken at the frames that it keeps, whose moments its other frames make exact at every layer.
        labels: how often each class is drawn, over their sum. Our choice: as often as the data have it, since
            training takes labels from the data too; the papers do not say.
        label_of: the labels (B,) of a batch, where they are those of given frames, and not drawn.
        at_once: clips on the device at a time; None: a whole batch. Statistics are those of the whole batch, up to
            rounding.
        dtype: what to compute in; None is the weights' dtype. Moments are of float32 or wider.
        replicas: the processes that call this together; each takes its share of every batch.

    Returns:
        ``{layer/mean, layer/variance}`` -> (T, C), float64.

    Raises:
        OutOfMemoryInPassError: where so many clips do not fit.
        UserError: where this machine has no room for activations that wait.
    """
    device = device_of(generator)
    recorded = [PiecewiseStatistics(replicas.group) for _ in chunks]
    ends = torch.tensor(labels).cumsum(0)
    own, counts = own_rows(spec.clips, replicas)
    cuts = [
        slice(own.start + cut.start, own.start + cut.stop)
        for cut in parts_of(len(own), at_once or spec.clips)
    ]
    most = max(cut.stop - cut.start for cut in cuts)
    if len(cuts) > 1:
        size = (dtype or next(generator.parameters()).dtype).itemsize
        waiting = bytes_waiting(generator.spec, max(chunk.steps for chunk in chunks), size)
        require_room(waiting, len(own), replicas, device)
    with held_weights(generator), short_of_memory(most, f"{most} clips at a time of {WHAT}", SHORTER):
        for batch in range(spec.batches):
            rng = stream(seed, "settle", batch)
            z = spec.deviation * torch.randn((spec.clips, generator.spec.latent), generator=rng)
            tickets = torch.randint(0, int(ends[-1]), (spec.clips,), generator=rng)
            drawn = torch.bucketize(tickets, ends, right=True)
            label = (drawn if label_of is None else label_of(batch)).to(device)
            z, first = z.to(device), batch * spec.clips
            conditionings = [
                iter(given(range(first + cut.start, first + cut.stop), label[cut])) for cut in cuts
            ]
            for chunk, of_chunk in zip(chunks, recorded, strict=True):
                pieces = [
                    Piece(
                        z[cut],
                        generator.embed_label(label[cut]),
                        next(conditioning),
                        (cut.stop - cut.start) / spec.clips if counts else 0.0,
                    )
                    for cut, conditioning in zip(cuts, conditionings, strict=True)
                ]
                pass_in_pieces(generator, pieces, chunk.steps, of_chunk, Clock(chunk.start), dtype)
    tables = [of_chunk.averages() for of_chunk in recorded]
    return {
        key: torch.cat([table[key][chunk.kept] for chunk, table in zip(chunks, tables, strict=True)])
        for key in tables[0]
    }


WHAT: Final = "standing statistics"
SHORTER: Final = "of a cascade, vidgan sample --chunk takes them a few frames at a time"


def own_rows(clips: int, replicas: Replicas) -> tuple[range, bool]:
    """The clips of a batch that a process passes, and whether they count.

    Where there are more processes than clips, some pass a clip that another one counts, so that all take part.
    """
    own = evenly(clips, replicas.size)[replicas.rank]
    return (own, True) if len(own) else (range(1), False)


def statistics_of_level(
    experiment: Experiment,
    index: int,
    generator: Generator,
    below: Sequence[FrozenLevel],
    labels: Sequence[int],
    dataset: Dataset | None,
    spec: StandingStatisticsSpec,
    chunk: int | None = None,
    replicas: Replicas = Replicas(),
    at_once: int | None = None,
    trained: Trained | None = None,
) -> dict[str, Tensor]:
    """Statistics of a level's generator for the whole length of its videos, in the dtype of training.

    Neither in clips nor in time is more made at once than in training, as far as layers allow; which changes
    rounding alone.

    Args:
        below: the levels underneath; empty for the first.
        labels: as in :func:`frozen_levels`.
        chunk: as in :func:`frozen_levels`.
        dataset: where conditioning frames come from; only a frame-conditional level needs it.
        replicas: as in :func:`standing_statistics`.
        at_once: clips on the device at a time; None: as many as fit where training fits.
        trained: how its training was, where that is over; None: it is in training, by ``replicas``.
    """
    trained = trained or Trained(experiment, replicas.size)
    level = experiment.levels[index]
    seed = experiment.training.seed
    chunks = chunks_of(experiment.levels, index, chunk)
    given: Given
    label_of = None
    if level.context_frames:
        assert dataset is not None, "a frame-conditional level is given frames of data"
        given = _frames_of(experiment, index, generator, dataset, trained)
        label_of = _labels_of(experiment, index, dataset, spec.clips) if experiment.conditional else None
    elif below:
        given = _videos_of(experiment, below, spec.deviation, chunks, chunk, trained)
    else:
        given = _nothing
    return standing_statistics(
        generator,
        chunks,
        labels,
        spec,
        derive(seed, "level", index),
        given,
        label_of,
        at_once=at_once or clips_in_memory(trained, index, max(each.steps for each in chunks)),
        dtype=experiment.training.dtype,
        replicas=replicas,
    )


def _nothing(numbers: range, label: Tensor) -> list[Conditioning]:
    return [NOTHING]


def _frames_of(
    experiment: Experiment, index: int, generator: Generator, dataset: Dataset, trained: Trained
) -> Given:
    window = window_of(experiment, index)
    most = at_once(trained, experiment.levels[: index + 1])
    seed, device = derive(experiment.training.seed, "settle on", index), device_of(generator)
    dtype = experiment.training.dtype or next(generator.parameters()).dtype

    def encoded(numbers: range) -> Conditioning:
        clips = torch.stack([torch.from_numpy(random_item(dataset, window, seed, n).frames) for n in numbers])
        given = to_float(clips)[:, : experiment.levels[index].context_frames].to(device)
        return generator.encode(given.to(dtype))

    def given(numbers: range, label: Tensor) -> list[Conditioning]:
        return [join([encoded(numbers[rows]) for rows in parts_of(len(numbers), most)])]

    return given


def _labels_of(experiment: Experiment, index: int, dataset: Dataset, clips: int) -> Callable[[int], Tensor]:
    """The labels of the clips whose frames :func:`_frames_of` gives."""
    seed, known = derive(experiment.training.seed, "settle on", index), dataset.labels()

    def labels(batch: int) -> Tensor:
        numbers = range(batch * clips, (batch + 1) * clips)
        return torch.from_numpy(known[[random_clip(len(dataset), seed, n) for n in numbers]])

    return labels


def _videos_of(
    experiment: Experiment,
    below: Sequence[FrozenLevel],
    sigma: float,
    chunks: Sequence[Chunk],
    chunk: int | None,
    trained: Trained,
) -> Given:
    seed = derive(experiment.training.seed, "settle")
    most = at_once(trained, [level.spec for level in below])
    factor = experiment.levels[len(below)].frames // below[-1].spec.frames

    def made(numbers: range, label: Tensor) -> Iterator[Tensor]:
        def noise(level: int, dimension: int) -> Tensor:
            return latents(seed, level, numbers, dimension, Scaled(sigma=sigma)).to(label.device)

        parts = stream_chunks(below, noise, by_label(label), chunk, experiment.training.dtype)
        return inputs_of(chunks, parts, factor)

    def given(numbers: range, label: Tensor) -> Iterator[Conditioning]:
        parts = [made(numbers[rows], label[rows]) for rows in parts_of(len(numbers), most)]
        return (
            from_below(torch.cat(videos) if len(videos) > 1 else videos[0])
            for videos in zip(*parts, strict=True)
        )

    return given
