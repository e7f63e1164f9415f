"""Batch statistics of a batch that passes a generator in pieces: those of the whole batch, in the memory of a piece.

What a layer is given depends on the whole batch's moments of the layers before it, so all pieces pass one part of the
generator (a layer over time, a block) before any of them enters the next. Between two parts their activations wait: on
the device itself where it is a CPU or has room, else in the host's memory. A part that normalises begins again for each
of its layers, once their moments are known.

Our choice, by the operations of presets at full size: a residual block computes its first convolution twice, a half
more than one pass, and one tensor per piece waits. To wait at every layer would move two to three tensors twice as
often, and to begin at the noise for every layer would take ten to fifteen times the operations.
"""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from vidgan.memory import free_on_machine, release_freed_memory, require_memory
from vidgan.models.generator import Conditioning, Generator, GeneratorSpec, Part
from vidgan.nn.norm import Clock, Context, Moments, Statistics, mean_and_square
from vidgan.run.distributed import Replicas


class Piece(NamedTuple):
    """Some clips of a batch."""

    z: Tensor
    """(B, latent)"""
    embedded: Tensor
    """class embedding (B, embedding)"""
    conditioning: Conditioning
    weight: float
    """their part of the whole batch"""


class _NotYetKnownError(Exception):
    """The moments of a layer are those of pieces that have yet to come."""


class PiecewiseStatistics(Statistics):
    """The moments of a batch that passes in pieces and over replicas, also averaged over batches, as recorded ones.

    Args:
        group: of the replicas that have pieces of the same batch.
    """

    repeatable = False

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self.weight = 1.0
        self.waits = False
        """whether another piece of this process follows before a layer's moments are known"""
        self._known: dict[str, Moments] = {}
        self._sums: dict[str, Tensor] = {}
        self._recorded: dict[str, tuple[Tensor, Tensor, int]] = {}

    def forget(self) -> None:
        """Begin a new batch: let go of the moments of the last one."""
        self._known = {}

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        if key not in self._known:
            own = torch.stack(mean_and_square(x, over_time)).double()
            self._sums[key] = self._sums.get(key, 0) + self.weight * own
            if self.waits:
                raise _NotYetKnownError
            self.join()
        kind = torch.promote_types(x.dtype, torch.float32)
        return Moments(*(moment.to(kind) for moment in self._known[key]))

    def join(self) -> None:
        """All pieces have come to a layer: its moments are known."""
        for key, total in self._sums.items():
            if self.group is not None:
                dist.all_reduce(total, group=self.group)
            mean, square = total.unbind()
            moments = Moments(mean, (square - mean.square()).clamp_min(0))
            self._known[key] = moments
            means, variances, count = self._recorded.get(key, (0, 0, 0))
            self._recorded[key] = (means + moments.mean, variances + moments.variance, count + 1)
        self._sums = {}

    def averages(self) -> dict[str, Tensor]:
        """As :meth:`vidgan.nn.RecordedStatistics.averages`."""
        return {
            name: total / count
            for key, (mean, variance, count) in self._recorded.items()
            for name, total in ((f"{key}/mean", mean), (f"{key}/variance", variance))
        }


@torch.no_grad()
def pass_in_pieces(
    generator: Generator,
    pieces: Sequence[Piece],
    steps: int,
    statistics: PiecewiseStatistics,
    clock: Clock = Clock(),
    dtype: torch.dtype | None = None,
) -> None:
    """Pass a batch, so that ``statistics`` records the moments of every layer; nothing is made of it.

    Args:
        pieces: of this process, one or more; other replicas have theirs.
        steps: frames.
        dtype: what to compute in; None is the weights' dtype.
    """
    statistics.waits = len(pieces) > 1
    if not statistics.waits:  # no layer is computed twice
        (piece,) = pieces
        statistics.weight = piece.weight
        generator.generate(piece.z, piece.embedded, steps, statistics, piece.conditioning, clock, dtype)
        statistics.forget()
        return
    device = pieces[0].z.device
    waiting: list[Tensor] = []
    parts: list[list[Part]] = []
    for piece in pieces:
        condition = torch.cat([piece.z, piece.embedded], dim=1)
        waiting.append(put_aside(generator.begin(condition, steps, dtype)))
        parts.append(generator.parts(Context(condition, statistics, clock), piece.conditioning))
    for of_pieces in zip(*parts, strict=True):
        while not _pass(of_pieces, pieces, waiting, statistics, device):
            statistics.join()
    statistics.forget()


def _pass(
    parts: Iterable[Part],
    pieces: Sequence[Piece],
    waiting: list[Tensor],
    statistics: PiecewiseStatistics,
    device: torch.device,
) -> bool:
    """Send all pieces through one part; False if they have come to a layer whose moments were not known yet."""
    passed = True
    for number, (part, piece) in enumerate(zip(parts, pieces, strict=True)):
        statistics.weight = piece.weight
        try:
            waiting[number] = put_aside(part(waiting[number].to(device)))
        except _NotYetKnownError:
            passed = False
    return passed


ROOM = 0.5
"""part of a GPU's memory that stays free of waiting activations, for the piece at work"""


def put_aside(x: Tensor) -> Tensor:
    """``x`` where it can wait: as it is, or in the host's memory where a GPU has little room."""
    return x.cpu() if x.device.type == "cuda" and room_on(x.device) <= 0 else x


def room_on(device: torch.device) -> float:
    """Bytes that may wait on a GPU."""
    free, whole = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + held - ROOM * whole


def bytes_waiting(spec: GeneratorSpec, steps: int, size: int) -> int:
    """Bytes of a clip of ``steps`` frames that wait between two parts at the most, of values of ``size`` bytes."""
    side, channels, most = spec.side, spec.channels * spec.width, 0
    for stage in spec.stages:
        most = max(most, channels * side**2)
        side, channels = side << stage.upsample, stage.channels * spec.width
        most = max(most, channels * side**2)
    return size * steps * most


def require_room(each: int, own: int, replicas: Replicas, device: torch.device) -> None:
    """Raise :class:`UserError` where the activations of ``own`` clips, of ``each`` bytes, cannot wait in this machine's
    memory, before any of them is made; a system that runs short would end the process without a word.

    What other processes of this machine put aside counts too.
    """
    if device.type == "meta":
        return
    on_device = max(0.0, room_on(device)) if device.type == "cuda" else 0.0
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if replicas.size > 1 else 1  # set by torchrun
    needed = beside * (own * each - on_device)
    if needed <= 0:
        return
    release_freed_memory()
    fewer = replicas.size * int((free_on_machine() / beside + on_device) // each)
    take = f"take them of {fewer} clips a pass" if fewer else "take them of fewer frames"
    option = f" (vidgan train --resume with --training.standing-statistics.clips {fewer})" if fewer else ""
    require_memory(
        needed,
        f"standing statistics of {own} clips, whose activations wait in this machine's memory,",
        f"{take}{option}, or by more machines; of a cascade, vidgan sample --chunk takes them a few frames at a time",
        free_on_machine(),
    )
