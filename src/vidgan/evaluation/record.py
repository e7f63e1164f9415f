"""Measuring a run or files by a protocol, and writing the number down with everything it depends on."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from vidgan.data.dataset import Dataset
from vidgan.data.raw_videos import RawVideos, open_videos
from vidgan.data.store import INDEX, PreparedDataset, open_dataset
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.clips import Clips, CopiedClips, DataClips, GeneratedClips, PairedClips, codec_of
from vidgan.evaluation.measure import Measured, as_json, measure, warnings_of
from vidgan.evaluation.protocols import Protocol
from vidgan.evaluation.protocols.extractors import Extractor, Resources, Subject
from vidgan.evaluation.protocols.metrics import BestFuture, InceptionScore
from vidgan.evaluation.protocols.pixels import FrameSimilarity, LevelSimilarity
from vidgan.evaluation.protocols.protocol import Draw
from vidgan.evaluation.rows import Advance, Begin, Shares, default_cache, forget
from vidgan.run.directory import RunDirectory, now, versions
from vidgan.run.distributed import choose_device
from vidgan.run.experiment import whole_window
from vidgan.run.logs import Log
from vidgan.sample.model import Model
from vidgan.spec import differences, to_json


def silent(what: str, total: int, kept: int) -> Advance:
    """Shows no progress."""
    return lambda done: None


class Setup(NamedTuple):
    """What measuring needs beside a protocol and clips; the defaults suit a single process without weights."""

    weights: Path | None = None
    mean_clip: Path | None = None
    run_foreign_code: bool = False
    device: torch.device | None = None
    cache: Path | None = None
    shares: Shares = Shares()
    begin: Begin = silent

    def open(self, protocol: Protocol, classes: tuple[str, ...]) -> Extractor:
        """The protocol's extractor; raises :class:`UserError` where its weights are missing or do not fit."""
        device = self.device or choose_device()
        means = Resources(self.weights, self.mean_clip, self.run_foreign_code, device, classes)
        return protocol.features.open(means)


class Evaluated(NamedTuple):
    """A line that was made, and rows that may be forgotten now."""

    line: dict[str, Any]
    rows: tuple[Path, ...]


def evaluate(
    run: RunDirectory,
    model: Model | None,
    dataset: Dataset,
    name: str,
    protocol: Protocol,
    setup: Setup = Setup(),
    marks: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Measure ``model`` and append the result to the run's ``metrics.jsonl``; the line that was written.

    Without a model, what it would be given is measured as the copy baseline makes of it (:class:`CopiedClips`), and
    the result appended to ``copy-last.metrics.jsonl``.

    Args:
        marks: further fields of the line.

    Raises:
        UserError: if the protocol does not apply to the model and the data.
    """
    evaluated = judge_run(run, model, dataset, name, protocol, setup)
    evaluated.line.update(marks)
    if setup.shares.is_rank_zero:
        (run.metrics if model is not None else copies_log(run)).append(evaluated.line)
        for folder in evaluated.rows:
            forget(folder)
    return evaluated.line


def copies_log(run: RunDirectory) -> Log:
    """Where results of the copy baseline are kept: apart from the model's."""
    return Log(run.path / "copy-last.metrics.jsonl")


def subject_of(run: RunDirectory, dataset: Dataset) -> Subject:
    """A run, as far as a protocol may refuse it."""
    experiment = run.experiment
    context, levels = experiment.levels[0].context_frames, len(experiment.levels)
    return Subject(run.class_names, True, experiment.conditional, context, dataset, levels)


def judge_run(
    run: RunDirectory, model: Model | None, dataset: Dataset, name: str, protocol: Protocol, setup: Setup
) -> Evaluated:
    """Measure ``model``, or the copy baseline, against ``dataset``; raises as :func:`evaluate`."""
    if model is None:
        protocol = of_copies(protocol)
    protocol.check(subject_of(run, dataset))
    began = time.monotonic()
    experiment, sampling = run.experiment, protocol.sampling
    assert sampling is not None, "a protocol for files alone"
    whole = whole_window(experiment)
    context = experiment.levels[0].context_frames
    made = whole.frames if sampling.given_frames else whole.frames - context
    asked = protocol.source
    frames = asked.frames or made
    if frames > made:
        raise UserError(
            f"{name} takes clips of {frames} frames; this model makes {made}: choose --frames {made} or fewer"
        )
    if asked.size not in (None, whole.size):
        raise UserError(f"this model makes clips of {whole.size}x{whole.size}, not {asked.size}x{asked.size}")
    stride = asked.stride or whole.stride
    window = WindowSpec(size=whole.size, frames=frames, stride=stride)
    metric, draw = protocol.metric, protocol.real
    futures = metric.futures if isinstance(metric, BestFuture) else 1
    given = real = None
    count = protocol.clips
    if context:
        continued = draw or Draw()
        if futures > 1 or isinstance(protocol.features, FrameSimilarity):
            continued = continued.replace(count=protocol.clips)
        given = DataClips(dataset, whole.replace(stride=stride), continued, protocol.seed)
        if isinstance(protocol.features, FrameSimilarity):
            count = given.count
    if metric.needs_real:
        assert draw is not None
        real = DataClips(dataset, window, draw, protocol.seed, asked.classes)
    labels = [run.class_names.index(each) for each in asked.classes]

    def fakes(number: int) -> Clips:
        if model is None:
            assert given is not None, "only given frames can be copied"
            return CopiedClips(given, count, context, sampling.given_frames, frames)
        seed = protocol.seed + number
        pairs = isinstance(protocol.features, LevelSimilarity)
        return GeneratedClips(model, sampling, seed, count * futures, frames, given, futures, pairs, labels)

    source = asked.replace(
        frames=frames, stride=stride, size=whole.size, real_codec=codec_of(dataset), fake_codec="none"
    )
    settle = experiment.training.standing_statistics
    how = None if model is None else sampling.replace(statistics=sampling.statistics or settle)
    full = protocol.replace(source=source, clips=count, sampling=how)
    extractor = setup.open(protocol, run.class_names if given is None else given.classes)
    facts = {
        "step": None if model is None else model.step,
        "data": dataset.fingerprint,
        "evaluated": {"run": str(run.path), **evaluated_facts(fakes(0))},
        "real": facts_of(dataset, real or given),
    }
    return measure_subject(name, protocol, full, fakes, real, extractor, setup, facts, began)


def of_copies(protocol: Protocol) -> Protocol:
    """``protocol`` for the copy baseline: of one clip there is one copy, and no noise."""
    metric = protocol.metric
    if isinstance(metric, BestFuture):
        metric = metric.replace(futures=1)
    return protocol.replace(metric=metric, runs=1)


def evaluated_facts(clips: Clips) -> dict[str, Any]:
    """Which weights made the evaluated clips, or that they are copies of given frames."""
    return {name: clips.identity[name] for name in ("weights", "copies") if name in clips.identity}


def judge_files(
    fake: Path, real: Path | Dataset | None, name: str, protocol: Protocol, setup: Setup
) -> Evaluated:
    """Measure the videos at ``fake``, a folder or an array, against those at ``real``, prepared or not.

    Raises:
        UserError: if videos cannot be read, real ones are missing, or the protocol does not apply.
    """
    began = time.monotonic()
    asked, metric = protocol.source, protocol.metric
    files = open_videos(fake, asked.size)
    size, stride = files.size, asked.stride or 1
    dataset = open_real(real, size) if isinstance(real, Path) else real
    protocol.check(Subject(files.classes, False, len(files.classes) > 1, 0, dataset))
    if protocol.real is not None and dataset is None:
        raise UserError(f"{name} compares with real videos: name them by --real FOLDER or --data DEST")
    futures = metric.futures if isinstance(metric, BestFuture) else 1
    count = min(len(files), protocol.clips * futures)
    lengths = [files.info(index).frames for index in range(count)]
    frames = asked.frames or min(lengths)
    evaluated = DataClips(files, WindowSpec(size=size, frames=frames), Draw(count=count), protocol.seed)
    clips: Clips = evaluated
    reals = None
    if protocol.real is not None:
        assert dataset is not None
        window = WindowSpec(size=size, frames=frames, stride=stride)
        draw = protocol.real
        if isinstance(protocol.features, FrameSimilarity):
            # Files and what followed are paired by their order, so nothing is shuffled or left out.
            draw = Draw(split=draw.split, count=max(1, count // futures))
        reals = DataClips(dataset, window, draw, protocol.seed)
        if isinstance(protocol.features, FrameSimilarity):
            clips = PairedClips(evaluated, reals, futures)
    random = protocol.real is not None and (protocol.real.shuffled or protocol.real.random_start)
    source = asked.replace(
        frames=frames,
        stride=stride,
        size=size,
        real_codec=None if reals is None or dataset is None else codec_of(dataset),
        fake_codec=files.codec,
    )
    full = protocol.replace(source=source, clips=count // futures, sampling=None, runs=1)
    extractor = setup.open(protocol, files.classes)
    facts: dict[str, Any] = {
        "step": None,
        "data": None if dataset is None else dataset.fingerprint,
        "evaluated": {"files": str(fake), "fingerprint": files.fingerprint, "videos": len(files)},
        "real": None if dataset is None else facts_of(dataset, reals) | {"drawn_at_random": random},
    }
    needed = reals if metric.needs_real else None
    found = measure_subject(
        name, protocol, full, lambda number: clips, needed, extractor, setup, facts, began
    )
    if asked.frames is None and frames < max(lengths):
        shortest = files.name(lengths.index(frames))
        found.line["warnings"].insert(
            0,
            f"only the first {frames} frames of each clip were evaluated, as {shortest} has no more and "
            f"others have up to "
            f"{max(lengths)}: leave it out, or choose by --frames",
        )
    return found


def measure_subject(
    name: str,
    named: Protocol,
    full: Protocol,
    fakes: Any,
    real: DataClips | None,
    extractor: Extractor,
    setup: Setup,
    facts: dict[str, Any],
    began: float,
) -> Evaluated:
    """Measure by ``full``, in which everything is filled in, and put the line together."""
    draw = None if full.real is None or real is None else full.real.replace(count=real.count)
    full = full.replace(features=extractor.spec, real=draw or full.real)
    measured = measure(
        full, fakes, real, extractor, setup.cache or default_cache(), setup.shares, setup.begin
    )
    line = line_of(name, named, full, measured, extractor, facts)
    line["seconds"] = round(time.monotonic() - began, 2)
    return Evaluated(line, measured.rows)


def line_of(
    name: str,
    named: Protocol,
    full: Protocol,
    measured: Measured,
    extractor: Extractor,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """A result as one line."""
    metric = full.metric
    splits = metric.splits if isinstance(metric, InceptionScore) else None
    found = as_json(measured)
    return {
        "protocol": name,
        "value": found.pop("value"),
        "step": facts["step"],
        "clips": measured.fake,
        "seed": full.seed,
        **found,
        "warnings": warnings_of(measured, named.clips, splits),
        "settings": to_json(full),
        "network": dict(extractor.facts),
        **{key: facts[key] for key in ("data", "evaluated", "real")},
        "versions": versions(),
        "when": now(),
    }


def changes_of(named: Protocol, line: dict[str, Any]) -> list[str]:
    """In which settings a result differs from the protocol of its name; what that leaves open does not count."""
    return [
        text
        for text in differences(to_json(named), line["settings"])
        if ": None -> " not in text and not text.startswith(("seed:", "sampling"))
    ]


def open_real(path: Path, size: int) -> Dataset:
    """Real videos for files of ``size`` pixels: a prepared dataset of that size, or videos as they lie.

    Raises:
        UserError: where there are none, or prepared ones are of another size.
    """
    if not (path / INDEX).is_file():
        return open_videos(path, size)
    dataset = open_dataset(path)
    if dataset.index.spec.size != size:
        raise UserError(
            f"{path} is prepared at {dataset.index.spec.size} pixels and the evaluated videos have {size}: "
            f"give --size {dataset.index.spec.size}, or prepare it at {size}"
        )
    return dataset


def facts_of(dataset: Dataset, clips: DataClips | None) -> dict[str, Any]:
    """What a result records of the real data."""
    facts: dict[str, Any] = {
        "fingerprint": dataset.fingerprint,
        "videos": len(dataset),
        "classes": len(dataset.classes),
        "left_out": None if clips is None else clips.left_out,
    }
    if isinstance(dataset, PreparedDataset):
        facts |= {"source": str(dataset.folder), "prepared": to_json(dataset.index.spec)}
    elif isinstance(dataset, RawVideos):
        facts |= {"source": str(dataset.place)}
    return facts
