"""Parameters and operations against formulas, and the tables of docs/costs.md against the commands that made them."""

import re
from pathlib import Path

import pytest
import torch

import catalog
from commands import require_one_line, vidgan
from count_kernels import CLIPS, SUBJECTS, Subject
from kernel_process import Kernels
from kernel_process import count as count_kernels
from vidgan.models.cascade import below_of
from vidgan.models.costs import networks
from vidgan.models.discriminator import BodySpec, DiscriminatorSpec
from vidgan.models.level import Level
from vidgan.models.losses import SumThenHingeSpec
from vidgan.models.views import ClipSpec, FramesSpec
from vidgan.presets import preset, presets
from vidgan.report.costs import layers, overview

Capture = pytest.CaptureFixture[str]
PAGE = Path(__file__).parents[1] / "docs" / "costs.md"


def tables(page: str) -> dict[str, str]:
    """The tables of a page by the command that the line above each names."""
    found = re.findall(r"^<!-- made by: (.*) -->\n\n((?:\|.*\n|\n(?=\|))+)", page, flags=re.M)
    return {command: table.strip() for command, table in found}


def block(inputs: int, outputs: int, taps: int) -> int:
    """Parameters of a discriminator's block: two convolutions of ``taps`` taps and a shortcut, with biases."""
    return outputs * (taps * inputs + 1) + outputs * (taps * outputs + 1) + outputs * (inputs + 1)


def work(inputs: int, outputs: int, taps: int, pixels: int, after: int) -> int:
    """Operations of its convolutions at ``pixels`` positions; the shortcut's are those after pooling."""
    return 2 * (
        taps * inputs * outputs * pixels + taps * outputs * outputs * pixels + inputs * outputs * after
    )


def test_discriminators_cost_what_their_convolutions_do() -> None:
    (level,) = catalog.experiments()["demo"].levels
    body = BodySpec(width=4, channels=(1, 2))
    discriminators = (
        DiscriminatorSpec(name="frames", view=FramesSpec(k=3), body=body),
        DiscriminatorSpec(name="clip", view=ClipSpec(scale=2), body=body.replace(blocks_3d=1)),
    )
    spec = level.replace(discriminators=discriminators)
    _, frames, clip = networks((spec,), 0, classes=5)
    side, steps = spec.size, spec.frames
    head = 8 + 1 + 5 * 8
    assert [part.name for part in frames.parts] == ["body.blocks.0", "body.blocks.1", "head"]
    assert frames.parameters == block(3, 4, 9) + block(4, 8, 9) + head
    assert clip.parameters == block(3, 4, 27) + block(4, 8, 9) + head
    for network, count, pixels, taps in ((frames, 3, side**2, 9), (clip, steps, side**2 // 4, 27)):
        first, second, _ = network.parts
        assert first.shape == (count, 4, *[int(pixels**0.5) // 2] * 2)
        assert first.flops == work(3, 4, taps, count * pixels, count * pixels // 4)
        assert second.flops == work(4, 8, 9, count * pixels // 4, count * pixels // 4)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "demo" else pytest.mark.slow, id=n) for n in catalog.structures()],
)
def test_parts_have_all_parameters(name: str) -> None:
    experiment = catalog.structures()[name]
    for index, spec in enumerate(experiment.levels):
        with torch.device("meta"):
            level = Level(spec, experiment.classes, below_of(experiment.levels, index))
        modules = [
            level.generator,
            *(level.discriminator(discriminator) for discriminator in level.discriminators),
        ]
        found = networks(experiment.levels, index, experiment.classes)
        assert [network.parameters for network in found] == [
            sum(p.numel() for p in module.parameters()) for module in modules
        ]
        assert all(part.shape is not None for network in found for part in network.parts)


def alike() -> dict[str, list[str]]:
    """Presets of the same networks, by the first of them: they cost the same."""
    table: dict[object, list[str]] = {}
    for name, experiment in presets().items():
        sizes = [
            level.replace(objective=SumThenHingeSpec(), stride=1, steps=None) for level in experiment.levels
        ]
        table.setdefault(repr((sizes, experiment.classes)), []).append(name)
    return {names[0]: names for names in table.values()}


EVERY = 4
"""of the papers' sizes, `make test` counts one in so many, and `make test-all` the others"""
SAMPLED = [
    pytest.param(names, id=names[0], marks=() if place % EVERY == 0 else pytest.mark.long)
    for place, names in enumerate(alike().values())
]


@pytest.mark.slow
@pytest.mark.parametrize("names", SAMPLED)
def test_every_preset_is_built_at_its_papers_size(names: list[str]) -> None:
    """On the meta device; its rows are those of the page."""
    rows = tables(PAGE.read_text())["vidgan presets --costs"].splitlines()
    head, rule, *made = overview([preset(names[0])]).splitlines()
    assert rows[:2] == [head, rule]
    for name in names:
        expected = [row.replace(f"`{names[0]}`", f"`{name}`") for row in made]
        assert [row for row in rows if row.startswith(f"| `{name}`")] == expected


def test_the_page_names_every_preset() -> None:
    made = tables(PAGE.read_text())["vidgan presets --costs"]
    named = re.findall(r"^\| `([\w.-]+)`", made, flags=re.M)
    assert set(named) == set(presets()), "replace the table by what the command above it prints"


@pytest.mark.slow
def test_layers_of_the_main_model() -> None:
    """Expected of width 128, 12 frames of 64x64: about 180, 158 and 166 M, and 807, 237 and 161 GFLOP."""
    name = "dvd-gan-k600-12x64"
    assert layers(preset(name)).strip() == tables(PAGE.read_text())[f"vidgan presets {name} --costs"]
    found = networks(preset(name).levels, 0, 600)
    assert [n.parameters / 1e6 for n in found] == pytest.approx([180, 158, 166], rel=0.03)
    assert [n.flops / 1e9 for n in found] == pytest.approx([807, 237, 161], rel=0.02)


def test_nothing_is_computed() -> None:
    """Tensors of the paper's size would take gigabytes; the level is built without any."""
    with torch.device("meta"):
        level = Level(preset("dvd-gan-k600-12x64").levels[0], 600, None)
    assert {p.device.type for p in level.parameters()} == {"meta"}
    assert sum(p.numel() for p in level.parameters()) > 4e8


def test_the_command_prints_them(capsys: Capture) -> None:
    answer = vidgan(capsys, "presets", "demo", "--costs")
    assert answer.status == 0
    assert answer.out.strip() == layers(preset("demo")).strip()
    assert answer.out.count("**all**") == 3
    require_one_line(vidgan(capsys, "presets", "demo", "--costs", "--json"), "--costs", "exclude")


def kernels_told() -> dict[str, list[int]]:
    """Of each level: kernels of 66b4565, now, and now with its orthogonal penalty."""
    table = tables(PAGE.read_text())["python benchmarks/count_kernels.py ../before"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {
        name: [int(cell.replace(",", "")) for cell in (before, now, own)]
        for name, before, now, _, own in rows
    }


def test_five_levels_start_two_thirds_of_the_kernels_of_66b4565_at_most() -> None:
    assert sum(now <= before * 2 / 3 for before, now, _ in kernels_told().values()) >= 5


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(
            each,
            id=each.name,
            marks=pytest.mark.slow if each.preset.startswith("guide") else pytest.mark.long,
        )
        for each in SUBJECTS
    ],
)
def test_kernels_of_a_step_are_as_many_as_the_page_says(subject: Subject) -> None:
    """Without the orthogonal penalty and with it."""
    now = [count_kernels(subject.preset, subject.level, CLIPS, penalty) for penalty in (False, True)]
    assert kernels_told()[subject.name][1:] == now


def test_kernels_are_counted_as_cuda_starts_them() -> None:
    """Views start none, an operator one, a list of small tensors one for 110 of them, of large ones more."""
    x, many = torch.ones(4, 4, device="meta"), [torch.ones(3, device="meta") for _ in range(111)]
    large = [torch.ones(2**25, device="meta")]
    with Kernels() as kernels:
        x.t()[1:].reshape(-1)
        assert kernels.count == 1  # the copy
        x.add(x).relu_()
        assert kernels.count == 3
        torch._foreach_mul_(many, 2.0)
        assert kernels.count == 5
        torch._foreach_add(large, large)  # 512 blocks
        assert kernels.count == 7
        torch.ones(2).add(1)  # on the CPU
    assert kernels.count == 7
