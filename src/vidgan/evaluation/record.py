"""Measuring by named protocols, and what is recorded: a number with everything that it depends on."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.evaluation.evaluated import Evaluated, FinishedVideos, Sides
from vidgan.evaluation.measure import Deviation, Floor, measure, warnings_of
from vidgan.evaluation.metrics.features import Numbers, frechet_distance
from vidgan.evaluation.opening import Fake, Opening, Real, open_sides
from vidgan.evaluation.protocols import Protocol, adjusted, default_distance
from vidgan.evaluation.protocols import protocol as protocol_of
from vidgan.evaluation.protocols.base import EvaluationBatch, Extractor, Features, Resources
from vidgan.evaluation.protocols.networks import I3DFeatures
from vidgan.evaluation.rows import Wanted, Work, forget
from vidgan.run.directory import RunDirectory, now, versions
from vidgan.run.distributed import choose_device, rank_zero_first
from vidgan.run.logs import Log
from vidgan.spec import differences, to_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A number and everything that it depends on.

    Examples:
        >>> result = vidgan.evaluate("runs/mine")
        >>> result.value, result.deviation, result.warnings
    """

    protocol: str
    """name"""
    value: float
    """the headline number"""
    step: int | None
    """generator updates of the model; None for finished videos"""
    values: Mapping[str, Any]
    """further numbers, by name"""
    deviation: Deviation | None
    """how far the number moves; None for a single clip"""
    per_run: tuple[float, ...]
    """the number of each run with noise of its own"""
    two_real_halves: Floor | None
    """the number of real clips against real clips, where that can be told"""
    counts: Mapping[str, int | None]
    """clips ``evaluated`` and ``real``"""
    table: Mapping[str, Any] | None
    """rows, columns and counts, where the protocol has a table"""
    warnings: tuple[str, ...]
    """what a reader must know before using the number, in sentences"""
    settings: Protocol
    """the protocol in full, nothing left open"""
    network: Mapping[str, Any]
    """hash and name of the weights, accuracy of a classifier, ..."""
    data: str | None
    """fingerprint of the real data"""
    evaluated: Mapping[str, Any]
    """what was evaluated"""
    real: Mapping[str, Any] | None
    """what it was compared with"""
    versions: Mapping[str, Any]
    """of the programs, and the machine"""
    when: str
    """time, as ISO 8601 has it"""
    seconds: float
    """that it took"""
    marks: Mapping[str, Any]
    """further fields of the line, by whoever asked for the number"""

    def line(self) -> dict[str, Any]:
        """The result as a line of ``metrics.jsonl``."""
        first = {"protocol": self.protocol, "value": self.value, "step": self.step}
        first |= {"clips": self.counts["evaluated"], "seed": self.settings.seed}
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts |= {
            "values": dict(self.values),
            "deviation": None if self.deviation is None else self.deviation._asdict(),
            "two_real_halves": None if self.two_real_halves is None else self.two_real_halves._asdict(),
            "settings": to_json(self.settings),
            "per_run": list(self.per_run) if len(self.per_run) > 1 else None,
            "warnings": list(self.warnings),
        }
        optional = ("per_run", "two_real_halves", "table")
        kept = {name: part for name, part in parts.items() if part is not None or name not in optional}
        marks = kept.pop("marks")
        return {**first, **{name: part for name, part in kept.items() if name not in first}, **marks}


class Opened(NamedTuple):
    """A protocol that applies, ready to be measured by."""

    name: str
    named: Protocol
    """as it was asked for"""
    sides: Sides
    extractor: Extractor
    """of the features for clips of this length"""
    features: Features
    """as they are recorded"""

    def wanted(self, run: int | None) -> list[Wanted]:
        """The rows of a run, or of the real clips (None), if there are such."""
        if run is None:
            return [] if self.sides.real is None else [(self.sides.real, self.extractor)]
        return [(self.sides.fakes(run), self.extractor)] if run < self.sides.protocol.runs else []


def evaluate_by(
    evaluated: Evaluated,
    real: Dataset | None,
    protocols: Mapping[str, Protocol],
    resources: Resources = Resources(),
    work: Work = Work(),
    log: Log | None = None,
    marks: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    tell: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Measure by protocols, by name; results are appended to ``log`` and told, each as soon as it is known.

    Everything is checked and opened before anything is computed. No clip is made or read twice, and no network sees
    it twice, for several protocols. Rows of evaluated clips are removed from the cache in
    the end; where this is cut short they stay, so that the same call resumes.

    Args:
        real: what is compared with, where a protocol needs it.
        marks: further fields of the lines, by protocol.
        tell: is called with each result, in the process that writes.

    Raises:
        UserError: if a protocol does not apply, its weights are missing or clips cannot be read.
    """
    resources.require_use([protocol.features for protocol in protocols.values()])
    opened: list[Opened] = []
    networks: dict[Features, Extractor] = {}
    work = work._replace(memory={})
    for name, protocol in protocols.items():
        protocol.check(evaluated.subject(real))
        features = protocol.features
        if features not in networks:
            networks[features] = features.open(resources, evaluated.classes_of(real))
        extractor, sides = networks[features], evaluated.sides(name, protocol, real).checked()
        on_record, seen = extractor.spec, features.for_frames(sides.protocol.source.frames)
        if on_record == features:
            extractor = extractor._replace(spec=seen)
        opened.append(Opened(name, protocol, sides, extractor, on_record))
    together = work.replicas.size > 1
    with nullcontext() if together else rank_zero_first(work.shares.is_rank_zero, work.shares.wait):
        for each in opened:
            evaluated.prepare(each.sides.protocol, work.replicas)
    results, folders = [], set[Path]()
    for place, each in enumerate(opened):
        result, rows = measured_by(each, evaluated, real, work, marks.get(each.name, {}), opened[place + 1 :])
        results.append(result)
        folders.update(rows)
        if work.shares.is_rank_zero:
            if log is not None:
                log.append(result.line())
            tell(result)
    work.shares.wait()  # others may still read them
    forget(folders)  # on each node its own
    work.shares.wait()  # before one of them begins anew there
    return results


def measured_by(
    opened: Opened,
    evaluated: Evaluated,
    real: Dataset | None,
    work: Work,
    marks: Mapping[str, Any],
    later: Sequence[Opened],
) -> tuple[Result, Sequence[Path]]:
    """The result of one protocol before ``later`` ones, and folders with rows of evaluated clips."""
    began, sides = time.monotonic(), opened.sides
    full = sides.protocol.replace(features=opened.features)

    def beside(run: int | None) -> list[Wanted]:
        return [wanted for other in later for wanted in other.wanted(run)]

    measured = measure(full, sides.fakes, sides.real, opened.extractor, work, beside)
    result = Result(
        protocol=opened.name,
        value=measured.score.value,
        step=evaluated.step,
        values=measured.score.values,
        deviation=measured.deviation,
        per_run=tuple(measured.per_run),
        two_real_halves=measured.floor,
        counts={"evaluated": measured.fake, "real": measured.real},
        table=measured.score.table,
        warnings=(*sides.warnings, *warnings_of(measured, full.metric, opened.named.clips)),
        settings=full,
        network=dict(opened.extractor.facts),
        data=None if real is None else real.fingerprint,
        evaluated=evaluated.facts(sides.fakes(0)),
        real=sides.facts,
        versions=versions(),
        when=now(),
        seconds=round(time.monotonic() - began, 2),
        marks={**evaluated.marks, **marks},
    )
    return result, measured.folders


def evaluate(
    fake: Fake,
    real: Real | None = None,
    protocol: str | Protocol | None = None,
    *,
    name: str | None = None,
    weights: str | Path | None = None,
    mean_clip: str | Path | None = None,
    run_foreign_code: bool = False,
    clips: int | None = None,
    real_clips: int | None = None,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    fit: str | None = None,
    classes: Sequence[str] = (),
    runs: int | None = None,
    seed: int | None = None,
    checkpoint: str | int = "last",
    raw: bool = False,
    statistics_sigma: float | None = None,
    micro_batch: int | None = None,
    device: str | torch.device | None = None,
    cache: str | Path | None = None,
    log: str | Path | None = None,
) -> Result:
    """Measure a model, a run or videos by a protocol. Nothing is written, unless ``log`` or ``cache`` says where.

    Settings that are None are as the protocol says; others are in ``result.settings``.

    Examples:
        >>> result = vidgan.evaluate("runs/mine")  # against its own data
        >>> result = vidgan.evaluate("my_videos", real="data/test", protocol="fvd-reference", weights="i3d.pt")

    Args:
        fake: a model, a run directory, a folder of videos, an ``.npy`` file or a uint8 array (N, T, H, W, 3).
        real: what it is compared with: whatever :func:`vidgan.open_dataset` opens (a prepared folder, ``synthetic``, a
            torch dataset of one's own, ...), raw videos or a uint8 array; None: the data of the run, or
            nothing where the protocol needs no real clips.
        protocol: a name, or a protocol of one's own; :func:`vidgan.evaluation.adjusted` changes further settings. None:
            :func:`vidgan.evaluation.default_distance`.
        name: what the record calls a protocol of one's own.
        weights: file of the network's weights.
        mean_clip: C3D's mean clip.
        run_foreign_code: allow weights that are a TorchScript program, which runs the code in it.
        clips: evaluated clips.
        real_clips: most real clips.
        frames: frames per clip.
        stride: source frames from one frame of a real clip to the next.
        size: side of the clips (pixels), to which videos are resized.
        fit: of videos that are not square: ``crop`` to the middle, or ``squash`` the whole frame.
        classes: of a model, only these, generated and real.
        runs: repetitions with other noise, for a deviation over runs.
        seed: of noise, draws and resampling.
        checkpoint: of a run: ``last``, ``best`` by what it evaluated while it trained, or the step of one.
        raw: raw weights instead of their moving average. A model is used as it is; here it is said for the record.
        statistics_sigma: of a run or a saved folder: deviation of the noise of standing statistics; None: the samples'
            own. A model has it already (:func:`vidgan.load`).
        micro_batch: of a run or a saved folder: videos made at a time; None: as many as fit where training fits. A
            model has it already (``model.micro_batch``). Networks take no more clips at a time either.
        device: where networks run; None: the GPU where there is one.
        cache: folder that keeps features, so that the same call resumes and real clips are looked at once.
        log: file to which the result is appended as a line.

    Raises:
        UserError: if something is missing or does not fit; in one line that says what to do.
    """
    protocol = default_distance() if protocol is None else protocol
    if isinstance(protocol, str):
        name, protocol = name or protocol, protocol_of(protocol)
    asked = adjusted(
        protocol,
        clips=clips,
        real_clips=real_clips,
        frames=frames,
        stride=stride,
        size=size,
        fit=fit,
        classes=classes,
        runs=runs,
        seed=seed,
        averaged=not raw,
    )
    if log is not None and not Path(log).parent.is_dir():
        raise UserError(f"there is no folder {Path(log).parent} for the log")
    place = torch.device(device) if device is not None else choose_device()
    evaluated, dataset = open_sides(
        fake, real, Opening(checkpoint, raw, place, None, statistics_sigma, None, micro_batch), asked.source
    )
    if runs is not None and isinstance(evaluated, FinishedVideos):
        raise UserError("runs repeat a measurement with other noise; finished videos have none: leave it out")
    resources = Resources(_path(weights), _path(mean_clip), run_foreign_code, place, micro_batch)
    to = None if log is None else Log(Path(log))
    (result,) = evaluate_by(evaluated, dataset, {name or "own": asked}, resources, Work(_path(cache)), to)
    return result


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def fvd(
    real: Numbers,
    fake: Numbers,
    weights: str | Path | None = None,
    *,
    device: torch.device | str = "cpu",
) -> float:
    """Frechet Video Distance as Unterthiner et al. (2018) compute it: the protocol ``fvd-reference`` on arrays.

    Frames are resized to 224x224 as TensorFlow 1 does, without a crop; features are the logits of I3D trained
    on Kinetics-400; covariances are divided by n - 1. In [0, infinity), up to rounding; less is better.

    Examples:
        >>> fvd(real, fake, weights="i3d.pt")

    Args:
        real: uint8 clips (N T H W 3), T >= 9.
        fake: uint8 clips (M T H W 3), of the same length; scores of unlike lengths mean nothing.
        weights: the file of I3D's weights (see :func:`~vidgan.evaluation.features.weights.load_i3d`).
        device: where the network runs.

    Raises:
        UserError: if the weights are missing or no 400-class I3D, or the clips do not fit.
    """
    for clips, name in ((real, "real"), (fake, "fake")):
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3 or len(clips) < 2:
            raise UserError(
                f"{name} must be at least 2 uint8 clips (N, T, H, W, 3), not {clips.dtype} {clips.shape}"
            )
    if real.shape[1] != fake.shape[1]:
        raise UserError(
            f"real clips have {real.shape[1]} frames, fake ones {fake.shape[1]}: they cannot be compared"
        )
    resources = Resources(_path(weights), device=torch.device(device))
    rows = I3DFeatures().open(resources, ()).rows
    logits = (
        rows(EvaluationBatch(clips, np.zeros(len(clips), np.int64)))["logits"] for clips in (real, fake)
    )
    return frechet_distance(*logits)


def copies_log(run: RunDirectory) -> Log:
    """Where results of the copy baseline are kept: apart from the model's."""
    return Log(run.path / "copy-last.metrics.jsonl")


def changes_of(named: Protocol, line: dict[str, Any]) -> list[str]:
    """In which settings a result differs from the protocol of its name; what that leaves open does not count, nor do
    repetitions, nor that there were no more real clips."""
    free = ["seed:", "runs:", "sampling"]
    if not (line.get("real") or {}).get("not_taken"):
        free.append("real.count:")
    return [
        text
        for text in differences(to_json(named), line["settings"])
        if ": None -> " not in text and not text.startswith(tuple(free))
    ]
