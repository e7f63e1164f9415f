"""The run directory: where an experiment, its logs, checkpoints and samples stand."""

import datetime
import functools
import hashlib
import platform
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Final, NamedTuple, Self

import av
import numpy
import torch

import vidgan
from vidgan.data.dataset import Dataset, LongClips
from vidgan.errors import UserError, some
from vidgan.files import read_json, write_json
from vidgan.forms import COUNT, NUMBER, TEXT, WHOLE, Fields, Table, fits
from vidgan.names import tell
from vidgan.run.experiment import Experiment
from vidgan.run.lock import NAME as LOCK
from vidgan.run.logs import Log
from vidgan.spec import Spec, SpecError, classes_in, differences, file_of, from_json, to_json
from vidgan.user_code import code_hash

FORMAT: Final = "vidgan-run-2"
"""of ``experiment.json``"""
RECORD: Final = Fields(
    {
        "experiment": (dict,),
        "data": Fields(
            {"source": TEXT, "class_names": [TEXT], "clips": WHOLE, "fingerprint": TEXT},
            {"least_frames": (int, NoneType)},
        ),
        "processes": COUNT,
        "resumed": [Fields({"when": TEXT, "command": [TEXT], "processes": COUNT, "changes": [TEXT]})],
    },
    {
        "command": [TEXT],
        "created": TEXT,
        "code": Table(TEXT),
        "init_from": Fields({"run": TEXT, "checkpoints": [TEXT]}, null=True),
        "budget": Fields({"hours": NUMBER, "step_seconds": NUMBER, "measured": COUNT}, null=True),
        "seed": WHOLE,
        "threads": WHOLE,
        **dict.fromkeys(("vidgan", "torch", "numpy", "python", "commit", "device"), (str, NoneType)),
    },
)
"""what ``experiment.json`` holds besides its format"""
MOST = 8
"""changed fields that are named where a run is not resumed"""
MAY_CHANGE = (
    "training.steps:",
    "training.standing_statistics.",
    "training.compile:",
    "training.folded:",
    "training.batch.micro_batch:",
    "reporting.",
    "description:",
    "source:",
    "deviations",
)
"""What of an experiment may differ when a run is resumed."""


class DataRecord(NamedTuple):
    """What a run knows of its data."""

    source: str
    """path of the prepared dataset, ``synthetic``, ``file.py:name`` or a class"""
    class_names: tuple[str, ...]
    clips: int
    fingerprint: str
    """hash of its contents"""
    least_frames: int | None = None
    """where clips of fewer frames were left out"""

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """The record of an open dataset."""
        least = dataset.frames if isinstance(dataset, LongClips) else None
        return cls(dataset.source, dataset.classes, len(dataset), dataset.fingerprint, least)


class InitFrom(NamedTuple):
    """Where a run takes its first weights from."""

    run: str
    """path of another run"""
    checkpoints: tuple[str, ...]
    """its file for each level, as many as it has"""


class Budget(NamedTuple):
    """A time to train for, and what was measured to turn it into a number of steps."""

    hours: float
    """of training"""
    step_seconds: float
    """mean duration of a step, reading data left out"""
    measured: int
    """steps whose mean it is"""

    @property
    def steps(self) -> int:
        """Steps that fit; at least one."""
        return max(1, int(3600 * self.hours / self.step_seconds))


class RunDirectory:
    """Paths and records of one run. Use :meth:`create` or :meth:`open`."""

    def __init__(
        self,
        path: Path,
        experiment: Experiment,
        data: DataRecord,
        init_from: InitFrom | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.path = path
        self.experiment = experiment
        self.data = data
        self.init_from = init_from
        self.budget = budget
        self.log = Log(path / "log.jsonl")
        self.metrics = Log(path / "metrics.jsonl")
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.statistics = path / "statistics"
        self.manifest = path / "manifest.json"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes that the model can be asked for; a class-free one has the single class ``all``."""
        return self.data.class_names if self.experiment.conditional else ("all",)

    @classmethod
    def create(
        cls,
        path: Path,
        experiment: Experiment,
        data: DataRecord,
        command: Sequence[str],
        init_from: InitFrom | None = None,
        budget: Budget | None = None,
        processes: int = 1,
    ) -> Self:
        """Start a run in a folder that is new or empty, or where starting one was interrupted.

        Args:
            processes: how many share its batches.

        Raises:
            UserError: if it holds anything else.
        """
        cls.require_free(path)
        run = cls(path, experiment, data, init_from, budget)
        for folder in (run.checkpoints, run.samples / "fixed", run.statistics):
            folder.mkdir(parents=True, exist_ok=True)
        record = _record(experiment, data, command, processes)
        more = {"init_from": init_from, "budget": budget}
        given = {name: facts._asdict() for name, facts in more.items() if facts is not None}
        write_json(path / "experiment.json", record | given)
        return run

    def withdraw(self) -> None:
        """Make the folder free again, where nothing has been trained and the record is all that is in it."""
        record = self.path / "experiment.json"
        known = (record, self.path / LOCK)
        if all(file.is_dir() or file in known for file in self.path.rglob("*")):
            record.unlink(missing_ok=True)

    @staticmethod
    def require_free(path: Path) -> None:
        """Raise :class:`UserError` unless a run can be started in ``path``."""
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; choose another --out")
        if path.exists() and not _is_free(path):
            raise UserError(
                f"{path} exists and is not empty; choose another --out, or resume it with --resume"
            )

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run.

        Raises:
            UserError: if there is none, another version of vidgan made it, or its experiment cannot be read.
        """
        record = path / "experiment.json"
        if not record.is_file():
            raise UserError(f"{path} is not a run directory: it holds no experiment.json")
        content = read_json(record)
        version = content.get("format", "none") if isinstance(content, dict) else "none"
        if version != FORMAT:
            by = content.get("vidgan", "unknown") if isinstance(content, dict) else "unknown"
            raise UserError(
                f"{record} is of another version of vidgan ({by}; format {version}, not {FORMAT}): train anew, or use "
                "that version"
            )
        if not fits(content, RECORD):
            raise UserError(f"{record} is damaged: it lacks what a run's record has, or holds other values")
        try:
            experiment = from_json(Experiment, content["experiment"])
        except SpecError as error:
            raise UserError(f"{record} cannot be read: {error}") from error
        data = content["data"]
        names, least = tuple(data["class_names"]), data.get("least_frames")
        known = DataRecord(data["source"], names, data["clips"], data["fingerprint"], least)
        if not known.class_names or (experiment.conditional and len(known.class_names) != experiment.classes):
            raise UserError(f"{record} is damaged: its data have other classes than its experiment")
        origin, limit = content.get("init_from"), content.get("budget")
        init_from = None if origin is None else InitFrom(origin["run"], tuple(origin["checkpoints"]))
        budget = None if limit is None else Budget(limit["hours"], limit["step_seconds"], limit["measured"])
        warn_of_changed_code(path, content.get("code", {}), experiment)
        return cls(path, experiment, known, init_from, budget)

    def require_same(self, experiment: Experiment, data: DataRecord, begun: Collection[int]) -> None:
        """Refuse to resume with an experiment that computes something else, or with other data.

        How long it trains, how often it reports, how it takes standing statistics and in how many passes it works on a
        batch may differ, as it may go on on other machines or fewer; and of a level that is not begun, the clips of a
        batch, and how often it uses a lower video.

        Args:
            begun: levels that have a checkpoint.

        Raises:
            UserError: names the fields that changed.
        """
        levels = range(len(experiment.levels))
        own = [f"levels.{index}.{name}:" for index in levels for name in ("steps", "micro_batch")]
        for index in range(len(self.experiment.levels)):
            if self.experiment.round_of(index) not in begun:
                own += [f"levels.{index}.{name}:" for name in ("global_batch", "lower_video_uses")]
        changed = [
            line
            for line in differences(to_json(self.experiment), to_json(experiment))
            if not line.startswith((*MAY_CHANGE, *own))
        ]
        if changed:
            raise UserError(
                f"cannot resume {self.path}: the experiment has changed: {some(changed, MOST, '; ')}. Give the values "
                f"that it has, or start a new run from its weights with --init-from {self.path}"
            )
        if data.fingerprint != self.data.fingerprint:
            raise UserError(
                f"cannot resume {self.path}: the data have changed since it started ({self.data.source}). Put those "
                f"back, or start a new run from its weights with --init-from {self.path}"
            )

    def resume(self, experiment: Experiment, command: Sequence[str], processes: int = 1) -> None:
        """Let ``experiment`` hold from now on; the record keeps when the run was resumed, what changed and on how many
        processes."""
        path = self.path / "experiment.json"
        record = read_json(path)
        changes = list(differences(record["experiment"], to_json(experiment)))
        entry = {"when": now(), "command": list(command), "processes": processes, "changes": changes}
        resumed = [*record["resumed"], entry]
        write_json(path, record | {"experiment": to_json(experiment), "resumed": resumed})
        self.experiment = experiment


def _is_free(path: Path) -> bool:
    # Empty folders and half of experiment.json are what is left of a run that was killed at its start.
    if not path.is_dir():
        return False
    known = {"checkpoints", "samples", "statistics"}
    strange = any(entry.is_dir() and entry.name not in known for entry in path.iterdir())
    files = [file for file in path.rglob("*") if not file.is_dir()]
    # So is the lock of one that is about to start: who takes it sees whether that one lives.
    return not strange and all(
        file.name.startswith(".experiment.json.") or file == path / LOCK for file in files
    )


def _record(
    experiment: Experiment, data: DataRecord, command: Sequence[str], processes: int
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "experiment": to_json(experiment),
        "data": data._asdict(),
        "seed": experiment.training.seed,
        "code": code_of(experiment),
        **versions(),
        "command": list(command),
        "processes": processes,
        "created": now(),
        "resumed": [],
    }


def code_of(spec: Spec) -> dict[str, str]:
    """The user's own files whose classes an experiment has: their names and the hashes of their bytes."""
    files = (file_of(cls) for cls in classes_in(spec))
    return {file.name: code_hash(file) for file in files if file is not None}


def package_hash() -> str:
    """Hash of vidgan's own source files."""
    found = hashlib.sha256()
    root = Path(vidgan.__file__).parent
    for file in sorted(root.rglob("*.py")):
        found.update(f"{file.relative_to(root)} {code_hash(file)}\n".encode())
    return found.hexdigest()[:16]


@functools.cache  # a command opens a run several times, and says so once
def _warn(text: str) -> None:
    tell(text, to=sys.stderr)


def warn_of_changed_code(path: Path, recorded: Mapping[str, str], experiment: Experiment) -> None:
    """Say in a line on standard error which of the user's files are not those that ``path`` was made with."""
    now = code_of(experiment)
    if changed := [name for name, value in now.items() if recorded.get(name) != value]:
        _warn(f"{path} was made with another version of {', '.join(changed)}")


def versions() -> dict[str, Any]:
    """The programs and the machine that a record was made with."""
    return {
        "vidgan": vidgan.__version__,
        "commit": _commit(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "av": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
    }


def now() -> str:
    """The time, to a second, as ISO 8601 has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def command_line() -> list[str]:
    """The command this process was started with, without the folder of the program."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
