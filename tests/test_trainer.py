"""``vidgan.Trainer``: it trains as the command line does, in memory too, and what callbacks may ask of it."""

import gc
import json
import multiprocessing
import multiprocessing.process
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import catalog
import vidgan
from commands import TINY, snapshot, torchrun
from commands import vidgan as command
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.run import data as data_file
from vidgan.run.checkpoints import checkpoint_path, load, steps_of
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_lines
from vidgan.seeds import derive
from vidgan.spec import to_json
from vidgan.train import callbacks
from vidgan.train.callbacks import Callback, TrainContext
from vidgan.train.step import training_step
from vidgan.train.trainer import Trainer

Capture = pytest.CaptureFixture[str]


def trainer_of(name: str, out: Path | None = None, **more: object) -> Trainer:
    experiment = catalog.experiments()[name]
    return Trainer(
        experiment,
        "synthetic",
        out,
        device="cpu",
        workers=0,
        progress=False,
        **more,  # type: ignore[arg-type]
    )


def final(run: Path, levels: int = 1) -> dict[str, Tensor]:
    """All state in the newest checkpoint of every level."""
    folder, found = run / "checkpoints", {}
    for level in range(1, levels + 1):
        tensors = load(checkpoint_path(folder, level, steps_of(folder, level)[-1])).tensors
        found |= {f"{level}/{name}": tensor for name, tensor in tensors.items()}
    return found


def require_equal(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> None:
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_it_is_a_name_of_the_package() -> None:
    assert vidgan.Trainer is Trainer
    assert vidgan.Callback is Callback


def test_a_step_is_the_papers_updates_on_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the device: no scalar is read, and nothing is written."""
    trainer = trainer_of("demo")
    trainer.step()  # starts reading, for which torch draws a seed
    state = trainer.state
    before = {name: p.detach().clone() for name, p in state.level.named_parameters()}
    monkeypatch.setattr(Tensor, "item", lambda self: pytest.fail("waited for the device"))
    monkeypatch.setattr(Tensor, "tolist", lambda self: pytest.fail("waited for the device"))
    scalars = trainer.step()
    monkeypatch.undo()
    assert state.steps == 2
    assert {"loss/discriminators", "loss/generator", "discriminator/frames/fake"} <= scalars.keys()
    assert all(scalar.dim() == 0 and not scalar.requires_grad for scalar in scalars.values())
    moved = [name for name, p in state.level.named_parameters() if not torch.equal(p, before[name])]
    assert len(moved) > len(before) / 2
    assert trainer.generator is state.level.generator
    assert list(trainer.discriminators) == ["frames", "clip"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "levels"), [("demo", 1), ("demo-cascade", 2)])
def test_steps_in_memory_a_run_from_python_and_the_command_give_equal_weights(
    name: str, levels: int, tmp_path: Path, capsys: Capture
) -> None:
    steps = 3
    answer = command(capsys, "train", name, *TINY, "--steps", steps, "--out", tmp_path / "command")
    assert answer.status == 0, answer.err
    assert trainer_of(name, tmp_path / "python").fit(steps=steps)
    expected = final(tmp_path / "command", levels)
    require_equal(final(tmp_path / "python", levels), expected)
    logs = [read_lines(tmp_path / run / "log.jsonl") for run in ("command", "python")]
    assert [[line["scalars"] for line in log] for log in logs] == [[line["scalars"] for line in logs[0]]] * 2
    manifests = [json.loads((tmp_path / run / "manifest.json").read_text()) for run in ("command", "python")]
    assert manifests[0] == manifests[1]
    memory = trainer_of(name)
    assert memory.run is None
    assert memory.fit(steps=steps)
    trained = {f"{levels}/level/{key}": tensor for key, tensor in memory.state.level.state_dict().items()}
    require_equal(trained, {key: expected[key] for key in trained})
    stepped = trainer_of(name)
    stepped.experiment = catalog.experiments()[name].replace(
        classes=8, training=catalog.experiments()[name].training.replace(steps=steps)
    )
    for _ in range(levels * steps):
        stepped.step()
    require_equal(stepped.state.level.state_dict(), memory.state.level.state_dict())


@pytest.mark.slow
def test_what_one_starts_the_other_resumes(tmp_path: Path, capsys: Capture) -> None:
    whole, one, two = (tmp_path / name for name in ("whole", "one", "two"))
    train = ("train", "demo", *TINY, "--reporting.samples", 100)
    assert command(capsys, *train, "--steps", 4, "--out", whole).status == 0
    assert command(capsys, *train, "--steps", 2, "--out", one).status == 0
    assert trainer_of("demo", one).fit(steps=4)
    seldom = catalog.experiments()["demo"]
    seldom = seldom.replace(reporting=seldom.reporting.replace(samples=100))
    first = Trainer(seldom, "synthetic", two, workers=0, progress=False)
    assert first.fit(steps=2)
    assert command(capsys, *train, "--steps", 4, "--out", two, "--resume").status == 0
    for run in (one, two):
        require_equal(final(run), final(whole))
        assert [line["step"] for line in read_lines(run / "log.jsonl")] == [1, 2, 3, 4]
        (entry,) = json.loads((run / "experiment.json").read_text())["resumed"]
        assert "training.steps: 2 -> 4" in entry["changes"]
        assert entry["processes"] == 1


@pytest.mark.slow
def test_fit_goes_to_a_step_in_total_and_steps_between_are_kept(tmp_path: Path) -> None:
    trainer = trainer_of("demo", tmp_path / "run")
    trainer.step()
    assert steps_of(tmp_path / "run" / "checkpoints", 1) == []
    trainer.save()
    assert steps_of(tmp_path / "run" / "checkpoints", 1) == [1]
    assert trainer.fit(steps=3)
    before = snapshot(tmp_path / "run")
    assert trainer.fit(steps=3)
    assert trainer_of("demo", tmp_path / "run").fit(steps=3)
    assert snapshot(tmp_path / "run") == before
    with pytest.raises(UserError, match="3 steps already, and 2 are asked for"):
        trainer.fit(steps=2)
    assert trainer.fit()  # to 3 still
    assert snapshot(tmp_path / "run") == before
    whole = trainer_of("demo")
    for _ in range(5):
        whole.step()
    trainer.fit(steps=5)
    require_equal(trainer.state.level.state_dict(), whole.state.level.state_dict())


@pytest.mark.slow
def test_a_level_that_fed_another_keeps_its_steps() -> None:
    trainer = trainer_of("demo-cascade")
    trainer.step()
    low = trainer.experiment.levels[0]
    assert trainer.model().experiment.levels == (low,), "a model has the levels that there are"
    assert trainer.model().sample(1).shape == (1, low.frames, 3, low.size, low.size)
    assert trainer.fit(steps=1)
    assert len(trainer.below) == 1
    with pytest.raises(UserError, match="level 1 fed the levels above it at step 1"):
        trainer.fit(steps=2)


class Unbalanced:
    """Six clips of one class, two of the other."""

    classes = ("many", "few")
    targets = (0, 0, 0, 1, 0, 0, 1, 0)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        return np.full((8, 24, 24, 3), 20 * index, np.uint8), self.targets[index]


def test_weights_are_those_of_the_seed_and_classes_as_often_as_in_the_data(tmp_path: Path) -> None:
    experiment = catalog.experiments()["demo"]
    experiment = experiment.replace(training=experiment.training.replace(seed=5))
    trainer = Trainer(experiment, Unbalanced(), tmp_path / "run", device="cpu", workers=0, progress=False)
    generator, discriminators = vidgan.build(experiment, classes=2, seed=5)
    require_equal(trainer.generator.state_dict(), generator.state_dict())
    require_equal(trainer.discriminators.state_dict(), discriminators.state_dict())
    trainer.save()
    assert trainer.model().label_counts == (3, 1)
    assert vidgan.load(tmp_path / "run", device="cpu").label_counts == (3, 1)


def test_a_model_has_the_averaged_weights() -> None:
    trainer = trainer_of("demo")
    average = trainer.state.average
    assert average is not None
    with torch.no_grad():
        for parameter in average.module.parameters():
            parameter.add_(1)
    (generator,) = trainer.model().generators
    require_equal(dict(generator.named_parameters()), dict(average.module.named_parameters()))


@pytest.mark.slow
def test_each_level_reads_clips_of_its_own_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    class Recorded(data_file.Loader):
        def __init__(self, dataset: object, window: WindowSpec, seed: int, *more: object) -> None:
            super().__init__(dataset, window, seed, *more)  # type: ignore[arg-type]
            seen.append((seed, window.frames * window.stride))

    monkeypatch.setattr(data_file, "Loader", Recorded)
    trainer = trainer_of("demo-cascade")
    assert trainer.fit(steps=1)
    low, high = trainer.experiment.levels
    seed = trainer.experiment.training.seed
    assert seen == [
        (derive(seed, "data", index), level.trained_frames * level.stride)
        for index, level in enumerate((low, high))
    ]
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]


@pytest.mark.slow
def test_a_model_is_a_copy_and_leaves_training_as_it_is() -> None:
    watched, plain = trainer_of("demo"), trainer_of("demo")
    for trainer in (watched, plain):
        trainer.step()
    model = watched.model()
    video = model.sample(2, classes=["disc-left"], seed=1)
    assert video.shape == (2, 4, 3, 24, 24)
    for trainer in (watched, plain):
        trainer.step()
    require_equal(watched.state.tensors(), plain.state.tensors())
    assert torch.equal(model.sample(2, classes=["disc-left"], seed=1), video)
    assert not torch.equal(watched.model().sample(2, classes=["disc-left"], seed=1), video)
    assert (model.step, watched.model().step) == (1, 2)


@pytest.mark.slow
def test_a_trainer_that_is_closed_or_dropped_leaves_no_processes() -> None:
    """Dropped, it is freed at once: nothing that it holds refers back to it and waits for the garbage collector."""
    others = set(multiprocessing.active_children())

    def stepped() -> tuple[Trainer, multiprocessing.process.BaseProcess]:
        trainer = Trainer(catalog.experiments()["demo"], "synthetic", device="cpu", workers=1, progress=False)
        trainer.step()
        (worker,) = set(multiprocessing.active_children()) - others
        return trainer, worker

    trainer, worker = stepped()
    with trainer:
        assert worker.is_alive()
    assert not worker.is_alive()
    gc.disable()
    try:
        trainer, worker = stepped()
        del trainer
        assert not worker.is_alive()
    finally:
        gc.enable()


SCRIPT = """
import sys

import torch

import vidgan

if __name__ == "__main__":
    experiment = vidgan.preset(sys.argv[1])
    with vidgan.Trainer(experiment, "synthetic", sys.argv[2], device="cpu") as trainer:
        trained = trainer.fit(steps=2)
        losses = {name: float(value) for name, value in trainer.step().items()}
        video = trainer.model().sample(1)
        found = (trained, losses, video, trainer.state.level.state_dict())
        torch.save(found, f"{sys.argv[2]}-{trainer.replicas.rank}.pt")
"""


@pytest.mark.slow
def test_a_script_under_torchrun_shares_every_batch(tmp_path: Path) -> None:
    """Two processes train as one does, up to rounding, and one of them writes."""
    experiment = catalog.experiments()["demo"]
    batch = experiment.training.batch.replace(global_batch=4, micro_batch=4, sync_batch_norm=True)
    experiment = experiment.replace(training=experiment.training.replace(batch=batch))
    script, record = tmp_path / "train.py", tmp_path / "experiment.json"
    script.write_text(SCRIPT)
    record.write_text(json.dumps(to_json(experiment)))
    done = torchrun(script, record, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    found = [torch.load(tmp_path / f"two-{rank}.pt", weights_only=True) for rank in (0, 1)]
    (trained, losses, video, weights), (also_trained, of_others, same, others) = found
    assert trained
    assert also_trained
    require_equal(weights, others)
    assert torch.equal(video, same)
    one = Trainer(experiment, "synthetic", tmp_path / "one", device="cpu", workers=0, progress=False)
    assert one.fit(steps=2)
    for name, value in one.step().items():
        assert (losses[name] + of_others[name]) / 2 == pytest.approx(float(value), rel=1e-4, abs=1e-5)
    logs = [read_lines(tmp_path / run / "log.jsonl") for run in ("one", "two")]
    assert [line["step"] for line in logs[1]] == [1, 2]
    for alone, shared in zip(*logs, strict=True):
        assert shared["clips"] == alone["clips"]
        for name in ("loss/discriminators", "loss/generator"):
            assert shared["scalars"][name] == pytest.approx(alone["scalars"][name], rel=1e-4, abs=1e-5)
    record = json.loads((tmp_path / "two" / "experiment.json").read_text())
    assert record["processes"] == 2


class Recorder(Callback):
    """Remembers what it was told, and asks for something at a step."""

    def __init__(self, at: int = 0, ask: str = "") -> None:
        self.at, self.ask, self.heard = at, ask, list[tuple[object, ...]]()

    def on_level_start(self, trainer: TrainContext) -> None:
        self.heard.append(("start", trainer.state.index, trainer.state.steps))

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        assert scalars["loss/generator"] == pytest.approx(scalars["loss/generator"])
        self.heard.append(("tick", trainer.state.steps))

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        self.heard.append(("step", trainer.state.steps, trainer.ending))
        if trainer.state.steps == self.at:
            {"finish": trainer.finish, "keep": trainer.keep, "stop": lambda: trainer.stop("a test")}[
                self.ask
            ]()

    def on_checkpoint(self, trainer: TrainContext, finished: bool) -> None:
        self.heard.append(("checkpoint", trainer.state.steps, finished))

    def on_level_end(self, trainer: TrainContext) -> None:
        self.heard.append(("end", trainer.state.index))


def seldom(name: str) -> Experiment:
    """A tick every second step, a checkpoint at the end."""
    experiment = catalog.experiments()[name]
    return experiment.replace(reporting=experiment.reporting.replace(tick=2, checkpoint=100))


def heard(recorder: Recorder, steps: int, name: str = "demo") -> tuple[bool, list[tuple[object, ...]]]:
    experiment = seldom(name)
    trainer = Trainer(experiment, "synthetic", device="cpu", workers=0, callbacks=[recorder], progress=False)
    return trainer.fit(steps=steps), recorder.heard


@pytest.mark.slow
def test_callbacks_hear_of_everything_in_order() -> None:
    assert heard(Recorder(), 3) == (
        True,
        [
            ("start", 0, 0),
            ("step", 1, False),
            ("tick", 2),
            ("step", 2, False),
            ("tick", 3),
            ("checkpoint", 3, True),
            ("step", 3, True),
            ("end", 0),
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ask", "trained", "last"),
    [
        ("finish", True, [("checkpoint", 1, True), ("end", 0)]),
        ("keep", True, [("step", 3, True), ("end", 0)]),
        # What is asked for after the step is done ends the next one, as a signal would: it is saved before the rest.
        ("stop", False, [("checkpoint", 2, False), ("step", 2, True), ("end", 0)]),
    ],
)
def test_callbacks_end_training(ask: str, trained: bool, last: list[tuple[object, ...]]) -> None:
    answer, told = heard(Recorder(1, ask), 3)
    assert (answer, told[-len(last) :]) == (trained, last)
    assert (("checkpoint", 1, False) in told) == (ask == "keep")


@pytest.mark.slow
def test_a_checkpoint_is_written_before_what_looks_at_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may end a process that takes too much memory, without a word."""
    seen = []

    class Looks(Callback):
        def looks(self, trainer: TrainContext) -> bool:
            return trainer.state.steps == 3

        def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
            seen.append(steps_of(tmp_path / "run" / "checkpoints", 1))

    def previews(run: RunDirectory, index: int, generators: object, step: int, *rest: object) -> None:
        assert step in steps_of(run.checkpoints, 1)

    monkeypatch.setattr(callbacks, "write_previews", previews)
    whole = seldom("demo")
    experiment = whole.replace(reporting=whole.reporting.replace(samples=2))
    with Trainer(
        experiment,
        "synthetic",
        tmp_path / "run",
        device="cpu",
        workers=0,
        callbacks=[Looks()],
        progress=False,
    ) as trainer:
        trainer.fit(steps=5)
    assert seen == [[], [2], [2, 3], [2, 3, 4], [3, 4, 5]]


@pytest.mark.slow
def test_an_error_of_a_callback_at_a_tick_saves_all_before(tmp_path: Path) -> None:
    class Refuses(Callback):
        def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
            if trainer.state.steps == 2:
                raise UserError("enough of it")

    experiment = seldom("demo")
    trainer = Trainer(experiment, "synthetic", tmp_path / "run", workers=0, callbacks=[Refuses()])
    with pytest.raises(UserError, match="enough of it"):
        trainer.fit(steps=4)
    assert steps_of(tmp_path / "run" / "checkpoints", 1) == [2]


def test_only_trainer_makes_steps() -> None:
    """There is one training step: whoever trains calls it."""
    source = Path(vidgan.__file__).parent
    calls = [p.name for p in source.rglob("*.py") if f"{training_step.__name__}(" in p.read_text()]
    assert sorted(calls) == ["plan.py", "step.py", "trainer.py"]


@pytest.mark.parametrize(
    ("level", "said"), [(1, "those below it"), (2, "--level must be 1 to 2"), (-1, "--level must be 1 to 2")]
)
def test_impossible_levels(level: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        trainer_of("demo-cascade", tmp_path / "run", level=level)
    assert not (tmp_path / "run").exists()


def test_a_presets_name_is_no_experiment() -> None:
    for take in (lambda: Trainer("demo", "synthetic"), lambda: vidgan.build("demo")):  # type: ignore[arg-type]
        with pytest.raises(UserError, match=r"vidgan\.preset\('demo'\), not a str"):
            take()


def test_evaluations_need_a_run() -> None:
    experiment = catalog.experiments()["demo"]
    best = experiment.reporting.best.replace(protocol="pixel-statistics")
    experiment = experiment.replace(reporting=experiment.reporting.replace(best=best))
    with pytest.raises(UserError, match="give out"):
        Trainer(experiment, "synthetic", device="cpu")
