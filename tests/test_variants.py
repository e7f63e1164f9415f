"""Variants of a preset: trained as their options say, resumed and measured once, side by side in a table."""

import json
import sys
from pathlib import Path

import pytest

import variants
from commands import vidgan
from runs import make_run
from vidgan.cli.experiment import parse_with_values
from vidgan.cli.train import Options
from vidgan.presets import preset
from vidgan.run.directory import RunDirectory
from vidgan.spec import to_json


@pytest.mark.slow
def test_a_plan_is_trained_measured_and_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def call(*words: object) -> None:
        called.append(str(words[0]))
        answer = vidgan(capsys, *words)
        assert answer.status == 0, answer.err

    monkeypatch.setattr(variants, "call", call)
    plan = {"as-it-is": ["--tiny"], "slow": ["--tiny", "--training.adam.generator-rate", "1e-5"]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    out = tmp_path / "out"
    words = ["demo", tmp_path / "plan.json", "--out", out, "--steps", 2, "--every", 1, "--seeds", 3]
    words += ["--protocols", "pixel-statistics", "--clips", 3]
    monkeypatch.setattr(sys, "argv", ["variants.py", *map(str, words)])
    variants.main()
    assert called.count("train") == 2
    assert called.count("evaluate") == 4
    rates = {
        name: RunDirectory.open(out / f"{name}-3").experiment.training.adam.generator_rate for name in plan
    }
    assert rates["slow"] == 1e-5 != rates["as-it-is"]
    assert RunDirectory.open(out / "slow-3").experiment.training.seed == 3
    rows = [
        line for line in (out / "tables.md").read_text().splitlines() if line.startswith(("| as", "| slow"))
    ]
    assert [row.split("|")[1:3] for row in rows] == [
        [f" {name} ", f" {step} "] for name in plan for step in (1, 2)
    ]
    variants.main()
    assert called.count("evaluate") == 4  # nothing is measured twice


def test_means_and_deviations_over_seeds(tmp_path: Path) -> None:
    """0.2 and 0.4 differ by an unbiased deviation of 0.14; a seed that is not there yet is left open."""
    for seed, value in ((0, 0.2), (1, 0.4)):
        run = make_run(tmp_path / f"one-{seed}")
        run.metrics.append({"protocol": "frechet-random", "step": 5, "settings": {}, "value": value})
    asked = variants.argparse.Namespace(out=tmp_path)
    *_, row, _ = variants.table(["one"], [0, 1, 2], "frechet-random", asked)
    assert row == "| one | 5 | 0.2 | 0.4 |  | 0.3 ± 0.14 |"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "names"),
    [("demo_variety", ("demo",)), ("rates", ("demo-prediction", "demo-cascade", "dvd-gan-8x64-cpu"))],
)
def test_plans_are_of_options_that_change_something(plan: str, names: tuple[str, ...]) -> None:
    """Every variant but the first is another experiment than the others."""
    text = (Path(variants.__file__).parent / "plans" / f"{plan}.json").read_text()
    required = ("--data", "synthetic", "--out", "none")
    for name in names:
        made = [
            parse_with_values(Options, "train", [name, *required, *options])[1]
            for options in json.loads(text).values()
        ]
        assert made[0] == preset(name)
        assert len({json.dumps(to_json(each)) for each in made}) == len(made)
