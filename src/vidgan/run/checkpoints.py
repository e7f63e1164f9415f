"""Checkpoints: one safetensors file each, whole or not at all; loading never unpickles anything."""

import errno
import json
import re
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vidgan.errors import UserError
from vidgan.files import write_whole

FORMAT: Final = "vidgan-checkpoint-1"
PATTERN: Final = re.compile(r"level(\d+)-step(\d{8})\.safetensors")


class State(NamedTuple):
    """What a checkpoint holds."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    """JSON data: step, level, hashes"""


def checkpoint_path(folder: Path, level: int, step: int) -> Path:
    """The file of a level's checkpoint; levels count from 1 here."""
    return folder / f"level{level}-step{step:08d}.safetensors"


def save(path: Path, state: State) -> None:
    """Write ``state`` to ``path``, whole or not at all.

    Raises:
        UserError: if the disk is full; what was there before stays.
    """
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in state.tensors.items()}
    metadata = {
        "format": FORMAT,
        "facts": json.dumps(state.facts),
        "checksum": str(checksum(tensors)),
    }
    try:
        write_whole(path, lambda part: save_file(tensors, part, metadata))
    except (OSError, SafetensorError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            raise UserError(
                f"the disk is full: {path.name} was not written, earlier checkpoints are intact; "
                "free some space and go on with --resume"
            ) from error
        raise


def load(path: Path) -> State:
    """The state in ``path``, its tensors on the CPU.

    Raises:
        UserError: if the file is missing, truncated, damaged or not one of ours.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                found = metadata.get("format", "no format name")
                raise UserError(f"{path} is not a checkpoint of this version: {found} instead of {FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is truncated or not a checkpoint ({error})") from error
    if str(checksum(tensors)) != metadata["checksum"]:
        raise UserError(f"{path} is damaged: its checksum does not fit")
    return State(tensors, json.loads(metadata["facts"]))


def checksum(tensors: dict[str, Tensor]) -> int:
    """CRC-32 over names and bytes of contiguous CPU tensors."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        # Bytes are reached through a reinterpreting view, which zero-sized and 0-d tensors lack.
        flat = tensors[name].reshape(-1)
        if flat.numel():
            value = zlib.crc32(flat.view(torch.uint8).numpy().data, value)
    return value


class Found(NamedTuple):
    """The newest whole checkpoint of a level."""

    path: Path
    state: State
    broken: list[str]
    """messages about newer checkpoints that could not be read"""


def steps_of(folder: Path, level: int) -> list[int]:
    """Steps of a level's checkpoints, oldest first."""
    names = (PATTERN.fullmatch(path.name) for path in folder.glob("*.safetensors"))
    return sorted(int(match[2]) for match in names if match and int(match[1]) == level)


def latest(folder: Path, level: int) -> Found | None:
    """The newest checkpoint of ``level`` that can be read; None where there are no files at all.

    Raises:
        UserError: if there are files but none can be read.
    """
    broken: list[str] = []
    for step in reversed(steps_of(folder, level)):
        path = checkpoint_path(folder, level, step)
        try:
            return Found(path, load(path), broken)
        except UserError as error:
            broken.append(str(error))
    if broken:
        raise UserError(f"no checkpoint of level {level} can be read: {'; '.join(broken)}")
    return None


def prune(folder: Path, level: int, last: int, keep: Collection[int] = ()) -> None:
    """Remove all but the ``last`` newest checkpoints of ``level`` and those of steps in ``keep``."""
    for step in steps_of(folder, level)[:-last]:
        if step not in keep:
            checkpoint_path(folder, level, step).unlink(missing_ok=True)


def optimiser_state(prefix: str, optimiser: torch.optim.Optimizer, names: Iterable[str]) -> dict[str, Tensor]:
    """State of an optimiser with one parameter group, by parameter name."""
    table = {}
    for name, parameter in zip(names, optimiser.param_groups[0]["params"], strict=True):
        for key, value in optimiser.state.get(parameter, {}).items():
            table[f"{prefix}/{name}/{key}"] = torch.as_tensor(value)
    return table


def load_optimiser_state(
    prefix: str, optimiser: torch.optim.Optimizer, names: Iterable[str], tensors: dict[str, Tensor]
) -> None:
    """Undo :func:`optimiser_state`."""
    for name, parameter in zip(names, optimiser.param_groups[0]["params"], strict=True):
        start = f"{prefix}/{name}/"
        entries = {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}
        if entries:
            optimiser.state[parameter] = {
                key: t.to(parameter.device, copy=True) for key, t in entries.items()
            }
