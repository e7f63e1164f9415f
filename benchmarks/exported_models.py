"""Exported models beside the model itself: bytes, time per clip, and how far the videos are apart.

Prints the table of docs/export.md; needs the extra export and onnxruntime. Each preset is trained for one step, as its
weights take no part in what is measured.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import onnxruntime
import torch
from torch import Tensor

import vidgan
from cascade_scaling import table
from interleaved import Case, Settings, interleave, options, show_machine, timed
from vidgan.models.cascade import FrozenLevel
from vidgan.sample.export import Exporter, OnnxExporter, TorchExporter, export
from vidgan.sample.folded import FoldedModel
from vidgan.seeds import stream

PRESETS = ("demo", "demo-prediction", "demo-cascade")
CPU = torch.device("cpu")


class Options(Settings):
    """What is exported."""

    presets: list[str]
    clips: int


class Form(NamedTuple):
    """A model in one of its forms."""

    name: str
    size: int
    """bytes"""
    video: Callable[[], Tensor]


@torch.no_grad()
def eager(levels: Sequence[FrozenLevel], label: Tensor, noise: Tensor, given: Tensor | None) -> Tensor:
    """The video of all levels, by the generators' own layers and tables of statistics."""
    video = given
    latents = [level.spec.generator.latent for level in levels]
    for level, z in zip(levels, noise.split(latents, 1), strict=True):
        place = "given" if level.spec.context_frames else "below"
        more = {place: video, "statistics": level.statistics}
        video = level.generator(z, label, level.spec.frames, **more)
    assert video is not None
    return video


def forms(preset: str, clips: int, folder: Path) -> list[Form]:
    """The model itself, and its exported files, open."""
    with vidgan.Trainer(
        vidgan.preset(preset), "synthetic", folder / preset, workers=0, device=CPU, progress=False
    ) as trainer:
        trainer.fit(steps=1)
    model = vidgan.load(folder / preset, device="cpu")
    levels = model.sampler().levels
    shapes = {each.name: (clips, *each.shape) for each in FoldedModel(levels).inputs}
    label = torch.arange(clips) % len(model.class_names)
    noise = torch.randn(shapes["noise"], generator=stream(0, "noise"))
    given = torch.rand(shapes["given"], generator=stream(0, "given")) if "given" in shapes else None
    inputs = {"label": label, "noise": noise} | ({} if given is None else {"given": given})
    files: dict[Exporter, Path] = {
        kind: folder / f"{preset}{kind.suffix}" for kind in (TorchExporter(), OnnxExporter())
    }
    for exporter, path in files.items():
        export(model, path, exporter)
    pt2, onnx = files.values()
    program = torch.export.load(pt2).module()
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(onnx), threads, providers=["CPUExecutionProvider"])
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    generators = [level.generator for level in levels]
    own = sum(tensor.nbytes for each in generators for tensor in each.state_dict().values())
    return [
        Form("model", own, lambda: eager(levels, label, noise, given)),
        Form(".pt2", pt2.stat().st_size, torch.no_grad()(lambda: program(*inputs.values()))),
        Form(".onnx", onnx.stat().st_size, lambda: torch.from_numpy(session.run(["video"], arrays)[0])),
    ]


def main(settings: Options) -> None:
    show_machine(CPU)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for preset in settings.presets:
            made = forms(preset, settings.clips, Path(folder))
            wanted = made[0].video()
            results = interleave([Case(form.name, timed(form.video, CPU)) for form in made], settings.rounds)
            for form, result in zip(made, results, strict=True):
                apart = (form.video() - wanted).abs().max().item()
                cells = [
                    f"`{preset}` {'x'.join(map(str, (*wanted.shape[1:2], *wanted.shape[3:])))}, {form.name}",
                    f"{form.size / 2**20:.1f}",
                    f"{1000 * statistics.median(result.seconds) / settings.clips:.1f}",
                    f"{statistics.median(result.ratios):.2f}",
                    f"{apart:.0e}" if apart else "0",
                ]
                rows.append(cells)
    print(table(["", "MiB", "ms per clip", "of the model's time", "largest difference"], rows))


if __name__ == "__main__":
    parser = options(str(__doc__), rounds=9)
    parser.add_argument("--presets", nargs="+", default=PRESETS, help="which (one of each structure)")
    parser.add_argument("--clips", type=int, default=4, help="at a time (4)")
    main(parser.parse_args(namespace=Options()))
