"""Options: what help offers, and one line for what cannot be understood."""

import re

import pytest

from commands import require_one_line, vidgan
from vidgan.cli import FORMER, VERBS
from vidgan.cli.plot import KINDS

COMMANDS = (
    "sample --interpolate",
    "evaluate --memorisation",
    "evaluate --train-classifier FILE",
    *(f"plot {kind}" for kind in KINDS),
)
"""what has options of its own besides the verbs"""
Capture = pytest.CaptureFixture[str]


def helped(capsys: Capture, *command: str) -> str:
    answer = vidgan(capsys, *command, "--help")
    assert answer.status == 0, answer.err
    return answer.out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sample --clips 3", ("missing", "RUN")),
        ("sample run", ("missing", "--out")),
        ("sample run --otu x", ("--otu", "did you mean '--out'")),
        ("sample run --out x --clips 2.5", ("--clips", "'2.5' is not a whole number")),
        ("sample run --out x --sigma big", ("--sigma", "'big' is not a number")),
        ("sample run --out x --clips x", ("--clips", "'x' is not a whole number")),
        ("sample run --out x --clips", ("--clips", "Missing value")),
        ("sample run --out x --grid yes", ("--grid takes no value", "'yes'")),
        ("sample run --out x --grid=yes", ("--grid takes no value", "'yes'")),
        ("sample run other --out x", ("'other' belongs to no option",)),
        (f"sample run {'a' * 300} --out x", ("belongs to no option",)),
        ("train demo --data synthetic --out x --training.bf16 maybe", ("--training.bf16", "True", "False")),
        ("train demo --data synthetic --out x --training.bf61 True", ("did you mean '--training.bf16'",)),
        ("train demo --data synthetic --out x --levels.0.window x", ("--levels.0.window", "whole number")),
        ("train demo --data synthetic --out x --name mine", ("no option --name",)),
        ("train demo --tiny", ("missing", "--data", "--out")),
        ("train --tiny demo", ("the preset comes first",)),
    ],
)
def test_what_cannot_be_understood(capsys: Capture, command: str, said: tuple[str, ...]) -> None:
    answer = vidgan(capsys, *command.split())
    require_one_line(answer, *said)
    assert not re.search("─|---", answer.err)
    assert "Argument helptext" not in answer.err


@pytest.mark.parametrize("verb", FORMER)
def test_a_verb_of_earlier_versions_names_the_new_command(capsys: Capture, verb: str) -> None:
    answer = vidgan(capsys, verb, "runs/demo", "--out", "x")
    require_one_line(answer, f"vidgan {verb} is now vidgan {FORMER[verb]}")
    # What it names is there.
    assert helped(capsys, *FORMER[verb].split()).startswith("usage: vidgan")


@pytest.mark.parametrize("command", ["", *VERBS, *COMMANDS], ids=lambda command: command or "vidgan")
def test_help_fits_one_screen(capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = helped(capsys, *command.split()).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 45
    assert "default: none" not in "".join(lines)


def test_help_of_a_preset_shows_its_values_below_the_options(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    options = helped(capsys, "plan").splitlines()
    both = helped(capsys, "plan", "demo").splitlines()
    assert both[2 : len(options)] == options[2:]
    assert len(both) > 5 * len(options)


@pytest.mark.parametrize("verb", ["sample", "predict", "evaluate", "prepare", "inspect", "train demo"])
def test_help_calls_values_by_plain_names(capsys: Capture, verb: str) -> None:
    said = helped(capsys, *verb.split())
    assert "{None}" not in said
    assert "[STR" not in said
    usage = said.splitlines()[0]
    assert "PATH" not in usage


@pytest.mark.slow
def test_help_of_a_preset_offers_its_values_only(capsys: Capture) -> None:
    said = helped(capsys, "train", "demo")
    offered = set(re.findall(r"--([a-z][\w.-]*)", said))
    assert {"resume", "tiny", "minutes", "conditional", "levels.0.generator.width"} <= offered
    assert not {"name", "description", "source", "deviations", "classes", "no-conditional"} & offered


def test_help_without_a_preset_shows_the_common_options(capsys: Capture) -> None:
    said = helped(capsys, "train")
    for word in ("--resume", "--tiny", "--minutes", "--steps", "vidgan train PRESET"):
        assert word in said


def test_the_list_of_presets_fits_80_columns(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidgan.presets import GROUPS, presets

    monkeypatch.setenv("COLUMNS", "80")
    lines = vidgan(capsys, "presets").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 2 * len(presets()) + 3 * len(GROUPS)
    assert [line.strip() for line in lines if line.strip() in GROUPS] == list(GROUPS)
    assert {name for name in presets() if any(line.startswith(f"{name} ") for line in lines)} == set(
        presets()
    )


def test_two_presets_are_told_apart(capsys: Capture) -> None:
    answer = vidgan(capsys, "presets", "dvd-gan-k600-12x64", "dvd-gan-k2")
    assert answer.out.splitlines() == [
        "levels.0.discriminators.0.view.k: 8 -> 2",
        "training.steps: 300000 -> 100000",
    ]
    units = vidgan(capsys, "presets", "trivd-table2-convgru", "trivd-table2-tsru-p").out
    assert "levels.0.generator.stages.0.temporal.0.unit.is: ConvGRUSpec -> TSRUpSpec\n" in units
    assert "stages.0.temporal.0.unit.warp: None -> FactorisedWarpSpec(size=3, kernels=9)\n" in units
    same = vidgan(capsys, "presets", "demo", "demo")
    assert same.out == "demo and demo have the same values\n"
    refused = vidgan(capsys, "presets", "demo", "demo-cascade", "--json")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
