"""Training an experiment: level after level, in memory or into a run directory."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from vidgan.data.dataset import LongClips, long_clips
from vidgan.data.loader import Batch, Loader
from vidgan.data.window import check_usable
from vidgan.errors import UserError
from vidgan.evaluation.protocols import protocol
from vidgan.models.cascade import FrozenLevel
from vidgan.names import tell
from vidgan.run.best import fed_steps
from vidgan.run.checkpoints import (
    begun_levels,
    cut_logs,
    require_below_stays,
    require_steps,
    write_manifest,
)
from vidgan.run.data import Data, open_data, open_held_out, remarks_on_data, training_loader
from vidgan.run.directory import Budget, DataRecord, InitFrom, RunDirectory, command_line
from vidgan.run.distributed import Replicas, choose_device, join_replicas
from vidgan.run.experiment import (
    Experiment,
    label_counts,
    longest_span,
    remarks_on_passes,
    require_experiment,
    window_of,
)
from vidgan.run.lock import RunLock
from vidgan.run.shared import open_shared
from vidgan.sample.model import Model
from vidgan.sample.standing import GivenFrames, StatisticsStore, frozen_levels
from vidgan.train.alike import require_alike
from vidgan.train.begin import begin, require_levels_below
from vidgan.train.callbacks import Callback, Previews, Requests, RunWriter, TrainContext
from vidgan.train.compiled import notice_of_compiling
from vidgan.train.initial import origin_of, take_best
from vidgan.train.levels_below import levels_below
from vidgan.train.logging import progress_display
from vidgan.train.loop import UnreadableClipsError, full_disk, stop_signals, train_level
from vidgan.train.memory import STATISTICS, out_of_memory_in, short_of_memory, state_in_memory
from vidgan.train.monitor import HeldOut, Monitor
from vidgan.train.state import TrainState
from vidgan.train.step import data_indices, real_input, training_step
from vidgan.train.validate import EarlyStopping, Validator


class Trainer(TrainContext):
    """Trains an experiment on data, as ``vidgan train`` does.

    With ``out`` it writes a run directory, and resumes the run that is there already: on a CPU, bit for bit as if it
    had never stopped. Without, everything is in memory.

    Args:
        experiment: what to train; the data decide how many classes it has.
        data: the clips: what :func:`vidgan.open_dataset` takes; built-in ones are made as large and as long as the
            experiment needs.
        out: a run directory: new, empty, or with a run of this experiment on these data.
        level: the one level of a cascade to train (from 0), upon those below it, which are finished in ``out``.
        device: where to compute; None: the GPU of this process where torch sees one.
        workers: processes that read clips; 0 reads in this one.
        held_out: clips of the same classes that are not trained on; discriminators score some of them at every tick.
        skip_short: leave out clips with fewer frames than a window has, instead of refusing the data.
        init_from: a run whose newest weights a new run starts from, as far as they fit, chosen checkpoints of one
            (:func:`vidgan.train.initial.origin_of`), or a saved model.
        callbacks: called around the steps of :meth:`fit`, after the trainer's own.
        validator: measures the run where ``experiment.reporting`` names protocols; None: one without weights.
        progress: print what is going on.
        budget: what was measured to find the number of steps; the run records it.
        replicas: the processes that share every batch; None: those that torchrun started.

    Raises:
        UserError: if data, experiment and run do not fit each other.
    """

    def __init__(
        self,
        experiment: Experiment,
        data: Data,
        out: str | Path | None = None,
        *,
        level: int | None = None,
        device: torch.device | str | None = None,
        workers: int = 1,
        held_out: Data | None = None,
        skip_short: bool = False,
        init_from: str | Path | InitFrom | None = None,
        callbacks: Sequence[Callback] = (),
        validator: Validator | None = None,
        progress: bool = True,
        budget: Budget | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        require_experiment(experiment)
        self.dataset = dataset = open_data(data, experiment)
        if skip_short:
            self.dataset = dataset = long_clips(dataset, longest_span(experiment))
        self.experiment = experiment = experiment.for_classes(len(dataset.classes))
        self.labels = label_counts(experiment, dataset)
        self.only, self.workers, self.progress = level, workers, progress
        path = None if out is None else Path(out)
        resumes = path is not None and (path / "experiment.json").exists()
        require_level(experiment, level, resumes)
        for index in experiment.rounds:
            check_usable(dataset, window_of(experiment, index))
        for name in experiment.reporting.protocols:
            protocol(name)
        self.held_out = None
        if held_out is not None:
            apart = open_held_out(held_out, experiment)
            apart = long_clips(apart, longest_span(experiment)) if skip_short else apart
            self.held_out = HeldOut(apart, dataset, experiment)
        self.device = choose_device() if device is None else torch.device(device)
        self.replicas = join_replicas() if replicas is None else replicas
        require_alike(self.replicas, experiment, dataset, self.device)
        remarks = remarks_on_passes(experiment, self.replicas.size)
        for sentence in filter(None, [*remarks, notice_of_compiling(experiment, self.device)]):
            self.say(sentence)
        if isinstance(dataset, LongClips):
            left, least = len(dataset.dataset) - len(dataset), dataset.frames
            self.say(f"left out {left} of {len(dataset.dataset)} clips: they have fewer than {least} frames")
        for told in remarks_on_data(dataset, experiment, resumes):
            self.say(told)
        self.init_from = origin_of(Path(init_from)) if isinstance(init_from, str | Path) else init_from
        self.below: Sequence[FrozenLevel] = ()
        self._fed: list[int] = []  # steps asked of each of these
        self.ending = self.finished = False
        self.minutes, self.requests = None, Requests()
        self._state: TrainState | None = None
        self._loader: Loader | None = None
        self._batches: Iterator[Batch] = iter(())
        self._log_is_cut = False
        self._on_record = False  # whether the run tells of this launch
        self.run = None
        self._release: Callable[[], object] | None = None
        try:
            with self._withdrawn_on_error():
                if path is not None:
                    self.run = self._open_run(path, resumes, budget)
                self.callbacks = [*self._own_callbacks(validator), *callbacks]
        except BaseException:
            self._unlock()
            raise
        self._store = StatisticsStore(write=None if self.run is None else self.run.statistics)

    @property
    def state(self) -> TrainState:
        return self._state or self._advance()

    @property
    def generator(self) -> nn.Module:
        """The generator in training, with its raw weights; a ``ModuleList`` where levels are trained together."""
        return self.state.level.generator

    @property
    def discriminators(self) -> nn.ModuleDict:
        """The discriminators in training, by name."""
        return self.state.level.discriminators

    def model(self) -> Model:
        """What is trained so far, up to the level in training: averaged weights, sampled with standing statistics.

        A copy: further steps do not change it. Its statistics are taken when it is first sampled, and kept in memory.
        """
        state, experiment = self.state, self.experiment
        generators = [level.generator for level in self.below] + list(state.copied_generators())
        names = self.dataset.classes if experiment.conditional else ("all",)
        about = (names, state.steps, self.labels, GivenFrames.of(self.dataset))
        return Model(experiment.up_to(len(generators)), generators, *about, processes=self.replicas.size)

    def step(self, monitor: Monitor | None = None) -> dict[str, Tensor]:
        """One step of the level in training: the discriminators' updates, the generator's, its average.

        Nothing waits for the device, except that a level which has made its steps gives way to the one above it, for
        which standing statistics are taken, and that a monitor compares scores of held-out clips. Nothing is logged or
        saved, which is what :meth:`fit` and :meth:`save` do.

        Args:
            monitor: takes the signals of docs/monitoring.md in this step.

        Returns:
            0-d tensors on the device: losses, and the means of what each discriminator gives to the hinge; of the clips
            of this process, where several share a batch.
        """
        state = self._advance()
        batches = self._read(state)
        with short_of_memory(self.experiment, state.index, self.replicas.size, state.steps + 1, self.run):
            scalars = training_step(state, (real_input(state, batch) for batch in batches), monitor)
            if monitor is not None and self.held_out is not None:
                self.held_out.discriminate(state, monitor)
        self.finished = state.steps >= self.experiment.steps_of(state.index)
        return scalars

    def fit(self, steps: int | None = None, minutes: float | None = None) -> bool:
        """Train every level of the experiment from where it stands.

        Args:
            steps: generator updates of each level in total; None: as many as the experiment says.
            minutes: end each level after this time, and count it as finished.

        Returns:
            True if all is trained; False if it was told to stop (SIGTERM, Ctrl-C or :meth:`stop`), with all saved.

        Raises:
            UserError: if a loss is not finite or memory does not suffice: nothing is saved then, so the last checkpoint
                is a good one. Or if clips cannot be read, or a callback asks for it: then all is saved before.
        """
        had = self.experiment.training.steps
        if steps is not None:
            self._ask_for(steps)
        try:
            self._require_steps()
        except UserError:
            self._ask_for(had)  # what was refused leaves nothing behind
            raise
        speaks = self.progress and self.replicas.is_rank_zero
        with self._locked(), self._withdrawn_on_error(), full_disk():
            self.minutes = minutes
            self._cut_log()
            with stop_signals(self.stop, speaks):
                while True:
                    state = self._advance()
                    if not self.finished:
                        self._record()
                        if not self._train_level():
                            return False
                    if self._is_last(state.index):
                        break
            # All is saved: a signal may end what follows.
            if self.run is not None:
                self._write_manifest(self._frozen(state, averaged=True))
                if self.run.experiment != self.experiment:
                    self._record()
            return True

    def save(self) -> None:
        """Write a checkpoint of the level in training into the run; nothing where there is none."""
        if self.run is not None:
            self._lock(self.run.path)
        index, steps, size = self.state.index, self.state.steps, self.replicas.size
        what, rest = (
            f"writing the checkpoint of step {steps}",
            "earlier ones are intact: resume with --resume",
        )
        with state_in_memory(what, index, size, rest), self.replicas.during("writing a checkpoint"):
            for each in self.callbacks:
                each.on_checkpoint(self, self.finished)

    def close(self) -> None:
        """End the processes that read clips, and let other processes train in the run; a next step starts others."""
        self._unlock()
        self._close_loader()

    def _close_loader(self) -> None:
        if self._loader is not None:
            self._loader.close()
        self._loader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def say(self, text: str) -> None:
        if self.progress and self.replicas.is_rank_zero:
            tell(text, flush=True)

    # The run

    def _open_run(self, path: Path, resumes: bool, budget: Budget | None) -> RunDirectory:
        data = DataRecord.of(self.dataset)
        self._lock(path)
        if not resumes and self.replicas.is_rank_zero:
            created = RunDirectory.create(
                path, self.experiment, data, command_line(), self.init_from, budget, self.replicas.size
            )
            self.run, self._on_record = created, True
        self.replicas.wait()
        run = RunDirectory.open(path) if self.replicas.is_rank_zero else open_shared(path)
        run.require_same(self.experiment, data, begun_levels(run))
        return run

    def _lock(self, path: Path) -> None:
        """Keep other processes from training in the run, until :meth:`close` or the end of :meth:`fit`."""
        if self._release is None and self.replicas.is_rank_zero:
            path.mkdir(parents=True, exist_ok=True)
            self._release = weakref.finalize(self, RunLock.acquire(path).release)

    def _unlock(self) -> None:
        if self._release is not None:
            self._release()
        self._release = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self.run is not None:
            self._lock(self.run.path)
        try:
            yield
        finally:
            self._unlock()

    def _own_callbacks(self, validator: Validator | None) -> list[Callback]:
        """Those that log, show, save and measure; in this order they see a step."""
        run, best = self.run, self.experiment.reporting.best
        own: list[Callback] = []
        if self.replicas.is_rank_zero and self.progress:
            own.append(progress_display())
        if self.replicas.is_rank_zero and run is not None:
            own.append(RunWriter(run))
        if run is not None:
            own.append(Previews(run))
        if self.experiment.reporting.protocols:
            validator = validator or Validator()
            validator.check(self)
            own.append(validator)
            if best.patience is not None:
                own.append(EarlyStopping(validator, best.patience))
        return own

    def _record(self) -> None:
        """Note in the run that it is resumed, and what has changed of the experiment."""
        if self.run is None:
            return
        if self.replicas.is_rank_zero and not (self._on_record and self.run.experiment == self.experiment):
            self.run.resume(self.experiment, command_line(), self.replicas.size)
        self.run.experiment, self._on_record = self.experiment, True

    def _cut_log(self) -> None:
        """Drop what an earlier process logged after its last checkpoints: those steps will be made again."""
        if self.run is not None and not self._log_is_cut:
            if self.replicas.is_rank_zero:
                cut_logs(self.run)
            self.replicas.wait()
        self._log_is_cut = True

    def _write_manifest(self, levels: Sequence[FrozenLevel]) -> None:
        if self.run is not None and self.replicas.is_rank_zero:
            write_manifest(self.run, levels, fed_steps(self.run, len(levels)))

    @contextmanager
    def _withdrawn_on_error(self) -> Iterator[None]:
        """Where nothing was trained before a :class:`UserError`, the folder is free again."""
        created = self._on_record
        try:
            yield
        except UserError:
            if self.run is not None and (created or self._on_record):
                self.run.withdraw()
            raise

    # Levels

    def _is_last(self, index: int) -> bool:
        return index in (self.experiment.rounds[-1], self.only)

    def _advance(self) -> TrainState:
        """The lowest level that has yet to be trained, or the last one; those that are passed are frozen."""
        state, count = self._state, self.replicas.size
        if state is None and self.run is not None:
            require_below_stays(self.run, self.experiment)
        while state is None or (self.finished and not self._is_last(state.index)):
            if state is not None:
                self._fed.append(self.experiment.steps_of(state.index))
                with state_in_memory(f"reading the best of level {state.index + 1}", state.index, count):
                    take_best(self.run, state, self.say)
                self.below = self._frozen(state, self.experiment.below_averaged)
                for level in self.below:
                    level.generator.requires_grad_(False)
                self._write_manifest(self.below)
            index = self.experiment.rounds[0] if state is None else state.index + 1
            self._state = state = None  # before the next one takes memory
            self._close_loader()
            below = levels_below(self.experiment, self.below, self.replicas.size)
            with state_in_memory(f"making level {index + 1}", index, count):
                state = TrainState(self.experiment, index, self.device, self.replicas, below)
            origin = self.init_from if self.run is None else self.run.init_from
            lower = [level.generator for level in self.below]
            read = state_in_memory(f"reading the weights of level {index + 1}", index, count)
            with read, self.replicas.during("reading weights"):
                self.finished = begin(state, self.run, lower, origin, self.say)
            require_levels_below(state, self.finished, self.only)
            self._state = state
        return state

    def _frozen(self, state: TrainState, averaged: bool) -> Sequence[FrozenLevel]:
        """All levels up to the one in training, with standing statistics, which the run keeps."""
        generators = [*(level.generator for level in self.below), *state.generators(averaged)]
        experiment, spec = self.experiment, self.experiment.training.standing_statistics
        self.say(f"standing statistics, if not kept yet: {spec.batches} x {spec.clips} clips")
        given, others = GivenFrames.of(self.dataset), self.replicas
        with out_of_memory_in(STATISTICS), others.during("standing statistics"):
            return frozen_levels(experiment, generators, self.labels, given, self._store, replicas=others)

    def _train_level(self) -> bool:
        """Train the level to its end; False if it was told to stop before."""
        try:
            return train_level(self)
        finally:
            self._on_record = False
            self._close_loader()

    def _ask_for(self, steps: int) -> None:
        """Let every level be trained to step ``steps``, unless it has a number of its own."""
        old, state = self.experiment, self._state
        self.experiment = new = old.replace(training=old.training.replace(steps=steps))
        if state is not None:
            state.experiment = new
            if new.steps_of(state.index) != old.steps_of(state.index):
                self.finished = state.steps >= new.steps_of(state.index)

    def _require_steps(self) -> None:
        """Refuse a number of steps that has been passed, or another one for a level that has fed another.

        Raises:
            UserError: says what to ask for.
        """
        experiment, state = self.experiment, self._state
        if self.run is not None:
            require_below_stays(self.run, experiment)
            require_steps(self.run, experiment)
        for index, steps in enumerate(self._fed):
            if steps != experiment.steps_of(index):
                raise UserError(
                    f"level {index + 1} fed the levels above it at step {steps}: it stays as it is, so ask for as many"
                )
        if state is not None and state.steps > experiment.steps_of(state.index):
            asked = experiment.steps_of(state.index)
            raise UserError(f"{state.steps} steps are made already, and {asked} are asked for: ask for more")

    # Steps

    def _read(self, state: TrainState) -> list[Batch]:
        """The batches of the next step.

        Raises:
            UnreadableClipsError: on every process, if one of them cannot read its clips.
        """
        training = self.experiment.training
        if self._loader is None:
            index, workers, device = state.index, self.workers, self.device
            self._loader = training_loader(self.dataset, self.experiment, index, workers, device)
            first = state.steps * training.discriminator_updates
            self._batches = self._loader.batches(data_indices(state.batch.global_batch, self.replicas, first))
        batches, fault = [], None
        try:
            batches = [next(self._batches) for _ in range(training.discriminator_updates)]
        except UserError as error:
            fault = error
        if (shared := self.replicas.share_fault(fault)) is not None:
            self._close_loader()
            raise UnreadableClipsError(str(shared)) from fault
        return batches


def require_level(experiment: Experiment, level: int | None, resumes: bool) -> None:
    """Check the level (from 0) that is to be trained alone.

    Raises:
        UserError: if there is no such level, or those below it cannot be there.
    """
    if level is None:
        return
    levels = len(experiment.levels)
    if not 0 <= level < levels:
        raise UserError(f"--level must be 1 to {levels}, the levels of {experiment.name}, got {level + 1}")
    if experiment.joint:
        raise UserError(f"the levels of {experiment.name} are trained together: leave out --level")
    if level > 0 and not resumes:
        raise UserError(
            f"--level {level + 1} is trained upon finished levels: train those below it in the same run first, then "
            "give --resume"
        )
