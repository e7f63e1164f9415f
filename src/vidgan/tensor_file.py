"""Files of tensors: checkpoints, standing statistics, saved models, classifiers. Whole or not at all, and checked.

A file is in the safetensors format. Its metadata hold the name of what it is, facts about it as JSON, and a checksum
over all that reading gives: facts, names, types, shapes and bytes.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidgan.errors import UserError
from vidgan.files import parse_json, require_regular, write_whole
from vidgan.memory import is_out_of_memory


class State(NamedTuple):
    """What a file holds."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    """JSON data"""


def save_tensors(path: Path, kind: str, state: State) -> None:
    """Write ``state`` to ``path`` as a file of ``kind``, whole or not at all.

    Raises:
        OSError, SafetensorError: what writing raises; what was there before stays.
    """
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in state.tensors.items()}
    facts = json.dumps(state.facts)
    metadata = {"format": kind, "facts": facts, "checksum": str(checksum_of_all(kind, facts, tensors))}
    write_whole(path, lambda part: save_file(tensors, part, metadata))


def load_tensors(path: Path, kind: str, former: str | None = None) -> State:
    """The state in ``path``, its tensors on the CPU.

    Args:
        former: an earlier kind that is read too, whose checksum is over the tensors alone.

    Raises:
        UserError: if the file is missing, truncated, damaged or of another kind; one line that names it.
        MemoryError, RuntimeError: where there is no room for it; nothing is wrong with it then.
    """
    require_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            found = metadata.get("format", "no format name")
            if found not in (kind, former):
                raise UserError(
                    f"{path} is of another version or of something else: {found} instead of {kind}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is truncated, damaged or no such file ({reason})") from error
    facts = metadata.get("facts", "")
    now = checksum(tensors) if found == former else checksum_of_all(found, facts, tensors)
    if str(now) != metadata.get("checksum"):
        raise UserError(f"{path} is damaged: its checksum does not fit")
    try:
        told = parse_json(facts)
    except ValueError as error:
        raise UserError(f"{path} is damaged: its facts cannot be read ({error})") from error
    if not isinstance(told, dict):
        raise UserError(f"{path} is damaged: its facts are no object")
    return State(tensors, told)


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under ``prefix``, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], path: object) -> None:
    """Put ``tensors`` into ``module``, which has the same names and shapes.

    Raises:
        UserError: if it has not; ``path`` says where they are from.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is of another model: {reason[:200]}") from error


def checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 over names and bytes of contiguous CPU tensors."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = _bytes_checksum(tensors[name], value)
    return value


def checksum_of_all(kind: str, facts: str, tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 over everything that a file says: its kind, its facts, and name, type, shape and bytes of every tensor."""
    table = [
        [name, str(tensors[name].dtype), list(tensors[name].shape), _bytes_checksum(tensors[name])]
        for name in sorted(tensors)
    ]
    return zlib.crc32(json.dumps([kind, facts, table]).encode())


def _bytes_checksum(tensor: Tensor, value: int = 0) -> int:
    # Bytes are reached through a reinterpreting view, which zero-sized and 0-d tensors lack.
    flat = tensor.reshape(-1)
    return zlib.crc32(flat.view(torch.uint8).numpy().data, value) if flat.numel() else value
