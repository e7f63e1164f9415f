"""Shells complete verbs, presets and options, asked as a person's shell asks."""

import shutil
import subprocess
from pathlib import Path

import pytest

from commands import require_one_line, vidgan
from vidgan.cli import VERBS
from vidgan.presets import preset_names


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash."""
    from vidgan.cli.completion import bash, words

    path = tmp_path_factory.mktemp("completion") / "vidgan.bash"
    path.write_text(bash(words()))
    return path


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of ``words``."""
    line = " ".join(f"'{word}'" for word in ("vidgan", *words))
    asked = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _vidgan; echo ${{COMPREPLY[*]}}"
    said = subprocess.run(["bash", "--norc", "-c", asked], capture_output=True, text=True, check=True)
    assert not said.stderr
    return said.stdout.split()


def test_bash(script: Path) -> None:
    assert completed(script, "") == [*VERBS, "--help", "--version"]
    assert completed(script, "pre") == ["presets", "prepare", "predict"]
    assert completed(script, "train", "dvd-gan-8") == ["dvd-gan-8x64-cpu"]
    assert completed(script, "plot", "sp") == ["spectra"]
    assert completed(script, "sample", "runs/demo", "--inter") == ["--interpolate"]
    assert completed(script, "train", "demo", "--training.adam.generator") == [
        "--training.adam.generator-rate"
    ]
    assert "--memorisation" in completed(script, "evaluate", "--")
    assert completed(script, "prepare", "videos", "data/x", "--layout", "frames") == ["frames"]
    assert completed(script, "train", "demo", "--tracker", "wandb", "ml") == ["mlflow"]
    assert completed(script, "export", "runs/demo", "--format", "") == ["auto", "torch", "onnx"]
    assert completed(script, "sample", "runs/demo", "--format", "w") == ["webp"]
    assert completed(script, "evaluate", "runs/demo", "--protocol", "psd", "frechet-random-") == [
        "frechet-random-by-class",
        "frechet-random-i3d",
    ]
    assert completed(script, "evaluate", "runs/demo", "--protocol", "psd", "--see") == ["--seed"]
    assert completed(script, "sample", "runs/d") == []  # bash goes on with files


def test_all_verbs_have_options(script: Path) -> None:
    for verb in VERBS:
        assert "--help" in completed(script, verb, "--h"), verb


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str) -> None:
    from vidgan.cli import completion

    said = completion.SCRIPTS[shell](completion.words())
    assert all(word in said for word in (*VERBS, *preset_names(), "interpolate"))
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=said, text=True, check=True)


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    require_one_line(vidgan(capsys, "completion", "bahs"), "did you mean 'bash'")
