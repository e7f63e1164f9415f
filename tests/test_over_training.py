"""Presets over training in small: what is kept of a preset, and that the script resumes."""

from pathlib import Path

import pytest

import over_training
from changes import changed
from runs import make_run
from vidgan.nn.norm import GroupNormSpec
from vidgan.presets import preset
from vidgan.presets.dvd_gan import ALL
from vidgan.report.compare import over_training as curves_of
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.spec import differences, to_json


def small_changes(name: str, other: str) -> set[str]:
    """The last parts of places in which two shrunk presets differ."""
    found = differences(to_json(over_training.small(name)), to_json(over_training.small(other)))
    words = ("name", "description", "source", "deviations")
    return {line.split(":")[0].rsplit(".", 1)[-1] for line in found if not line.startswith(words)}


def test_what_a_preset_is_about_stays() -> None:
    main = "dvd-gan-k600-12x64"
    for name in (
        "dvd-gan-norm-group",
        "dvd-gan-norm-all-frames",
        "dvd-gan-phi-crop",
        "dvd-gan-unit-convgru-12x64",
    ):
        expected = {place.rsplit(".", 1)[-1] for place in changed(name, main)} - {"steps"}
        assert small_changes(name, main) == expected, name
    assert small_changes("dvd-gan-unit-multiplicative-48x64", "dvd-gan-unit-multiplicative-12x64") == {
        "frames"
    }
    deep = over_training.small("dvd-gan-deep-blocks").levels[0]
    paper = preset("dvd-gan-deep-blocks").levels[0]
    assert [d.body.residual for d in deep.discriminators] == [d.body.residual for d in paper.discriminators]


def test_groups_are_of_several_channels_in_small_too() -> None:
    """Otherwise group normalisation would be instance normalisation."""
    for name, groups in (("dvd-gan-norm-group", 2), ("dvd-gan-norm-layer", 1)):
        generator = over_training.small(name).levels[0].generator
        assert generator.norm == generator.final_norm == GroupNormSpec(groups=groups)


def test_all_variants_can_be_shrunk_and_others_are_refused() -> None:
    models = {}
    for name in (make().name for make in ALL if make().name != "dvd-gan-k10"):
        made = over_training.small(name)
        models[name] = to_json(made.replace(name="", description="", source="", deviations=()))
        assert any("without the separable attention" in each for each in made.deviations)
    # k = 8 and 10 of 8 frames would be one model under two names.
    with pytest.raises(
        SystemExit, match="dvd-gan-k10 cannot be shrunk: its frame discriminator sees 10 frames"
    ):
        over_training.small("dvd-gan-k10")
    # By the paper's words these are the main model.
    same = {"dvd-gan-phi-avg2", "dvd-gan-k8", "dvd-gan-unit-multiplicative-12x64"}
    for name, model in models.items():
        assert all(model != models[other] for other in models if other != name and not {name, other} <= same)
    for name in ("dvd-gan-fp-k600-16x64", "trivd-gan-fp-k600-16x64", "ssw-gan-k600-48x128"):
        with pytest.raises(SystemExit, match="cannot be shrunk"):
            over_training.small(name)


def test_the_table_has_a_row_per_preset(tmp_path: Path) -> None:
    """0.2 and 0.4: mean 0.3, unbiased deviation 0.14."""
    runs = []
    for seed, value in ((0, 0.2), (1, 0.4)):
        run = make_run(tmp_path / str(seed), preset("demo"))
        for protocol, factor in (("frechet-random", 1), ("oracle-accuracy", 10)):
            line = {"protocol": protocol, "step": 5, "settings": {}, "value": factor * value}
            run.metrics.append(line)
        runs.append(RunDirectory.open(run.path))
    plots, _ = curves_of(runs, ("frechet-random", "oracle-accuracy"), ())
    head, _, row = over_training.table(plots).splitlines()
    assert head == "| preset | frechet-random, step 5 | oracle-accuracy, step 5 |"
    assert row == "| demo (2 runs) | 0.3 ± 0.14 | 3 ± 1.4 |"


@pytest.mark.long
@pytest.mark.slow
def test_runs_are_trained_measured_drawn_and_not_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["dvd-gan-norm-group", "--in-small", "--out", str(out), "--seeds", "1", "--steps", "2"]
    protocols = ("pixel-statistics", "oracle-accuracy")
    words += ["--every", "2", "--clips", "4", "--protocols", *protocols]
    over_training.main(words)
    assert (out / "curves.svg").stat().st_size > 0
    assert len((out / "table.md").read_text().splitlines()) == 3
    found = read_lines(out / "dvd-gan-norm-group-seed0" / "metrics.jsonl")
    assert [(line["protocol"], line["step"]) for line in found] == [(name, 2) for name in protocols]
    capsys.readouterr()
    over_training.main(words)
    assert "is finished at step 2" in capsys.readouterr().out
    assert read_lines(out / "dvd-gan-norm-group-seed0" / "metrics.jsonl") == found
