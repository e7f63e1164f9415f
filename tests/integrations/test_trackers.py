"""What trackers were given, read back by each one's own API, is what the run's log holds; none stops training."""

import importlib
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runs
from vidgan.presets import preset
from vidgan.run.logs import last_tick, read_ticks
from vidgan.run.tiny import tiny
from vidgan.train import trackers
from vidgan.train.trackers import MlflowTracker, Tracker, TrackioTracker, WandbTracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = ("wandb", "trackio", "mlflow")
Curves = dict[str, dict[int, float]]
"""values by scalar and step"""


def environment(home: Path) -> dict[str, str]:
    """Records that stay on this disk."""
    return os.environ | {
        "WANDB_MODE": "offline",
        "TRACKIO_DIR": str(home / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
        "GIT_PYTHON_REFRESH": "quiet",
        "PYTHONUNBUFFERED": "1",
    }


def train(home: Path, *options: object, code: str = "") -> "subprocess.CompletedProcess[str]":
    """Train a tiny demo in ``home / run``, with ``code`` run before."""
    start = f"{code}\nimport sys\nfrom vidgan.cli import main\nsys.exit(main(sys.argv[1:]))"
    fixed = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--out", home / "run")
    command = [sys.executable, "-c", start, *map(str, (*fixed, *options))]
    return subprocess.run(
        command, env=environment(home), capture_output=True, text=True, check=False, cwd=home
    )


def logged(home: Path) -> Curves:
    """What log.jsonl has, numbers alone."""
    found: Curves = {}
    for line in read_ticks(home / "run" / "log.jsonl"):
        for name, value in line["scalars"].items():
            if value is not None:
                found.setdefault(name, {})[line["step"]] = value
    return found


def wandb_records(content: bytes) -> Iterator[bytes]:
    """Records of a ``.wandb`` file, which W&B's own package has no Python reader for any more.

    After seven bytes of its own, it has the form of LevelDB's logs: blocks of 32 KiB, in which each part of a record
    has four bytes of checksum, two of length and one of kind (1: whole, 2: first, 3: middle, 4: last).
    """
    record, place, block = b"", 7, 2**15
    while place + 7 <= len(content):
        if block - place % block < 7:  # what is left of a block is filled up
            place += block - place % block
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def from_wandb(home: Path, record: str) -> Curves:
    """The offline files of one record, whose parts W&B's own messages read."""
    pb = importlib.import_module("wandb.proto.wandb_internal_pb2")
    found: Curves = {}
    files = sorted((home / "run" / "wandb").glob(f"offline-run-*/run-{record}.wandb"))
    assert len(files) == 2, "a process each, of one record"
    for file in files:
        for content in wandb_records(file.read_bytes()):
            entry = pb.Record()
            entry.ParseFromString(content)
            items = entry.history.item
            row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
            for name, value in row.items():
                if (
                    isinstance(value, int | float)
                    and not name.startswith("_")
                    and name not in ("step", "level")
                ):
                    found.setdefault(name, {})[int(row["step"])] = value
    return found


def from_trackio(home: Path, record: str) -> Curves:
    code = (
        "import json, sys\nfrom trackio.sqlite_storage import SQLiteStorage as S\n"
        "print('\\n' + json.dumps(S.get_logs('vidgan', sys.argv[1]), default=str))"
    )
    command = [sys.executable, "-c", code, record]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=True)
    found: Curves = {}
    for row in json.loads(done.stdout.splitlines()[-1]):
        for name, value in row.items():
            if isinstance(value, int | float) and name not in ("step", "level"):
                found.setdefault(name, {})[row["step"]] = value
    return found


def from_mlflow(home: Path, record: str) -> Curves:
    client = importlib.import_module("mlflow").MlflowClient(environment(home)["MLFLOW_TRACKING_URI"])
    assert len(client.search_runs([e.experiment_id for e in client.search_experiments()])) == 1
    found: Curves = {}
    for name in client.get_run(record).data.metrics:
        history = client.get_metric_history(record, name)
        assert len({metric.step for metric in history}) == len(history), "a step was sent twice"
        found[name] = {metric.step: metric.value for metric in history}
    return found


READERS: dict[str, Callable[[Path, str], Curves]] = {
    "wandb": from_wandb,
    "trackio": from_trackio,
    "mlflow": from_mlflow,
}


def test_records_equal_the_log_and_go_on_when_resumed(tmp_path: Path) -> None:
    for name in NAMES:
        pytest.importorskip(name, reason=f"{name} is not installed (extra of this name)")
    options = ("--tracker", *NAMES)
    first = train(tmp_path, *options, "--steps", 2)
    assert first.returncode == 0, first.stderr
    assert "left out" not in first.stderr
    second = train(tmp_path, *options, "--steps", 4, "--resume")
    assert second.returncode == 0, second.stderr
    assert "left out" not in second.stderr
    own = logged(tmp_path)
    assert set(own["loss/generator"]) == {1, 2, 3, 4}
    kept = json.loads((tmp_path / "run" / "trackers.json").read_text())
    assert {name: kept[name]["ticks"] for name in NAMES} == {name: {"1": 4} for name in NAMES}
    for name in NAMES:
        read = READERS[name](tmp_path, kept[name]["record"])
        allowed = {trackers._mlflow_name(scalar): scalar for scalar in own}
        for written, scalar in allowed.items():
            there = read[written if name == "mlflow" else scalar]
            assert there.keys() == own[scalar].keys(), (name, scalar)
            assert all(math.isclose(there[s], v, rel_tol=1e-12) for s, v in own[scalar].items()), (
                name,
                scalar,
            )
    client = importlib.import_module("mlflow").MlflowClient(environment(tmp_path)["MLFLOW_TRACKING_URI"])
    params = client.get_run(kept["mlflow"]["record"]).data.params
    experiment = tiny(preset("demo"))
    assert params["preset"] == "demo"
    assert float(params["training.adam.beta1"]) == experiment.training.adam.beta1
    assert int(params["levels.0.generator.width"]) == experiment.levels[0].generator.width
    assert not set(params) & {"name", "description", "deviations"}


BROKEN = """
from vidgan.train import trackers
def fail(*args, **kwargs):
    raise ConnectionError("the server is gone")
from vidgan.train.tensorboard import TensorBoardTracker
for kind in (trackers.WandbTracker, trackers.TrackioTracker, trackers.MlflowTracker, TensorBoardTracker):
    kind.{method} = fail
"""


@pytest.mark.parametrize("method", ["start", "scalars", "video", "finish"])
def test_training_survives_every_tracker(method: str, tmp_path: Path) -> None:
    for name in NAMES:
        pytest.importorskip(name, reason=f"{name} is not installed (extra of this name)")
    named = ("tensorboard", *NAMES)
    done = train(tmp_path, "--tracker", *named, "--steps", 2, code=BROKEN.format(method=method))
    assert done.returncode == 0, done.stderr
    for name in named:
        assert f"--tracker {name} failed and is left out from here on: ConnectionError" in done.stderr
    assert set(logged(tmp_path)["loss/generator"]) == {1, 2}


class Recorder(Tracker):
    """A tracker that keeps what it is given."""

    name = extra = "recorder"
    module = "json"

    def __init__(self) -> None:
        self.given: list[tuple[Any, ...]] = []

    def start(self, run: object, record: str | None) -> str:
        self.given.append(("start", record))
        return record or "one"

    def scalars(self, level: int, step: int, values: object) -> None:
        self.given.append(("scalars", level, step, values))

    def video(self, level: int, step: int, path: Path) -> None:
        self.given.append(("video", level, step))

    def alarm(self, level: int, step: int, rule: str, text: str) -> None:
        self.given.append(("alarm", level, step, rule, text))

    def result(self, line: Any) -> None:
        self.given.append(("result", line["protocol"], line["value"]))

    def finish(self) -> None:
        self.given.append(("finish",))


def test_everything_is_sent_once(tmp_path: Path) -> None:
    """Alarms, results and ticks of the run's files; what was not sent by one process is sent by the next."""
    run = runs.make_run(tmp_path / "run", tiny(preset("ssw-gan-k600-48x128")))
    alarm = {"rule": "dark", "onset": 1, "text": "it is dark", "keeps": [1]}
    result = {"protocol": "frechet-random", "value": 2.5, "settings": {}, "step": 2}
    runs.write_log(run, [runs.tick(1, {"a": 1.0, "b": None}), runs.tick(2, {"a": 2.0}) | {"alarms": [alarm]}])
    run.metrics.append(result)
    tracker = Recorder()
    tracking = trackers.Tracking(tracker)
    tracking._start(run)
    tracking._send(run, read_ticks(run.log.path))
    tracking._send(run, read_ticks(run.log.path))
    assert tracker.given == [
        ("start", None),
        ("scalars", 1, 1, {"level1/a": 1.0}),
        ("scalars", 1, 2, {"level1/a": 2.0}),
        ("alarm", 1, 2, "dark", "it is dark"),
        ("result", "frechet-random", 2.5),
    ]
    run.log.append(runs.tick(1, {"a": 3.0}, level=2))
    run.metrics.append(result | {"value": 1.5})
    later = Recorder()
    tracking = trackers.Tracking(later)
    tracking._start(run)
    assert last_tick(run.log.path) == runs.tick(1, {"a": 3.0}, level=2)
    tracking._send(run, read_ticks(run.log.path)[-1:])
    assert later.given == [
        ("start", "one"),
        ("scalars", 2, 1, {"level2/a": 3.0}),
        ("result", "frechet-random", 1.5),
    ]


@pytest.mark.parametrize("kind", [WandbTracker, TrackioTracker, MlflowTracker])
def test_a_missing_package_is_one_line(kind: type[Tracker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, kind.module, None)
    with pytest.raises(trackers.UserError, match=f"needs the extra {kind.extra}"):
        kind().require()
