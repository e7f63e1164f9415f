"""What each phase of a run takes at full size, for every level of every preset: the tables of docs/full-size.md.

    python benchmarks/full_size.py

Everything is counted on the meta device, in about ten minutes. Presets that differ in nothing that costs anything are
counted once.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.evaluation.features.c3d import C3D, MEAN_SHAPE, tgan_input
from vidgan.evaluation.features.efficientnet_lite import EfficientNetLite0, efficientnet_lite_input
from vidgan.evaluation.features.i3d import I3D
from vidgan.evaluation.features.network import FeatureNetwork, exact_float32
from vidgan.evaluation.features.r2plus1d import R2Plus1D, r2plus1d_input
from vidgan.evaluation.protocols.efficientnet import PASS, EfficientNetLite0Frames
from vidgan.evaluation.protocols.networks import LARGE_PASS, I3DFeatures
from vidgan.presets import presets
from vidgan.report.costs import table
from vidgan.run.batch import Share
from vidgan.run.experiment import Experiment
from vidgan.sample.passes import Trained
from vidgan.train.longer import longer_sampling
from vidgan.train.phases import Phase, phases
from vidgan.train.plan import MARGIN, META, LiveTensors, plan_level, size_of

DEVICE: Final = 80e9
"""bytes of the device that micro-batches are chosen for"""
LONGER: Final = 2
"""how many times as long as in training the longer samples are"""
PROCESSES: Final = 1
"""One process takes the whole batch; with more of them, each has fewer real clips waiting and activations of
statistics."""


class Row(NamedTuple):
    """A level of a preset."""

    name: str
    share: Share
    fits: bool
    """whether a step of a single clip fits into :data:`DEVICE`"""
    phases: tuple[Phase, ...]
    longer: Phase | None
    """sampling a finished cascade, or a model of one level, at :data:`LONGER` times its length; None below the top and
    where given frames are continued, in rounds of the trained length"""
    chunked: Phase | None
    """the same in chunks of a training window; None where the model has one level or cannot be made so"""

    def peak(self) -> float:
        """The most bytes that the device holds in any phase."""
        return max(phase.device for phase in (*self.phases, self.longer, self.chunked) if phase is not None)


def rows_of(experiment: Experiment) -> Iterator[Row]:
    """Every round of training of a preset."""
    for index in experiment.rounds:
        plan = plan_level(experiment, index)
        whole = experiment.batch_of(index).share(PROCESSES)
        found = plan.fitting(whole, DEVICE)
        share = found or whole.smallest
        own = phases(experiment, index, plan, share, PROCESSES)
        top = index == len(experiment.levels) - 1
        longer, chunked = (
            longer_samples(experiment.with_micro_batch(index, share.per_pass)) if top else (None, None)
        )
        name = f"`{experiment.name}`"
        if len(experiment.levels) > 1:
            name += " all levels" if experiment.joint else f" level {index + 1}"
        yield Row(name, share, found is not None, own, longer, chunked)


def longer_samples(experiment: Experiment) -> tuple[Phase | None, Phase | None]:
    """Sampling longer videos at once, and in chunks."""
    top = experiment.levels[-1]
    if top.context_frames:
        return None, None
    frames, trained = LONGER * top.frames, Trained(experiment, PROCESSES)
    try:
        chunked = longer_sampling(trained, frames, top.trained_frames)
    except UserError:
        chunked = None
    return longer_sampling(trained, frames), chunked


def memory_table(rows: Iterable[Row]) -> str:
    """Bytes of the device at the peak of each phase, and of the host for statistics."""
    head = (
        "preset",
        "clips",
        "step",
        "checkpoint",
        "previews",
        "statistics",
        "host",
        "evaluation",
        "samples",
    )
    cells = []
    for row in rows:
        _, _, step, checkpoint, previews, statistics, evaluation, samples = row.phases
        cells.append(
            (
                row.name,
                f"{row.share.per_pass} of {row.share.clips}",
                *(giga(phase.device) for phase in (step, checkpoint, previews, statistics)),
                giga(statistics.host),
                *(giga(phase.device) for phase in (evaluation, samples)),
                "" if row.longer is None else giga(row.longer.device),
                "" if row.chunked is None else giga(row.chunked.device),
            )
        )
    return table((*head, f"{LONGER}x as long", "in chunks"), cells)


def operations_table(rows: Iterable[Row]) -> str:
    """Operations each time that a phase comes."""
    head = (
        "preset",
        "clips per update",
        "step",
        "previews",
        "statistics",
        "evaluation, 1000 clips",
        "a sample",
    )
    cells = []
    for row in rows:
        _, _, step, _, previews, statistics, evaluation, samples = row.phases
        cells.append(
            (
                row.name,
                str(row.share.clips),
                *(tera(phase.flops) for phase in (step, previews, statistics, evaluation)),
                tera(samples.flops / samples.clips),
            )
        )
    return table(head, cells)


FRAMES, SIDE = 16, 128
"""of clips that feature networks are counted with"""


class FeatureMemory(NamedTuple):
    """What a feature network takes on the device."""

    name: str
    seen: str
    """in a pass"""
    weights: int
    """bytes"""
    peak: int
    """bytes at the peak of a pass, weights included"""


def feature_memory(
    name: str,
    network: FeatureNetwork,
    prepare: Callable[[Tensor], Tensor],
    clips: int,
    frames: int = FRAMES,
) -> FeatureMemory:
    """Of a pass of clips as bytes, their preparation included, counted on the meta device."""
    videos = torch.zeros((clips, frames, SIDE, SIDE, 3), dtype=torch.uint8, device=META)
    weights = size_of(network.to(META))
    with exact_float32(), LiveTensors() as live:
        network(prepare(videos.permute(0, 1, 4, 2, 3)))
    seen = f"{clips} clips of {frames} frames" if clips > 1 else f"{frames} frames"
    return FeatureMemory(name, seen, weights, weights + videos.nbytes + live.most)


def feature_networks() -> list[FeatureMemory]:
    """Of those that an evaluation loads."""
    mean, side = torch.zeros(MEAN_SHAPE, device=META), EfficientNetLite0Frames().side
    return [
        feature_memory("I3D", I3D(), I3DFeatures().prepared, LARGE_PASS),
        feature_memory("C3D", C3D(101), lambda x: tgan_input(2 * x.float() / 255 - 1, mean), LARGE_PASS),
        feature_memory(
            "R(2+1)D-18", R2Plus1D(400), lambda x: r2plus1d_input(2 * x.float() / 255 - 1), LARGE_PASS
        ),
        feature_memory(
            "EfficientNet-Lite0", EfficientNetLite0(), lambda x: efficientnet_lite_input(x, side), 1, PASS
        ),
    ]


def feature_table(found: Iterable[FeatureMemory]) -> str:
    """GB that feature networks take on the device."""
    cells = [(each.name, each.seen, giga(each.weights), giga(each.peak)) for each in found]
    return table(("network", "a pass", "weights", "at the peak"), cells)


def giga(size: float) -> str:
    """Bytes, in GB."""
    return f"{size / 1e9:.1f}" if size >= 1e8 else f"{size / 1e9:.3f}"


def tera(operations: float) -> str:
    """Operations, in TFLOP."""
    count = operations / 1e12
    return f"{count:,.0f}" if count >= 100 else f"{count:.3g}"


def cost_of(experiment: Experiment) -> str:
    """All of an experiment but what it is called: presets of which this is the same cost the same."""
    return repr(experiment.replace(name="", description="", source="", deviations=()))


def all_rows(experiments: Iterable[Experiment]) -> list[Row]:
    """Of each of them, in their order."""
    known: dict[str, list[Row]] = {}
    rows = []
    for experiment in experiments:
        key = cost_of(experiment)
        if key not in known:
            known[key] = list(rows_of(experiment.replace(name="NAME")))
        rows += [row._replace(name=row.name.replace("NAME", experiment.name)) for row in known[key]]
    return rows


def main() -> None:
    rows = all_rows(presets().values())
    print(memory_table(rows))
    print(operations_table(rows))
    print(feature_table(feature_networks()))
    too_large = [row.name for row in rows if not row.fits or row.peak() > DEVICE]
    print(f"over {DEVICE / 1e9:.0f} GB: {', '.join(too_large) or 'none'} ({MARGIN:.0%} of it are left free)")


if __name__ == "__main__":
    main()
