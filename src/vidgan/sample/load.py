"""From a run's checkpoint, or a saved folder, to a model: which checkpoint, which of its weights, which statistics."""

import sys
import warnings
from pathlib import Path
from types import NoneType
from typing import Any, Final, NoReturn

import torch

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.files import read_json, require_sums
from vidgan.forms import COUNT, TEXT, WHOLE, Fields, Table, fits
from vidgan.models.cascade import below_of
from vidgan.models.generator import Generator
from vidgan.names import tell
from vidgan.nn.layers import undrawn_weights
from vidgan.run import checkpoints
from vidgan.run.best import best_of_run, fed_by
from vidgan.run.checkpoints import (
    labels_in,
    latest,
    load_checkpoint,
    require_fed_by,
    steps_of,
)
from vidgan.run.directory import RunDirectory, warn_of_changed_code
from vidgan.run.distributed import choose_device
from vidgan.run.ema import refresh_spectral_norm
from vidgan.run.experiment import Experiment
from vidgan.sample.card import CARD, licence_in
from vidgan.sample.hub import fetch, is_on_hub
from vidgan.sample.model import FORMAT, RECORD, STATISTICS, WEIGHTS, Model
from vidgan.sample.origin import ORIGIN, Origin, origin_of
from vidgan.sample.standing import GivenFrames, StatisticsStore, given_frames
from vidgan.spec import from_json
from vidgan.tensor_file import State, load_weights, part
from vidgan.user_code import Files, load_files

FIELDS: Final = Fields(
    {
        "experiment": (dict,),
        "class_names": [TEXT],
        "step": WHOLE,
        "label_counts": [COUNT],
        "data": (str, NoneType),
        "code": Table(TEXT),
    },
    {"origin": ORIGIN, "processes": COUNT},
)
"""what a saved model's record holds besides its format"""


def load(
    path: str | Path,
    code: Files = None,
    checkpoint: str | int = "last",
    raw: bool = False,
    device: str | torch.device | None = None,
    cache: str | Path | None = None,
    data: Dataset | None = None,
    statistics_sigma: float | None = None,
    level: int | None = None,
    micro_batch: int | None = None,
) -> Model:
    """The model of a run directory, or of a folder that :meth:`Model.save` wrote. Nothing is written into either.

    Args:
        path: the folder, or ``hf:owner/name`` on the Hub, perhaps with ``@revision`` (:mod:`vidgan.sample.hub`).
        code: the user's Python file or files whose classes the experiment has.
        checkpoint: ``last``, ``best`` by what the run evaluated while it trained, or the step of one.
        raw: raw weights instead of their moving average; in a cascade those of the top level.
        device: None: the GPU where there is one.
        cache: folder that keeps standing statistics which are taken anew; None: they are kept in memory.
        data: whose frames a frame-conditional model is given for its standing statistics. None: those that it was
            trained on, which need not be there where the statistics are; a warning says whether they are the saved
            ones or were taken anew, as ``model.statistics.taken`` does.
        statistics_sigma: standard deviation of the noise of standing statistics, whatever is sampled with; None: as
            the experiment says, which by default is that of the samples.
        level: of a cascade's run, its first levels alone, up to this one (from 1), which may be all that it has yet.
        micro_batch: videos made at a time, as ``model.micro_batch``; None: as many as fit where training fits.

    Raises:
        UserError: if there is no model, it is damaged, or a frame-conditional one has neither statistics nor data.
    """
    path = fetch(path) if is_on_hub(path) else Path(path)
    load_files(code)
    given = None if data is None else GivenFrames.of(data)
    place = None if cache is None else Path(cache)
    device = choose_device(device) if device is None or isinstance(device, str) else device
    if (path / RECORD).is_file():
        if checkpoint != "last" or raw or level is not None:
            raise UserError(
                f"{path} is a saved model, which has one set of weights: leave out checkpoint, raw and level"
            )
        model = _load_saved(path, device, place, given, statistics_sigma)
    else:
        model = load_run(
            RunDirectory.open(path), checkpoint, raw, device, place, given, statistics_sigma, level
        )
    model.micro_batch = micro_batch
    if data is None and model.experiment.levels[0].context_frames:
        model.sampler()
        which = "were taken anew, of" if model.statistics.taken else "are the saved ones, of"
        warnings.warn(f"{path}: standing statistics {which} the data that it was trained on", stacklevel=2)
    return model


def load_run(
    run: RunDirectory,
    checkpoint: str | int = "last",
    raw: bool = False,
    device: torch.device = torch.device("cpu"),
    cache: Path | None = None,
    data: GivenFrames | None = None,
    statistics_sigma: float | None = None,
    level: int | None = None,
) -> Model:
    """The model of an open run; as :func:`load`."""
    generators, state = load_generators(run, checkpoint, raw, level)
    return Model(
        run.experiment.up_to(len(generators)).with_statistics(statistics_sigma),
        [generator.to(device) for generator in generators],
        run.class_names,
        state.facts["step"],
        labels_in(state, run.path),
        data or given_frames(run, None),
        StatisticsStore([run.statistics], cache),
        origin=origin_of(run, state.facts["step"]),
        processes=last_processes(run),
    )


def is_saved(path: str | Path) -> bool:
    """Whether ``path`` names a saved model: a folder that :meth:`Model.save` wrote, or one on the Hub."""
    return is_on_hub(path) or (Path(path) / RECORD).is_file()


def last_processes(run: RunDirectory) -> int:
    """How many processes shared the batches of a run when it was last started."""
    record = read_json(run.path / "experiment.json")
    found: int = [record, *record["resumed"]][-1]["processes"]
    return found


def saved_record(path: Path) -> dict[str, Any]:
    """What a saved model says of itself; raises :class:`UserError` where it or its weights are not as they were
    saved."""
    require_sums(path, RECORD, WEIGHTS)
    record = read_json(path / RECORD)
    version = record.get("format", "no format name") if isinstance(record, dict) else "no object"
    if version != FORMAT:
        raise UserError(f"{path / RECORD} is not of this version: {version} instead of {FORMAT}")
    if not fits(record, FIELDS):
        raise UserError(
            f"{path / RECORD} is damaged: it lacks what a model's record has, or holds other values"
        )
    found: dict[str, Any] = record
    return found


def _load_saved(
    path: Path,
    device: torch.device,
    cache: Path | None,
    data: GivenFrames | None,
    statistics_sigma: float | None,
) -> Model:

    def refuse() -> NoReturn:
        raise UserError(
            f"{path} has no standing statistics of this length and noise: they depend on data, so give it some"
        )

    record = saved_record(path)
    experiment = from_json(Experiment, record["experiment"])
    licence = licence_in((path / CARD).read_text("utf-8", "replace")) if (path / CARD).is_file() else None
    warn_of_changed_code(path, record["code"], experiment)
    weights, generators = checkpoints.load(path / WEIGHTS).tensors, []
    for index in range(len(experiment.levels)):
        generator = build_generator(experiment, index)
        load_weights(generator, part(weights, f"level{index + 1}/"), path / WEIGHTS)
        generators.append(generator.to(device))
    return Model(
        experiment.with_statistics(statistics_sigma),
        generators,
        record["class_names"],
        record["step"],
        record["label_counts"],
        data or (None if record["data"] is None else GivenFrames(record["data"], refuse)),
        StatisticsStore([path / STATISTICS], cache),
        origin=Origin.of_record(record.get("origin"), licence),  # models that were saved before have none
        processes=record.get("processes", 1),
    )


def find_checkpoint(
    run: RunDirectory, index: int, checkpoint: str | int = "last", top: int | None = None
) -> State:
    """A checkpoint of level ``index`` (from 0).

    Args:
        checkpoint: ``last``, the newest that can be read; ``best`` by what the run evaluated while it trained; or the
            step of one. In a cascade the last two are of the top level, and the levels below it are as they fed it.
        top: the model's last level (from 1); None: the run's.

    Raises:
        UserError: if there is no such checkpoint.
    """
    top, number = top or len(run.experiment.levels), run.experiment.round_of(index) + 1
    step = _step_of(run, checkpoint, top) if number == top else fed_by(run, number)
    if step is None:
        found = latest(run.checkpoints, number)
        if found is None:
            there = f", or give --level {index}" if index and not run.experiment.joint else ""
            raise UserError(f"{run.path} has no checkpoint of level {index + 1} yet; train it first{there}")
        for message in found.broken:
            tell(f"skipped a broken checkpoint: {message}", to=sys.stderr)
        return found.state
    known = steps_of(run.checkpoints, number)
    if step not in known:
        there = ", ".join(map(str, known)) or "none"
        raise UserError(f"{run.path} has no checkpoint of step {step}; there are: {there}")
    return load_checkpoint(run.checkpoints, number, step)


def _step_of(run: RunDirectory, checkpoint: str | int, level: int) -> int | None:
    """The step of a checkpoint; None for the last."""
    if checkpoint == "last":
        return None
    if checkpoint == "best":
        best = best_of_run(run, None, level)
        if best is None:
            raise UserError(
                f"{run.path} does not know its best checkpoint: it was trained without --reporting.best.protocol "
                "or --reporting.evaluate"
            )
        return best.step
    if not str(checkpoint).isdecimal():
        raise UserError(f"a checkpoint is best, last or a number of steps, not {checkpoint!r}")
    return int(checkpoint)


def load_generators(
    run: RunDirectory, checkpoint: str | int = "last", raw: bool = False, level: int | None = None
) -> tuple[list[Generator], State]:
    """The generators of all levels, frozen, on the CPU, and the state of the top level's checkpoint.

    Args:
        raw: the top level's raw weights instead of their moving average. Those below it are as they fed it.
        level: the last level (from 1); None: all.

    Raises:
        UserError: if a checkpoint is missing or cannot be read, or a level was fed by other weights.
    """
    experiment = run.experiment
    top = len(experiment.levels) if level is None else len(experiment.up_to(level).levels)
    generators: list[Generator] = []
    for index in range(top):
        state = find_checkpoint(run, index, checkpoint, top)
        if not experiment.joint:
            require_fed_by(run, state.facts, generators)
        feeds = index + 1 < top and not experiment.joint
        averaged = experiment.below_averaged if feeds else not raw
        generators.append(load_generator(experiment, index, state, averaged))
    return generators, state


def load_generator(experiment: Experiment, index: int, state: State, averaged: bool) -> Generator:
    """A level's generator with the weights of a checkpoint, frozen.

    Raises:
        UserError: if these are of another model.
    """
    own = f"{index}." if experiment.joint else ""
    said = f"the checkpoint of level {index + 1}"
    raw = build_generator(experiment, index)
    load_weights(raw, part(state.tensors, f"level/generator.{own}"), said)
    if not averaged or experiment.training.average is None:
        return raw
    average = build_generator(experiment, index)
    load_weights(average, part(state.tensors, f"average/{own}"), said)
    return refresh_spectral_norm(average, raw)


def build_generator(experiment: Experiment, index: int) -> Generator:
    """A level's generator, frozen, whose weights are yet to be loaded."""
    with undrawn_weights():
        generator = experiment.levels[index].build_generator(
            experiment.classes, below_of(experiment.levels, index)
        )
    return generator.requires_grad_(False)
