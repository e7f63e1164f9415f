"""A trained model as one file that other programs run: a ``torch.export`` program or ONNX."""

import json
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch.export import Dim, ExportedProgram

from vidgan.errors import UserError
from vidgan.files import write_whole
from vidgan.run.directory import versions
from vidgan.sample.folded import FoldedModel
from vidgan.sample.model import Model
from vidgan.sample.noise import Truncation, truncation

NOTE: Final = "vidgan.json"
"""what an exported file says of itself: an extra file of a ``.pt2``, a property of an ONNX model"""
LARGEST_ONNX: Final = 2**31 - 2**24
"""bytes of an ONNX file, whose form ends at 2 GiB, less what its graph may take"""


class Exporter(ABC):
    """A form of exported files."""

    suffix: str

    @abstractmethod
    def write(self, program: ExportedProgram, model: FoldedModel, note: str, path: Path) -> None:
        """Write ``program`` to ``path``, with ``note`` in it."""


class TorchExporter(Exporter):
    """``.pt2``, which ``torch.export.load`` and ahead-of-time compilation read."""

    suffix = ".pt2"

    def write(self, program: ExportedProgram, model: FoldedModel, note: str, path: Path) -> None:
        torch.export.save(program, str(path), extra_files={NOTE: note})


class OnnxExporter(Exporter):
    """``.onnx``, one file with its weights, for onnxruntime and others; needs the extra ``export``."""

    suffix = ".onnx"

    def write(self, program: ExportedProgram, model: FoldedModel, note: str, path: Path) -> None:
        require_onnx()
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        if size > LARGEST_ONNX:
            raise UserError(
                f"an ONNX file holds 2 GiB, and this model has {size / 2**30:.1f}: use --format torch"
            )
        names = [each.name for each in model.inputs]
        made = torch.onnx.export(
            program, input_names=names, output_names=["video"], dynamo=True, verbose=False
        )
        assert made is not None
        made.model.metadata_props[NOTE] = note
        made.save(str(path), external_data=False)


def require_onnx() -> None:
    """Raise :class:`UserError` where the packages that write ONNX are missing."""
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError("ONNX files need the extra export: pip install 'vidgan[export]'") from error


def export(
    model: Model,
    path: str | Path,
    exporter: Exporter = TorchExporter(),
    frames: int | None = None,
    sigma: float | None = None,
    threshold: float | None = None,
) -> None:
    """Write ``model`` as one file: (label, noise[, given]) -> video, for any number of clips.

    What goes in and comes out is that of :class:`vidgan.sample.folded.FoldedModel`. The number of frames is fixed, and
    so are the standing statistics, which are of noise of one deviation. To the noise itself nothing is done: draw it
    with that deviation.

    Args:
        frames: as that of :meth:`Model.sample`.
        sigma: likewise; it chooses the statistics.
        threshold: likewise.

    Raises:
        UserError: if the path has another suffix than the format or is there, or the model has no standing statistics.
    """
    path = Path(path)
    if path.suffix != exporter.suffix:
        raise UserError(f"{path} must end in {exporter.suffix}")
    require_new(path)
    noise = truncation(sigma, threshold)
    folded = FoldedModel(model.sampler(frames, noise).levels).cpu()
    note = json.dumps(note_of(model, folded, noise), indent=1)
    with quiet():
        program = program_of(folded)
        write_whole(path, lambda part: exporter.write(program, folded, note, part))


def require_new(path: Path) -> None:
    """Raise :class:`UserError` where something is there: a program that others use is not replaced unasked."""
    if path.exists() or path.is_symlink():
        raise UserError(f"{path} exists: choose another name, or remove it first")


def program_of(model: FoldedModel) -> ExportedProgram:
    """The graph of a folded model; its batch is open."""
    # Two clips: a batch of one would be taken for a constant.
    example = tuple(each.example(2) for each in model.inputs)
    batch = Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(model, example, dynamic_shapes=tuple({0: batch} for _ in example))


def note_of(model: Model, folded: FoldedModel, noise: Truncation) -> dict[str, Any]:
    """What a reader of an exported file needs to know of it."""
    top = model.experiment.levels[-1]
    spec = model.experiment.training.standing_statistics
    return {
        "model": model.experiment.name,
        "step": model.step,
        "classes": list(model.class_names),
        "inputs": {each.name: ["batch", *each.shape] for each in folded.inputs},
        "latents": list(folded.latents),
        "video": ["batch", folded.frames[-1], 3, top.size, top.size],
        "values": [-1, 1],
        "noise_deviation": noise.deviation,
        "statistics_deviation": spec.at(noise.deviation).deviation,
        **versions(),
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporters say to those who write them."""
    level = logging.getLogger("torch").level
    logging.getLogger("torch").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch").setLevel(level)
