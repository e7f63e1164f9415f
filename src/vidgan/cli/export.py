"""``vidgan export RUN --format torch|onnx``: a trained model as one file for other programs."""

from pathlib import Path
from typing import Final, Literal

from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import Run, Weights, file_to_write
from vidgan.errors import UserError
from vidgan.names import tell
from vidgan.sample.export import Exporter, OnnxExporter, TorchExporter, export, require_new, require_onnx
from vidgan.sample.noise import truncation

FORMATS: Final[dict[str, Exporter]] = {"torch": TorchExporter(), "onnx": OnnxExporter()}
SUFFIXES: Final = {exporter.suffix: exporter for exporter in FORMATS.values()}


@option_set
class Options(Run, Weights):
    """Writes a trained model as one file that takes classes and noise and gives videos, for any number of clips.

    Its statistics and spectral norms are folded in.
    """

    out: Path
    """file to write: .pt2 or .onnx"""
    format: Literal["auto", "torch", "onnx"] = "auto"
    """a torch.export program, or ONNX, which needs the extra export; auto: as the file's suffix says"""
    frames: int | None = None
    """frames of each video, at least as many as in training"""
    sigma: float | None = None
    """deviation of the noise that it will be given (1)"""
    threshold: float | None = None
    """or where that noise is cut off"""
    data: str | None = None
    """data whose first frames a frame-conditional model takes standing statistics of (those of its training)"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write the file."""
    options = parse(Options, "export", args)
    exporter = SUFFIXES.get(options.out.suffix) if options.format == "auto" else FORMATS[options.format]
    if exporter is None:
        raise UserError(f"{options.out} must end in {' or '.join(SUFFIXES)}")
    file_to_write(options.out, exporter.suffix)
    require_new(options.out)
    _ = truncation(options.sigma, options.threshold)
    if isinstance(exporter, OnnxExporter):
        require_onnx()  # before minutes are spent
    model = options.model(options.run, options.data)
    export(model, options.out, exporter, options.frames, options.sigma, options.threshold)
    tell(f"wrote {options.out} ({options.out.stat().st_size / 2**20:.1f} MiB)")
    return 0
