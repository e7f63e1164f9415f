"""Tasks that srun or mpirun starts side by side, each of which would believe to be alone and write the same files."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from vidgan.errors import UserError
from vidgan.run.watch import STATUS


class Starter(NamedTuple):
    """A program that starts several tasks, and the variables by which it numbers them."""

    name: str
    tasks: str
    rank: str


# Of Slurm the tasks of a step, not SLURM_NTASKS: that is of the whole job, and the script of sbatch and the shell of
# salloc have it, too, although they are one process.
STARTERS: Final = (
    Starter("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    Starter("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    Starter("mpirun", "PMI_SIZE", "PMI_RANK"),
)


def require_alone(environment: Mapping[str, str], at_terminal: bool) -> None:
    """Refuse to work as one of several tasks that nobody has told of each other, as torchrun does by ``WORLD_SIZE``.

    Args:
        environment: of this process.
        at_terminal: whether standard input is a terminal: then a person typed the command in the shell that ``srun -n 8
            --pty bash`` gave them, whose other tasks have ended.

    Raises:
        UserError: in the first of such tasks.
        SystemExit: in the others, which leave the word to it.
    """
    if "WORLD_SIZE" in environment:
        return
    for starter in STARTERS:
        count = environment.get(starter.tasks, "")
        if not count.isdecimal() or int(count) < 2 or (starter.name == "srun" and at_terminal):
            continue
        if environment.get(starter.rank, "0") != "0":
            raise SystemExit(STATUS)
        raise UserError(
            f"{starter.name} has started this command {count} times, and all would write the same files: start "
            "torchrun once per node, as by srun --ntasks-per-node 1 torchrun ... -m vidgan VERB ... "
            "(docs/clusters.md); where each is meant to work alone, set WORLD_SIZE=1"
        )
