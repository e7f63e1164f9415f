"""One command that srun or mpirun starts several times is refused, and what is one process is not."""

from pathlib import Path

import pytest

from commands import require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.run.tasks import require_alone

BATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_NODEID": "0"}
"""of the script that sbatch starts, in a job of eight tasks"""
STEP = BATCH | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8"}
"""of a task of srun"""
SHELL = BATCH | {
    "SLURM_STEP_ID": "4294967290",
    "SLURM_STEP_NUM_TASKS": "1",
    "SLURM_TASKS_PER_NODE": "8",
    "SLURM_PTY_PORT": "34889",
}
"""of the shell of salloc where that is a step of its own (use_interactive_step)"""


@pytest.mark.parametrize(
    "environment",
    [
        {},
        BATCH,
        SHELL,
        STEP | {"SLURM_STEP_NUM_TASKS": "1"},  # srun -n 1
        STEP | {"WORLD_SIZE": "8", "RANK": "0"},  # srun torchrun
        STEP | {"WORLD_SIZE": "1"},  # a sweep, whose tasks work apart
        {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
        {"PMI_SIZE": "1", "PMI_RANK": "0"},
        {"PMI_SIZE": ""},
    ],
)
def test_one_process_is_no_task_of_several(environment: dict[str, str]) -> None:
    require_alone(environment, at_terminal=False)


@pytest.mark.parametrize(
    ("starter", "environment", "rank"),
    [
        ("srun", STEP, "SLURM_PROCID"),
        # srun in the shell of salloc, whose variables it passes on
        ("srun", SHELL | STEP, "SLURM_PROCID"),
        ("mpirun", {"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "0"}, "OMPI_COMM_WORLD_RANK"),
        ("mpirun", {"PMI_SIZE": "8", "PMI_RANK": "0"}, "PMI_RANK"),
    ],
)
def test_the_first_of_several_tasks_says_what_to_do(
    starter: str, environment: dict[str, str], rank: str
) -> None:
    with pytest.raises(
        UserError, match=f"{starter} has started this command 8 times.*torchrun once per node"
    ):
        require_alone(environment, at_terminal=False)
    with pytest.raises(SystemExit) as ended:
        require_alone(environment | {rank: "3"}, at_terminal=False)
    assert ended.value.code == 2


def test_a_shell_on_a_terminal_is_one_process_whatever_srun_was_asked_for() -> None:
    """`srun -n 8 --pty bash`: seven shells end for want of a terminal."""
    require_alone(STEP, at_terminal=True)
    with pytest.raises(UserError):  # mpirun starts its tasks at the terminal
        require_alone({"PMI_SIZE": "8", "PMI_RANK": "0"}, at_terminal=True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_verbs_that_write_refuse_before_anything_is_written(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    rest = {
        "train": ("demo", "--tiny", "--data", "synthetic", "--out", tmp_path / "run"),
        "evaluate": (tmp_path, "--protocol", "ssim"),
    }
    require_one_line(vidgan(capsys, verb, *rest[verb]), "srun has started this command 8 times", "torchrun")
    assert not list(tmp_path.iterdir())
