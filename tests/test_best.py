"""The best checkpoint: which it is, that it is kept, when training ends for it, and how it is asked for."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import catalog
from commands import require_one_line, vidgan
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.evaluation.evaluated import ModelSamples
from vidgan.evaluation.protocols import ALL
from vidgan.run.best import Best, best_of
from vidgan.run.checkpoints import checkpoint_path, parameters_hash, steps_of
from vidgan.run.checkpoints import load as load_state
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.sample.load import load_run
from vidgan.train import validate
from vidgan.train.callbacks import Callback, TrainContext
from vidgan.train.trainer import Trainer
from vidgan.train.validate import Validator

Capture = pytest.CaptureFixture[str]
TRAIN = ["train", "demo", "--tiny", "--data", "synthetic", "--workers", 0]
SELDOM = ["--reporting.samples", 100, "--reporting.checkpoint", 100, "--reporting.keep", 1]
EVALUATED = ["--reporting.best.protocol", "pixel-statistics", "--reporting.best.every", 2]


def result(step: int, value: float | None, larger: bool = False, **changed: Any) -> dict[str, Any]:
    line = {"protocol": "p", "value": value, "step": step, "settings": {"clips": 4}, "data": "d"}
    return {**line, "during": "training", "larger_is_better": larger, **changed}


def test_the_best_is_the_least_or_the_largest_and_of_equals_the_first() -> None:
    lines = [result(2, 3.0), result(4, 1.0), result(6, 2.0), result(8, 1.0)]
    assert best_of(lines) == Best(4, "p", 1.0, since=2)
    assert best_of([{**line, "larger_is_better": True} for line in lines]) == Best(2, "p", 3.0, since=3)


def test_only_the_runs_own_results_of_the_newest_kind_count() -> None:
    by_hand = {key: value for key, value in result(9, 0.0).items() if key != "during"}
    others = [result(1, 0.0, settings={"clips": 2}), result(2, 0.0, protocol="q"), result(3, 0.0, data="e")]
    assert best_of([by_hand, *others, result(4, 5.0), by_hand]) == Best(4, "p", 5.0, since=0)
    assert best_of([by_hand]) is None
    assert best_of([result(2, None)]) is None
    assert best_of([result(2, 1.0), result(4, None)]) == Best(2, "p", 1.0, since=1)


def test_the_best_before_a_step() -> None:
    lines = [result(2, 3.0), result(4, 2.0), result(6, 1.0)]
    assert best_of(lines, before=6) == Best(4, "p", 2.0, since=0)
    assert best_of(lines, before=2) is None


def test_protocols_know_which_of_two_numbers_is_better() -> None:
    larger = {name for name, named in ALL.items() if named.protocol.metric.larger_is_better}
    scores = {
        name
        for name in ALL
        if name.startswith("is-") or any(w in name for w in ("accuracy", "variety", "ssim", "psnr", "prdc"))
    }
    assert larger == scores


class Number(NamedTuple):
    value: float


def scripted(values: list[float]) -> Callable[..., list[Number]]:
    """Stands in for measuring: the next of ``values``."""
    left = list(values)

    def evaluate_by(samples: ModelSamples, *args: Any) -> list[Number]:
        *_, log, marks = args
        log.append(result(samples.step, left[0], **marks))
        return [Number(left.pop(0))]

    return evaluate_by


@pytest.mark.slow
def test_training_keeps_the_best_and_ends_when_patience_does(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr(validate, "evaluate_by", scripted([3.0, 1.0, 2.0, 2.5, 9.0, 9.0]))
    command = [*TRAIN, "--steps", 30, *SELDOM, *EVALUATED, "--reporting.best.patience", 2, "--out", out]
    said = vidgan(capsys, *command)
    assert said.status == 0, said.err
    assert "step 4  p: 1, the best so far\n" in said.out
    assert (
        "step 8  p: 2.5, the best is 1 of step 4\n2 evaluations in a row without a better result" in said.out
    )
    assert "--checkpoint best" in said.out
    assert [line["step"] for line in read_lines(RunDirectory.open(out).metrics.path)] == [2, 4, 6, 8]
    assert steps_of(out / "checkpoints", 1) == [4, 8]  # rotation keeps one, and the best stays
    for name, step in (("best", 4), ("last", 8), ("4", 4)):
        made = vidgan(
            capsys,
            "sample",
            out,
            "--out",
            tmp_path / name,
            "--clips",
            1,
            "--format",
            "npy",
            "--checkpoint",
            name,
        )
        assert made.status == 0, (made.err, step)
    files = {name: next((tmp_path / name).glob("*.npy")).read_bytes() for name in ("best", "last", "4")}
    assert files["best"] == files["4"] != files["last"]
    assert "is finished at step 8" in vidgan(capsys, *command, "--resume").out


@pytest.mark.slow
def test_a_run_is_measured_by_its_protocol(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    evaluated = [*EVALUATED, "--reporting.best.clips", 3]
    assert vidgan(capsys, *TRAIN, "--steps", 4, *SELDOM, *evaluated, "--out", out).status == 0
    lines = read_lines(out / "metrics.jsonl")
    assert [(line["protocol"], line["step"], line["clips"]) for line in lines] == [
        ("pixel-statistics", step, 3) for step in (2, 4)
    ]
    best = min(lines, key=lambda line: line["value"])["step"]
    evaluate = ["evaluate", out, "--protocol", "pixel-statistics", "--clips", 3, "--checkpoint", "best"]
    again = vidgan(capsys, *evaluate)
    assert again.status == 0, again.err
    *_, by_hand = read_lines(out / "metrics.jsonl")
    assert by_hand["step"] == best
    assert by_hand["value"] == pytest.approx(min(line["value"] for line in lines), abs=1e-6)


@pytest.mark.slow
def test_several_protocols_measure_and_the_first_decides(tmp_path: Path, capsys: Capture) -> None:
    """With equal numbers of clips each is what it is alone; the best checkpoint is that of the one that decides."""
    out, alone = tmp_path / "run", tmp_path / "alone"
    few = ["--reporting.best.every", 2, "--reporting.best.clips", 4]
    train = [*TRAIN, "--steps", 4, *SELDOM, *few]
    evaluate = ["--reporting.evaluate", "frechet-random", "pixel-statistics"]
    said = vidgan(capsys, *train, *evaluate, "--out", out)
    assert said.status == 0, said.err
    lines = read_lines(out / "metrics.jsonl")
    expected = [(name, step) for step in (2, 4) for name in ("frechet-random", "pixel-statistics")]
    assert [(line["protocol"], line["step"]) for line in lines] == expected
    assert [line["during"] for line in lines] == ["training"] * 4
    decides = min(lines[::2], key=lambda line: line["value"])
    best = best_of(lines)
    assert best is not None
    assert (best.protocol, best.step, best.value) == ("frechet-random", decides["step"], decides["value"])
    one = ["--reporting.best.protocol", "pixel-statistics"]
    assert vidgan(capsys, *train, *one, "--out", alone).status == 0
    values = [line["value"] for line in read_lines(alone / "metrics.jsonl")]
    assert [line["value"] for line in lines[1::2]] == values
    # Named as the one that decides, the second does.
    assert vidgan(capsys, *train, *evaluate, *one, "--out", tmp_path / "other").status == 0
    found = best_of(read_lines(tmp_path / "other" / "metrics.jsonl"))
    assert found is not None
    assert found.protocol == "pixel-statistics"
    # Figure 7: a panel per protocol.
    plot = ["plot", "curves", out, "--protocol", "frechet-random", "pixel-statistics"]
    answer = vidgan(capsys, *plot, "--out", tmp_path / "curves.svg")
    assert answer.status == 0, answer.err
    assert answer.out.count("step 4") == 2


@pytest.mark.slow
def test_what_cannot_be_is_said(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    command = [*TRAIN, "--steps", 1, *SELDOM, "--out", out]
    require_one_line(
        vidgan(capsys, *command, "--reporting.best.protocol", "pixel-statistic"), "pixel-statistics"
    )
    require_one_line(vidgan(capsys, *command, "--best-data", "synthetic"), "--reporting.best.protocol")
    require_one_line(vidgan(capsys, *command, "--reporting.best.patience", 2), "patience", "protocol")
    assert not out.exists()
    assert vidgan(capsys, *command).status == 0
    sample = ["sample", out, "--out", tmp_path / "x", "--checkpoint"]
    require_one_line(vidgan(capsys, *sample, "best"), "--reporting.best.protocol")
    require_one_line(vidgan(capsys, *sample, "worst"), "best, last", "'worst'")
    require_one_line(vidgan(capsys, *sample, "7"), "step 7")
    load_run(RunDirectory.open(out))


@pytest.mark.slow
def test_every_level_is_measured_and_against_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = catalog.experiments()["demo-cascade"]
    best = experiment.reporting.best.replace(protocol="pixel-statistics", every=1, clips=2)
    experiment = experiment.replace(reporting=experiment.reporting.replace(best=best))
    other = SyntheticDataset(SyntheticSpec(size=experiment.size, frames=12, clips=5, seed=9))
    seen: list[tuple[int, int, object, int | None]] = []

    def evaluate_by(samples: ModelSamples, against: object, by: Any, *args: Any) -> list[Number]:
        *_, log, marks = args
        (asked,) = by.values()
        seen.append((samples.step, len(samples.model.generators), against, asked.clips))
        log.append(result(samples.step, 1.0, **marks["pixel-statistics"]))
        return [Number(1.0)]

    monkeypatch.setattr(validate, "evaluate_by", evaluate_by)
    for name, against in (("other", other), ("own", None)):
        seen.clear()
        validator = Validator(against)
        trainer = Trainer(
            experiment, "synthetic", tmp_path / name, workers=0, validator=validator, progress=False
        )
        assert trainer.fit(steps=1)
        expected = trainer.dataset if against is None else other
        assert seen == [(1, 1, expected, 2), (1, 2, expected, 2)]


@pytest.mark.slow
def test_each_level_ends_by_its_own_results_and_its_best_feeds_the_next(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Level 1 is best at step 2, ends at 4 and feeds level 2 as it was at 2, in training, resuming and sampling."""
    values = iter([1.0, 2.0, 5.0, 4.0, 3.0])

    def evaluate_by(samples: ModelSamples, *args: Any) -> list[Number]:
        *_, log, marks = args
        value = next(values)
        log.append(result(samples.step, value, **marks, **samples.marks))
        return [Number(value)]

    monkeypatch.setattr(validate, "evaluate_by", evaluate_by)
    out = tmp_path / "run"
    command = [
        "train",
        "demo-cascade",
        "--tiny",
        "--data",
        "synthetic",
        "--workers",
        0,
        "--steps",
        6,
        *SELDOM,
    ]
    command += [*EVALUATED, "--reporting.best.patience", 1, "--out", out]
    said = vidgan(capsys, *command)
    assert said.status == 0, said.err
    assert "1 evaluation in a row without a better result: level 1 ends" in said.out
    assert "level 1 feeds the levels above it as it was at step 2, its best" in said.out
    run = RunDirectory.open(out)
    lines = read_lines(run.metrics.path)
    assert [(line.get("level"), line["step"]) for line in lines] == [
        (1, 2),
        (1, 4),
        (None, 2),
        (None, 4),
        (None, 6),
    ]
    assert steps_of(run.checkpoints, 1) == [2, 4]
    assert steps_of(run.checkpoints, 2)[-1] == 6
    best = load_state(checkpoint_path(run.checkpoints, 1, 2)).tensors
    low = dict(load_run(run).generators[0].named_parameters())
    assert all(torch.equal(low[name], best[f"average/{name}"]) for name in low)
    first, second = json.loads(run.manifest.read_text())
    assert (first["checkpoint"], second["checkpoint"]) == (
        "level1-step00000002.safetensors",
        "level2-step00000006.safetensors",
    )
    assert second["below"] == [parameters_hash(load_run(run).generators[0])]
    again = vidgan(capsys, *command, "--resume")
    assert again.status == 0, again.err
    assert "level 2 is finished at step 6" in again.out
    alone = load_run(run, level=1)
    assert alone.step == 4, "asked for by itself, the newest is the last"
    assert load_run(run, "best", level=1).step == 2


@pytest.mark.slow
def test_a_step_that_measures_nothing_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience counts evaluations: what one of them found is not found again at the steps behind it."""
    experiment = catalog.experiments()["demo"]
    best = experiment.reporting.best.replace(protocol="pixel-statistics", every=2, clips=2)
    experiment = experiment.replace(reporting=experiment.reporting.replace(best=best))

    def evaluate_by(samples: ModelSamples, against: object, by: object, *args: Any) -> list[Number]:
        *_, log, marks = args
        log.append(result(samples.step, 1.0, protocol="pixel-statistics", **marks["pixel-statistics"]))
        return [Number(1.0)]

    monkeypatch.setattr(validate, "evaluate_by", evaluate_by)
    validator, asked = Validator(), list[bool]()

    class Asks(Callback):
        def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
            asked.append(validator.measured is not None)

    trainer = Trainer(
        experiment,
        "synthetic",
        tmp_path / "run",
        workers=0,
        validator=validator,
        callbacks=[Asks()],
        progress=False,
    )
    trainer.fit(steps=5)
    assert asked == [False, True, False, True, False]
