"""The job scripts of docs/clusters.md, word for word, under stand-ins for Slurm's commands (tests/slurm)."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import miniatures
from commands import ENVIRONMENT
from rank_faults import children
from vidgan.run.logs import read_lines

ROOT = Path(__file__).parents[1]
ENDLESS = 10**6


def scripts() -> dict[str, str]:
    """The job scripts of the page, by their headings."""
    page = (ROOT / "docs" / "clusters.md").read_text()
    return dict(re.findall(r"^### ([^\n]+)\n(?:(?!^#)[^\n]*\n)*?```bash\n(.*?)^```", page, flags=re.M | re.S))


class Cluster:
    """A folder in which jobs run, and the job that runs."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.job = folder, folder / "job"
        self.run = folder / "runs" / "mine"
        for made in (self.job, folder / "runs", folder / "data"):
            made.mkdir()
        (folder / "data" / "mine").symlink_to(data)
        self.number = free_number()
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self, *command: str, steps: int = ENDLESS, nodes: int = 1, processes: int = 1, late: int = 0
    ) -> None:
        """Run a command of the cluster."""
        own = {"JOB": self.job, "MACHINES": nodes, "PROCESSES": processes, "STEPS": steps}
        own |= {"PRESENT": max(nodes, 2) - late}
        own |= {"PYTHON": sys.executable, "SLURM_JOB_ID": self.number, "OMP_NUM_THREADS": 1}
        own |= {"PATH": f"{ROOT / 'tests' / 'slurm'}:{os.environ['PATH']}", "TORCH_CPP_LOG_LEVEL": "ERROR"}
        environment = ENVIRONMENT | {name: str(value) for name, value in own.items()}
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def submit(self, script: str, **more: int) -> None:
        """Start the job, which is the process of its script."""
        (self.folder / "job.sh").write_text(script)
        self.start("sbatch", "job.sh", **more)

    def is_running(self) -> bool:
        assert self.process is not None
        return self.process.poll() is None

    def end(self) -> int:
        """The job's status when it has ended."""
        assert self.process is not None
        return self.process.wait(timeout=150)

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def queued(self) -> list[str]:
        """What the job has put into the queue."""
        queue = self.job / "queue"
        return queue.read_text().splitlines() if queue.exists() else []

    @property
    def steps(self) -> list[int]:
        """Those logged."""
        return [line["step"] for line in read_lines(self.run / "log.jsonl")]

    def wait_for_steps(self, number: int) -> None:
        while len(self.steps) < number:
            assert self.is_running(), self.said
            time.sleep(0.1)

    def wait_for_launch(self, number: int) -> None:
        """Until the run has been started or resumed so often."""
        while len(processes_of(self.run)) < number:
            assert self.is_running(), self.said
            time.sleep(0.1)

    def let_come(self) -> None:
        """Start the nodes that are late."""
        (self.job / "come").touch()

    def tell(self) -> None:
        """Say that the time is nearly over, as --signal=B:USR1@300 does: to the script alone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)

    def cut_off(self, node: int) -> None:
        """End all that runs on a node, at once."""
        kill_tree(int((self.job / f"task{node}").read_text()))


def free_number() -> int:
    """A number for a job, whose processes meet at a port that nothing listens at."""
    while True:
        number = random.randrange(10**6)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", 20000 + number % 10000))
            except OSError:
                continue
            return number


def kill_tree(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)  # starts nothing more
    for child in children(pid):
        kill_tree(child)
    os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moving MNIST in miniature, prepared."""
    from vidgan.cli import main

    folder = tmp_path_factory.mktemp("jobs")
    source = miniatures.moving_mnist(folder / "source")
    args = ("prepare", source, folder / "data", "--layout", "moving-mnist", "--size", 24, "--workers", 0)
    assert main([str(arg) for arg in args]) == 0
    return folder / "data"


@pytest.fixture
def cluster(tmp_path: Path, data: Path) -> Iterator[Cluster]:
    """Whatever a test leaves running there ends with it."""
    made = Cluster(tmp_path, data)
    yield made
    if made.process is not None and made.is_running():
        kill_tree(made.process.pid)
        made.process.wait()


def test_the_page_has_a_script_for_each_kind_of_job() -> None:
    assert list(scripts()) == [
        "One GPU",
        "Several GPUs of one node, without srun",
        "Several nodes, with srun",
        "Several nodes, some of which may be lost",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "nodes", "processes"),
    [
        pytest.param("One GPU", 1, 1, marks=pytest.mark.long),
        pytest.param("Several GPUs of one node, without srun", 1, 2, marks=pytest.mark.long),
        ("Several nodes, with srun", 2, 1),
    ],
)
def test_a_job_saves_before_its_time_is_over_and_queues_itself_again(
    cluster: Cluster, script: str, nodes: int, processes: int
) -> None:
    """The second one ends by itself and is not queued."""
    cluster.submit(scripts()[script], nodes=nodes, processes=processes)
    cluster.wait_for_steps(2)
    cluster.tell()
    assert cluster.end() == 0, cluster.said
    assert "stopped by SIGTERM" in cluster.said
    assert "all saved" in cluster.said
    requeued = [f"requeue {cluster.number}"]
    assert cluster.queued == requeued
    reached = len(cluster.steps)
    cluster.submit(scripts()[script], steps=reached + 2, nodes=nodes, processes=processes)
    assert cluster.end() == 0, cluster.said
    assert f"resumes at step {reached}" in cluster.said
    assert cluster.steps == list(range(1, reached + 3))
    assert cluster.queued == requeued
    assert processes_of(cluster.run) == [nodes * processes] * 2


@pytest.mark.long
def test_a_job_goes_on_with_a_node_that_comes_late_and_without_one_that_is_lost(cluster: Cluster) -> None:
    cluster.submit(scripts()["Several nodes, some of which may be lost"], nodes=3, late=1)
    cluster.wait_for_steps(2)
    cluster.let_come()
    cluster.wait_for_launch(2)
    cluster.wait_for_steps(len(cluster.steps) + 2)
    cluster.cut_off(2)
    cluster.wait_for_launch(3)
    cluster.wait_for_steps(len(cluster.steps) + 2)
    cluster.tell()
    assert cluster.end() != 0  # srun's, of the node that is lost
    assert "all saved" in cluster.said
    assert cluster.steps == list(range(1, len(cluster.steps) + 1))
    assert cluster.queued == [f"requeue {cluster.number}"]
    assert processes_of(cluster.run) == [2, 3, 2]


def processes_of(run: Path) -> list[int]:
    """On how many processes a run was trained, from launch to launch."""
    recorded = json.loads((run / "experiment.json").read_text())
    return [recorded["processes"], *(each["processes"] for each in recorded["resumed"])]


@pytest.mark.slow
def test_srun_without_torchrun_is_refused_in_one_line(cluster: Cluster) -> None:
    cluster.start("srun", "-n", "2", "vidgan", "train", "PRESET", "--data", "synthetic", "--out", "runs/mine")
    assert cluster.end() == 2
    (line,) = cluster.said.splitlines()
    assert line.startswith("vidgan: error: srun has started this command 2 times")
    assert "torchrun" in line
    assert not cluster.run.exists()
