"""Records of a run in the trackers that people use: W&B, trackio, MLflow; ``tensorboard.py`` has TensorBoard's.

A tracker is given what the run's own files hold, after they were written: the lines of ``log.jsonl`` with their alarms,
those of ``metrics.jsonl``, previews, the experiment. What has been sent is kept in ``trackers.json``, so that a resumed
run goes on in the same record and sends no step twice. A tracker that fails is told of once and left out; training
goes on.
"""

import contextlib
import importlib
import io
import json
import os
import secrets
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageSequence
from torch import Tensor

from vidgan.errors import UserError
from vidgan.files import read_json, write_json
from vidgan.forms import TEXT, WHOLE, Fields, Table, fits
from vidgan.names import tell
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import last_tick, read_results, read_ticks
from vidgan.sample.previews import preview_path
from vidgan.spec import to_json
from vidgan.train.callbacks import Callback, TrainContext
from vidgan.train.state import TrainState

PROJECT: Final = "vidgan"
"""what records are filed under, where the tracker's own variable (WANDB_PROJECT, ...) names nothing else"""
SENT: Final = Table(Fields({"record": TEXT, "ticks": Table(WHOLE), "results": WHOLE}))
"""``trackers.json``, by tracker: the name of its record, the last step sent of each level, how many results"""


class Tracker(ABC):
    """A record in another program. Whatever it raises is told of and ends the record, not the training."""

    name: str
    extra: str
    """of vidgan, which installs it"""
    module: str
    """what has to be importable"""
    keeps_levels_apart: bool = False
    """whether names of scalars are the same on all levels"""

    def require(self) -> None:
        """Raise :class:`UserError` where its package is not installed."""
        try:
            importlib.import_module(self.module)
        except ImportError as error:
            raise UserError(
                f"--tracker {self.name} needs the extra {self.extra}: pip install 'vidgan[{self.extra}]'"
            ) from error

    @abstractmethod
    def start(self, run: RunDirectory, record: str | None) -> str:
        """Open a record.

        Args:
            record: the one that an earlier process of this run has made; None: a new one.

        Returns:
            what names it.
        """

    def watch(self, state: TrainState) -> None:  # noqa: B027
        """A level is about to be trained: for what no file of the run holds."""

    def leave(self) -> None:  # noqa: B027
        """Take back what :meth:`watch` has done to the level; called after a failure, too."""

    @abstractmethod
    def scalars(self, level: int, step: int, values: Mapping[str, float]) -> None:
        """The values of a tick, those that are finite, by names that say the level where there are several."""

    @abstractmethod
    def video(self, level: int, step: int, path: Path) -> None:
        """An animation of samples from fixed latents."""

    @abstractmethod
    def alarm(self, level: int, step: int, rule: str, text: str) -> None:
        """What the collapse detector said."""

    @abstractmethod
    def result(self, line: Mapping[str, Any]) -> None:
        """A line of ``metrics.jsonl``: a number with its protocol and all its settings."""

    @abstractmethod
    def finish(self) -> None:
        """Nothing more comes from this process."""


class Tracking(Callback):
    """Mirrors a run into a tracker's record."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._open = self._failed = False
        self._ticks: dict[str, int] = {}
        self._results, self._record = 0, ""
        self._read = 0  # bytes of metrics.jsonl

    def on_level_start(self, trainer: TrainContext) -> None:
        if trainer.run is None or not trainer.replicas.is_rank_zero or self._failed:
            return
        with self._guarded():
            if not self._open:
                self._start(trainer.run)
            # What was logged and not sent before the last process ended.
            self._send(trainer.run, read_ticks(trainer.run.log.path))
            self.tracker.watch(trainer.state)

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        if self._open and trainer.run is not None:
            with self._guarded():
                line = last_tick(trainer.run.log.path)
                self._send(trainer.run, [] if line is None else [line])

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        if not self._open or trainer.run is None:
            return
        state = trainer.state
        path = preview_path(trainer.run, state.index, state.steps)
        if path.exists():
            with self._guarded():
                self.tracker.video(state.index + 1, state.steps, path)

    def on_level_end(self, trainer: TrainContext) -> None:
        if self._open and trainer.run is not None:
            with self._guarded():
                self._send(trainer.run, [])
                self.tracker.leave()
                self.tracker.finish()
            self._open = False

    def _start(self, run: RunDirectory) -> None:
        known = self._all(run).get(self.tracker.name)
        if known is not None:
            self._ticks, self._results = dict(known["ticks"]), known["results"]
        self._record = self.tracker.start(run, None if known is None else known["record"])
        self._open = True
        self._keep(run)

    def _send(self, run: RunDirectory, lines: Sequence[Mapping[str, Any]]) -> None:
        """Send those of ``lines`` of the log that have not been sent, and new results."""
        named = len(run.experiment.rounds) > 1 and not self.tracker.keeps_levels_apart
        sent = False
        for line in lines:
            level, step = line["level"], line["step"]
            if step <= self._ticks.get(str(level), 0):
                continue
            prefix = f"level{level}/" if named else ""
            finite = {f"{prefix}{name}": v for name, v in line["scalars"].items() if v is not None}
            self.tracker.scalars(level, step, finite)
            for alarm in line.get("alarms", ()):
                self.tracker.alarm(level, step, alarm["rule"], alarm["text"])
            self._ticks[str(level)], sent = step, True
        metrics = run.metrics.path
        size = metrics.stat().st_size if metrics.exists() else 0
        for line in read_results(metrics)[self._results :] if size != self._read else ():
            self.tracker.result(line)
            self._results, sent = self._results + 1, True
        self._read = size
        if sent:
            self._keep(run)

    def _all(self, run: RunDirectory) -> dict[str, Any]:
        path = run.path / "trackers.json"
        kept = read_json(path) if path.exists() else {}
        if not fits(kept, SENT):
            raise UserError(f"{path} is damaged: remove it, and records begin anew")
        return dict(kept)

    def _keep(self, run: RunDirectory) -> None:
        own = {"record": self._record, "ticks": self._ticks, "results": self._results}
        write_json(run.path / "trackers.json", self._all(run) | {self.tracker.name: own})

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever another program's package raises
            self._open, self._failed = False, True
            self.tracker.leave()
            brief = (str(error).splitlines() or [""])[0]
            tell(
                f"--tracker {self.tracker.name} failed and is left out from here on: {type(error).__name__}: {brief}; "
                "--resume sends what it missed",
                to=sys.stderr,
            )


@contextlib.contextmanager
def gif(path: Path) -> Iterator[Path]:
    """An animation as a GIF file, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder, Image.open(path) as image:
        made = Path(folder) / "samples.gif"
        made.write_bytes(as_gif(image))
        yield made


def as_gif(image: Image.Image) -> bytes:
    """An animation in GIF's 256 colours, as fast as it was."""
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    buffer = io.BytesIO()
    duration = int(image.info.get("duration", 125))
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return buffer.getvalue()


class WandbTracker(Tracker):
    """Weights & Biases; ``WANDB_MODE=offline`` keeps the record in the run directory until ``wandb sync``."""

    name = extra = module = "wandb"

    def start(self, run: RunDirectory, record: str | None) -> str:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=None if "WANDB_PROJECT" in os.environ else PROJECT,
            name=run.path.name,
            dir=str(run.path),
            config=to_json(run.experiment),
            id=record,
            resume="allow",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric(
            "*", step_metric="step"
        )  # W&B's own steps may not go back, and levels begin anew
        return str(self._run.id)

    def scalars(self, level: int, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "level": level, "step": step})

    def video(self, level: int, step: int, path: Path) -> None:
        with gif(path) as made:
            self._run.log(
                {"samples": self._wandb.Video(str(made), format="gif"), "level": level, "step": step}
            )

    def alarm(self, level: int, step: int, rule: str, text: str) -> None:
        self._run.alert(title=rule, text=f"level {level}, step {step}: {text}", level="WARN")
        self._run.log({"alarm": rule, "level": level, "step": step})

    def result(self, line: Mapping[str, Any]) -> None:
        named = f"result/{line['protocol']}"
        self._run.log(
            {named: line["value"], f"{named}/settings": json.dumps(line), "step": line.get("step") or 0}
        )

    def finish(self) -> None:
        self._run.finish()


class TrackioTracker(Tracker):
    """trackio, whose records lie in ``TRACKIO_DIR``; ``trackio show`` opens them."""

    name = extra = module = "trackio"

    def start(self, run: RunDirectory, record: str | None) -> str:
        import trackio

        self._trackio = trackio
        self._record = record or f"{run.path.name}-{_token()}"
        self._run = trackio.init(
            project=PROJECT, name=self._record, config=to_json(run.experiment), resume="allow", embed=False
        )
        return self._record

    def scalars(self, level: int, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log({**values, "level": level}, step=step)

    def video(self, level: int, step: int, path: Path) -> None:
        with gif(path) as made:
            video = self._trackio.Video(str(made), format="gif", caption=f"level {level}")
            self._trackio.log({"samples": video}, step=step)

    def alarm(self, level: int, step: int, rule: str, text: str) -> None:
        self._trackio.alert(title=rule, text=f"level {level}, step {step}: {text}")

    def result(self, line: Mapping[str, Any]) -> None:
        named = f"result/{line['protocol']}"
        self._trackio.log(
            {named: line["value"], f"{named}/settings": json.dumps(line)}, step=line.get("step")
        )

    def finish(self) -> None:
        self._trackio.finish()


LONGEST_NAME: Final = 250
LONGEST_TEXT: Final = 6000
AT_ONCE: Final = 100
"""MLflow's limits: letters of a parameter's name and of its value, and parameters of a request"""
WORDS: Final = ("name", "description", "source", "deviations")
"""of an experiment; the rest are settings"""


def flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Settings in JSON by the names of their options, ``training.adam.beta1``; a spec's kind by the name of its own."""
    if isinstance(value, dict):
        if place:
            yield place, str(value["is"])
        for name, inner in value.items():
            if name != "is":
                yield from flat(inner, f"{place}.{name}".lstrip(".").replace("_", "-"))
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for i, each in enumerate(value):
            yield from flat(each, f"{place}.{i}")
    else:
        yield place, " ".join(map(str, value)) if isinstance(value, list) else str(value)


class MlflowTracker(Tracker):
    """MLflow, at the server, folder or database that ``MLFLOW_TRACKING_URI`` names."""

    name = extra = module = "mlflow"

    def start(self, run: RunDirectory, record: str | None) -> str:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        client = self._client = MlflowClient()
        if record is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            known = client.get_experiment_by_name(name)
            experiment = client.create_experiment(name) if known is None else known.experiment_id
            record = str(client.create_run(experiment, run_name=run.path.name).info.run_id)
            client.log_dict(record, to_json(run.experiment), "experiment.json")
            client.log_param(record, "preset", run.experiment.name)
            settings = [
                Param(name[:LONGEST_NAME], text[:LONGEST_TEXT])
                for name, text in flat(to_json(run.experiment))
                if name not in WORDS
            ]
            for first in range(0, len(settings), AT_ONCE):
                client.log_batch(record, params=settings[first : first + AT_ONCE])
        else:
            client.update_run(record, status="RUNNING")
        self._record = record
        return record

    def scalars(self, level: int, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._record, _mlflow_name(name), value, step=step)

    def video(self, level: int, step: int, path: Path) -> None:
        self._client.log_artifact(self._record, str(path), f"samples/level{level}")

    def alarm(self, level: int, step: int, rule: str, text: str) -> None:
        self._client.set_tag(self._record, f"alarm.{rule}", f"level {level}, step {step}: {text}")

    def result(self, line: Mapping[str, Any]) -> None:
        step = line.get("step") or 0
        name = f"result/{line['protocol']}"
        if line["value"] is not None:
            self._client.log_metric(self._record, _mlflow_name(name), line["value"], step=step)
        self._client.log_dict(self._record, dict(line), f"results/{line['protocol']}-{step}-{_token()}.json")

    def finish(self) -> None:
        self._client.set_terminated(self._record)


def _mlflow_name(name: str) -> str:
    """A metric's name as MLflow takes it: letters, digits and ``_-. :/`` alone."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. :/") else "_" for c in name)


def _token() -> str:
    """Letters that no other record has."""
    return secrets.token_hex(4)
