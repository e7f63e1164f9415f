"""``vidgan evaluate RUN --memorisation``: does a run or a saved model only remember, and have classes collapsed?"""

import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidgan.cli.parse import option_set, parse
from vidgan.cli.progress import clips_progress
from vidgan.cli.shared import (
    Classes,
    Noise,
    Run,
    Weights,
    at_least,
    beside,
    output_folder,
    refuse_idle,
    say,
)
from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.evaluation.memorisation import (
    JUMP,
    Examined,
    Memorisation,
    Nearest,
    NetworkFeatures,
    Pixels,
    Queries,
    Similarity,
    examine,
    whole_video,
)
from vidgan.evaluation.protocols import protocol
from vidgan.evaluation.protocols.base import Resources
from vidgan.files import write_json
from vidgan.memory import FLOAT, require_memory_for_clips
from vidgan.names import tell
from vidgan.report.words import count
from vidgan.run.data import data_of_run, data_of_saved, open_held_out
from vidgan.run.directory import RunDirectory, now, versions
from vidgan.run.experiment import Experiment, whole_window
from vidgan.sample.hub import is_on_hub
from vidgan.sample.load import is_saved
from vidgan.sample.model import Model
from vidgan.sample.video_io import grid, strip, write_clip, write_image

ROWS = 8
"""neighbours that are drawn"""


@option_set
class Options(Run, Weights, Noise, Classes):
    """Tells whether a model copies its training clips, which classes have collapsed, and whether interpolations jump.

    Samples of every class are set against all training videos of their class, at the best alignment in time; so
    are real clips that the model cannot have copied. The nearest pairs are drawn, all numbers kept as JSON.
    """

    memorisation: bool = False
    """look for copies"""
    data: str | None = None
    """the clips that it was trained on (the run's); a saved model needs it"""
    held_out: str | None = None
    """real clips of the same classes that it was not trained on; without them, other recordings that it was"""
    out: Path | None = None
    """folder for pictures and numbers (RUN/neighbours, or beside a saved model MODEL.neighbours)"""
    per_class: int = 4
    """samples, and real clips, of each class"""
    features: str | None = None
    """compare features of this protocol's network, not pixels"""
    hop: int = 4
    """with --features: source frames between compared windows"""
    weights: Path | None = None
    """with --features: file of the network's weights"""
    paths: int = 8
    """interpolations between two samples of a class"""
    points: int = 16
    """videos in each, both ends included"""


def run(args: list[str]) -> int:
    """Parse ``args``, compare, draw and tell."""
    options = parse(Options, "evaluate", args)
    for name, least in (("per_class", 2), ("hop", 1), ("paths", 0), ("points", 3)):
        at_least(f"--{name.replace('_', '-')}", getattr(options, name), least)
    if options.features is None:
        refuse_idle(args, "where pixels are compared; --features says which network is", "--hop", "--weights")
    elif protocol(options.features).features.weights_of is None:
        refuse_idle(args, f"of {options.features}, which needs none", "--weights")
    if not options.paths:
        refuse_idle(args, "without interpolations (--paths 0)", "--points")
    noise = options.truncation
    out = output_of(options)
    output_folder(out)
    model, dataset, experiment = opened(options)
    held_out = None if options.held_out is None else held_out_of(experiment, options.held_out, dataset)
    similarity = similarity_of(options, model)
    classes, top = model.class_numbers(options.chosen), model.experiment.levels[-1]
    held = 2 * options.per_class * len(classes) + (options.points if options.paths else 0)
    fewer = "ask for fewer --per-class or --points"
    require_memory_for_clips(held, top.frames, top.size, 2 * FLOAT, fewer)
    with clips_progress() as begin:
        examined = Examined(classes, options.per_class, options.paths, options.points, options.seed, noise)
        found = examine(model, dataset, held_out, similarity, examined, begin)
    out.mkdir(parents=True, exist_ok=True)
    stride = whole_window(model.experiment).stride
    draw(out / "neighbours", found.samples, found.neighbours, dataset, stride)
    draw(out / "real-neighbours", found.real, found.real_neighbours, dataset, stride)
    record = numbers(found, model, similarity, dataset, options)
    write_json(out / "neighbours.json", record | {"step": model.step, "versions": versions(), "when": now()})
    tell_found(found, similarity, model.step, options.held_out is not None)
    tell(f"pictures and numbers: {out}")
    return 0


def output_of(options: Options) -> Path:
    """The folder for pictures and numbers: in a run, or beside a saved model, which stays as it is.

    Raises:
        UserError: if none is named for a model on the Hub, which lies beside nothing here.
    """
    if options.out is not None:
        return options.out
    if is_on_hub(options.run):
        raise UserError(f"{options.run} is not on this machine: name a folder for the results by --out")
    return beside(options.run, "neighbours") if is_saved(options.run) else options.run / "neighbours"


def opened(options: Options) -> tuple[Model, Dataset, Experiment]:
    """The model, the clips that it was trained on, and the experiment with all its levels.

    Raises:
        UserError: if there is no model, it continues videos, or the clips are not there.
    """
    if is_saved(options.run):
        model = options.model_from_noise(options.run)
        dataset = data_of_saved(options.run, options.data, model.experiment)
        require_classes(model, dataset, options.run)
        if model.data is not None and dataset.fingerprint != model.data.fingerprint:
            tell(
                f"--data is not exactly what {options.run} was trained on, by its fingerprint: copies of clips that "
                "are not among these are not found",
                to=sys.stderr,
            )
        return model, dataset, model.experiment
    run = RunDirectory.open(options.run)
    model, dataset = options.model_from_noise(options.run), data_of_run(run, options.data)
    require_classes(model, dataset, options.run)
    return model, dataset, run.experiment


def require_classes(model: Model, dataset: Dataset, place: Path) -> None:
    """Raise :class:`UserError` where the clips have other classes than the model at ``place``, if it has some."""
    if model.experiment.conditional and dataset.classes != model.class_names:
        raise UserError(f"--data has other classes than {place}: name the clips that it was trained on")


def held_out_of(experiment: Experiment, source: str, dataset: Dataset) -> tuple[Dataset, list[int]]:
    """Held-out clips, and their classes' labels in the training data.

    Raises:
        UserError: if they have other classes.
    """
    clips = open_held_out(source, experiment)
    if not experiment.conditional:
        return clips, [0] * len(clips.classes)
    if strange := [name for name in clips.classes if name not in dataset.classes]:
        raise UserError(f"--held-out has classes that were not trained on: {', '.join(strange[:5])}")
    return clips, [dataset.classes.index(name) for name in clips.classes]


def similarity_of(options: Options, model: Model) -> Similarity:
    """Pixels, or the features of a protocol's network.

    Raises:
        UserError: if there is no such protocol or its weights are missing.
    """
    if options.features is None:
        return Pixels()
    named = protocol(options.features)
    resources = Resources(options.weights, device=options.place, micro_batch=options.micro_batch)
    opened = named.features.open(resources, model.class_names)
    return NetworkFeatures(options.features, opened, options.hop)


def draw(path: Path, queries: Queries, neighbours: Sequence[Nearest], dataset: Dataset, stride: int) -> None:
    """The clips that are nearest to a training video, and these: left the video, right the clip (Du 2020, Figure 4.2).

    A strip of frames (png) and an animation (webp), the most similar pair on top.
    """
    order = sorted(range(len(neighbours)), key=lambda i: (neighbours[i].ratio, neighbours[i].distance))[:ROWS]
    steps, size = queries.videos.shape[1:3]
    left = []
    for i in order:
        near = neighbours[i]
        video = whole_video(dataset, near.video, size)
        left.append(video[near.start : near.start + (steps - 1) * stride + 1 : stride])
    pairs = np.stack(
        [clip for i, near in zip(order, left, strict=True) for clip in (near, queries.videos[i])]
    )
    write_clip(path.with_suffix(".webp"), grid(pairs, columns=2), 8)
    half = np.full((len(order), 1, size, size, 3), 255, np.uint8)
    rows = np.concatenate([pairs[::2], half, pairs[1::2]], axis=1)
    write_image(path.with_suffix(".png"), strip(rows))


def numbers(
    found: Memorisation, model: Model, similarity: Similarity, dataset: Dataset, options: Options
) -> dict[str, Any]:
    """All that was measured, as JSON."""

    def listed(queries: Queries, neighbours: Sequence[Nearest]) -> list[dict[str, Any]]:
        return [
            {
                "class": model.class_names[label],
                "video": dataset.name(near.video),
                "start": near.start,
                "distance": near.distance,
                "ratio": near.ratio,
            }
            for label, near in zip(queries.labels.tolist(), neighbours, strict=True)
        ]

    made = listed(found.samples, found.neighbours)
    return {
        "similarity": similarity.name,
        "held_out": options.held_out,
        "seed": options.seed,
        "said": found.copying.said,
        "share_of_copies": found.copying.share,
        "real_said": found.real_copying.said,
        "real_share_of_copies": found.real_copying.share,
        "limits": {"distance": found.copying.distance_limit, "ratio": found.copying.ratio_limit},
        "samples": [each | {"copy": copy} for each, copy in zip(made, found.copying.copies, strict=True)],
        "real": listed(found.real, found.real_neighbours),
        "diversity": [each._asdict() | {"ratio": each.ratio} for each in found.diversity],
        "collapsed": [each.name for each in found.diversity if each.collapsed],
        "largest_over_mean_step": list(found.jumps),
    }


def tell_found(found: Memorisation, similarity: Similarity, step: int, apart: bool) -> None:
    """Print what was found."""
    kind = "held-out clips" if apart else "training clips, among other recordings"
    say(
        f"step {step}, {similarity.name}; in brackets {count(len(found.real_neighbours), 'real clip')}: {kind}"
    )
    for what, name in (("nearest training video", "distance"), ("the same over the next recording", "ratio")):
        sides = [[getattr(near, name) for near in side] for side in (found.neighbours, found.real_neighbours)]
        middle = [statistics.median(values) for values in sides]
        tell(f"  {what + ', median':<42}{middle[0]:.3g}  ({middle[1]:.3g})")
    copying = found.copying
    share = f"{sum(copying.copies)} of {count(len(copying.copies), 'sample')} ({100 * copying.share:.0f} %)"
    say(
        f"{copying.said.upper()}: {share} are nearer to one recording than 95 % of the real clips are "
        f"(distance below {copying.distance_limit:.3g}, ratio below {copying.ratio_limit:.3g})"
    )
    real = found.real_copying
    told = f"{sum(real.copies)} of {count(len(real.copies), 'real clip')} ({100 * real.share:.0f} %)"
    say(f"  for comparison, each real clip evaluated by the others: {real.said}, {told}")
    if alone := sum(math.isinf(near.other) for near in found.neighbours):
        say(
            f"  {count(alone, 'sample')} of classes with a single recording: a blur of it cannot be told from a copy"
        )
    tell_diversity(found)
    if found.jumps:
        worst, middle_jump = max(found.jumps), statistics.median(found.jumps)
        word = "JUMPS" if middle_jump >= JUMP else "no jumps"
        say(
            f"interpolations: {word}; largest step over the mean one: median {middle_jump:.2g}, most {worst:.2g} "
            f"(jumps from {JUMP:g})"
        )


def tell_diversity(found: Memorisation) -> None:
    """Print the table of classes, the least diverse first."""
    collapsed = [each.name for each in found.diversity if each.collapsed]
    say(f"diversity: {'COLLAPSED: ' + ', '.join(collapsed) if collapsed else 'no class has collapsed'}")
    width = max([len(each.name) for each in found.diversity], default=0)
    for each in found.diversity[:20]:
        tell(f"  {each.name:<{width}}  {each.fake:.3f}  (real {each.real:.3f})  {each.ratio:.2f}")
    if len(found.diversity) > 20:
        tell(f"  and {len(found.diversity) - 20} classes that are more diverse; neighbours.json has them")
