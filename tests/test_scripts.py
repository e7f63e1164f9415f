"""Scripts beside the package: all of them are imported and explain their options, and most run in their smallest form.

Elsewhere: bench_peer.py, full_size.py, kernel_process.py (test_costs.py), over_training.py, table2_in_small.py,
variants.py, copying.py and driving_judges.py. Not run at all, for what they take or need: bench_compile.py,
bench_two_cores.py, cascade_memory.py, cascade_scaling.py, count_kernels.py, explore_latency.py, exported_models.py and
gradient_sums.py.
"""

import importlib.util
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vidgan
from vidgan.cli import main
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.presets import preset_names
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny

ROOT = Path(__file__).parents[1]
SCRIPTS = [path for folder in ("benchmarks", "experiments") for path in sorted((ROOT / folder).glob("*.py"))]
EXTRAS = ("onnxruntime", "matplotlib")
"""what only an extra installs; without it a script is imported up to there"""
WITHOUT_OPTIONS = ("full_size", "kernel_process", "peer_process", "step_process")
"""which compute, or read words that another script gives them, where they are called"""
EXPERIMENTS = ("driving_prediction", "packed", "scaling", "small_cascade")
"""files of functions that return an experiment, for ``vidgan train``"""
RUNS = ("demo", "demo-cascade", "demo-prediction", "trivd-gan-fp-k600-16x64")
STRIPS = SyntheticSpec(shapes=("disc",), motions=("right", "left"), size=32, frames=40, clips=28)
ONCE = "--rounds 1 --device cpu"
SMALLEST = {
    "benchmarks/bench_checkpointing.py": ONCE,
    "benchmarks/bench_checksums.py": "--rounds 1",
    "benchmarks/bench_convolution.py": f"{ONCE} --only small wide",
    "benchmarks/bench_decompositions.py": f"{ONCE} --width 1 --clips 1 --part units",
    "benchmarks/bench_loader.py": "--rounds 1",
    "benchmarks/bench_monitor.py": f"{ONCE} --batch 2",
    "benchmarks/bench_norm.py": ONCE,
    "benchmarks/bench_plan.py": ONCE,
    "benchmarks/bench_prepare.py": "--rounds 1",
    "benchmarks/bench_recurrent.py": ONCE,
    "benchmarks/bench_resize.py": "--rounds 1",
    "benchmarks/bench_shared_work.py": f"{ONCE} --batch 2 --width 2",
    "benchmarks/bench_step.py": f"{ONCE} --batch 2 --width 2",
    "benchmarks/compare_checkouts.py": "{root} demo:2:2:float32 --rounds 1",
    "benchmarks/gpu_page.py": "--tiny --device cpu --out {out}/gpu.md",
    "benchmarks/run_all.py": "--only bench_norm bench_step --rounds 1 --out {out}/bench.md",
    "benchmarks/many_clips.py": "--clips 64 --folder {out}/many",
    "benchmarks/sampling_time.py": f"{ONCE} --preset demo --width 4 --types float32 bfloat16",
    "benchmarks/size_scaling.py": "--rounds 1 --only 'frames, upper level without what feeds it' --out {out}/sizes.svg",
    "benchmarks/step_memory.py": "--preset demo --width 4",
    "experiments/beside_real.py": "{demo} --out {out}/strips.png --real 0",
    "experiments/cascade_matching.py": "{demo-cascade} {demo-cascade} --clips 8",
    "experiments/collapse_detector.py": "{demo}",
    "experiments/corpus.py": "{strips}/disc-left",
    "experiments/dark_videos.py": "--out {out} --seeds 0 --steps 1 --width 1 --batch 1",
    "experiments/futures_apart.py": "{demo-prediction} --clips 8 --futures 3 --picture {out}/futures.png",
    "experiments/memorisation.py": "{strips} --out {out}/heart --steps 1",
    "experiments/motion_fields.py": "{trivd-gan-fp-k600-16x64} --clips 12 --picture {out}/fields.png",
    "experiments/resizing.py": "",
    "experiments/scores_by_trait.py": "{demo} --clips 80",
    "experiments/sanity.py": "{strips} --out {out}",
}
OWN_PROCESS = ("bench_plan",)
"""which start processes that import the script again"""
LONG = (
    *(
        "bench_checkpointing",
        "bench_checksums",
        "bench_convolution",
        "bench_decompositions",
        "bench_loader",
        "bench_plan",
        "bench_prepare",
    ),
    *("gpu_page", "many_clips", "size_scaling", "dark_videos", "memorisation", "sanity"),
)


@contextmanager
def modules_forgotten(folder: Path) -> Iterator[None]:
    """Files of ``folder`` that were imported meanwhile are imported anew next time: another may have their name."""
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
                del sys.modules[name]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_find_what_they_import(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Importing one runs nothing; called for help, it explains its options."""
    monkeypatch.syspath_prepend(str(script.parent))
    spec = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look it up there
    with modules_forgotten(script.parent):
        try:
            spec.loader.exec_module(module)
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            return
        assert module.__doc__
        called = '__name__ == "__main__"' in script.read_text()
        if called and script.stem not in WITHOUT_OPTIONS:
            monkeypatch.setattr(sys, "argv", [str(script), "--help"])
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(script), run_name="__main__")
            assert ended.value.code == 0
            assert capsys.readouterr().out.startswith("usage: ")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of a step, by their presets, and strips of built-in clips."""
    folder = tmp_path_factory.mktemp("scripts")
    for name in RUNS:
        words = ["train", name, "--tiny", "--data", "synthetic", "--workers", "0", "--steps", "1"]
        assert main([*words, "--out", str(folder / name)]) == 0
    dataset = SyntheticDataset(STRIPS)
    for number in range(STRIPS.clips):
        path = folder / "strips" / dataset.classes[dataset.info(number).label] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(list(dataset.read(number, 0, STRIPS.frames)), axis=1)).save(path)
    return {name: folder / name for name in (*RUNS, "strips")}


def smallest() -> list[object]:
    """Those of ten seconds and more are left to `make test-all`."""
    marks = {
        script: pytest.mark.long if Path(script).stem in LONG else pytest.mark.slow for script in SMALLEST
    }
    return [pytest.param(script, SMALLEST[script], id=script, marks=mark) for script, mark in marks.items()]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("script", "words"), smallest())
def test_a_script_runs_in_its_smallest_form(
    script: str,
    words: str,
    places: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = ROOT / script
    given = [str(path), *shlex.split(words.format(**places, root=ROOT, out=tmp_path))]
    if path.stem in OWN_PROCESS:
        done = subprocess.run([sys.executable, *given], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", given)
    with modules_forgotten(path.parent):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise
    assert capsys.readouterr().out
    for made in (Path(word) for word in given[1:] if word.endswith(".png")):
        assert made.stat().st_size > 0


def require_true_deviations(experiment: Experiment) -> None:
    """Widths and rates that the experiment's deviations name are its own."""
    said, rates = " ".join(experiment.deviations), experiment.training.adam
    named = re.findall(r"learning rates ([\d.e-]+) and ([\d.e-]+)", said)
    assert all((float(g), float(d)) == (rates.generator_rate, rates.discriminator_rate) for g, d in named)
    widths = {level.generator.width for level in experiment.levels}
    assert {int(width) for width in re.findall(r"(?:generator|discriminators): width (\d+)", said)} <= widths


@pytest.mark.parametrize("name", preset_names())
def test_presets_name_the_widths_and_rates_that_they_have(name: str) -> None:
    require_true_deviations(vidgan.preset(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_functions_of_a_file_of_experiments_return_some_that_can_be_built(name: str) -> None:
    """In small; one whose networks do not fit together is refused."""
    file = ROOT / "experiments" / f"{name}.py"
    functions = re.findall(r"^def (\w+)\(\) -> Experiment:", file.read_text(), re.M)
    assert functions
    for function in functions:
        experiment = vidgan.preset(f"{file}:{function}")
        assert isinstance(experiment, Experiment)
        require_true_deviations(experiment)
        for index in range(len(experiment.levels)):
            vidgan.build(tiny(experiment), level=index)
