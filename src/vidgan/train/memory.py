"""The memory guard: what does not fit ends with one line that names what would."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from vidgan.errors import UserError
from vidgan.memory import is_out_of_memory
from vidgan.run.batch import Share
from vidgan.run.checkpoints import begun_levels
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment, level_in_words
from vidgan.sample.memory import OutOfMemoryInPassError
from vidgan.train.callbacks import TrainContext


@contextmanager
def short_of_memory(
    experiment: Experiment, index: int, processes: int, step: int, run: RunDirectory | None = None
) -> Iterator[None]:
    """Turns "out of memory" inside a training step of level ``index`` into a :class:`UserError` that names a smaller
    micro-batch.

    Args:
        run: where it is trained; None: nothing is kept of it.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        share = experiment.batch_of(index).share(processes)
        keeps = share.passes > 1 and experiment.levels[index].lower_video_uses > 1
        goes_on = run is not None and bool(begun_levels(run))
        option = experiment.micro_batch_option(index)
        raise UserError(advice(share, step, option, index, goes_on=goes_on, keeps=keeps)) from None


@contextmanager
def state_in_memory(doing: str, index: int, processes: int, rest: str = "") -> Iterator[None]:
    """Turns "out of memory" in what holds all state of level ``index`` into a :class:`UserError` that names what helps:
    no micro-batch does.

    Args:
        doing: what is done with the state, in words.
        rest: what else to say, after a semicolon.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not is_out_of_memory(error):
            raise
        width = f"--levels.{index}.generator.width"
        if "CUDA" in str(error):
            helps = f"a device with more memory or a smaller {width} helps"
        else:
            fewer = (
                ", and fewer processes on this machine (torchrun --nproc-per-node)" if processes > 1 else ""
            )
            helps = f"--workers 0 and --cache no leave more of this machine's memory{fewer}; else a smaller {width}"
        raise UserError(
            f"out of memory in {doing}, which takes the same whatever the batch: {helps}{rest and '; '}{rest}; "
            "vidgan plan tells what each phase needs"
        ) from None


class Beside(NamedTuple):
    """Work between steps that takes memory of its own."""

    what: str
    instead: str
    """what helps where a single clip at a time does not fit"""


STATISTICS: Final = Beside("standing statistics", "only fewer frames or a device with more memory help")
LOOKING: Final = Beside(
    "samples or an evaluation",
    "resume with --reporting.samples none and, if it evaluates while it trains, --reporting.best.protocol none "
    "--reporting.evaluate",
)


@contextmanager
def saved_if_short_of_memory(trainer: TrainContext, saved: bool) -> Iterator[None]:
    """As :func:`out_of_memory_in` for what only looks at a step, which is kept whatever becomes of that, as far as the
    process that is short of memory is the one that writes.

    Args:
        saved: whether the step is already.
    """
    try:
        with out_of_memory_in(LOOKING):
            yield
    except OutOfMemoryBesideTrainingError as error:
        if trainer.run is None:
            raise
        if not saved and trainer.replicas.is_rank_zero:
            trainer.save()
            saved = True
        other = "" if saved else "not saved, as another process writes; earlier checkpoints stay"
        raise UserError(f"{error}. Step {trainer.state.steps} is {other or 'saved'}") from error


class OutOfMemoryBesideTrainingError(UserError):
    """Memory did not suffice for something else than a training step."""


@contextmanager
def out_of_memory_in(work: Beside) -> Iterator[None]:
    """Turns "out of memory" in ``work`` into a :class:`UserError` that names what lowers it."""
    option = "resume with --training.standing-statistics.at-once"
    try:
        yield
    except OutOfMemoryInPassError as error:
        fewer = error.clips // 2
        helps = f"{option} {fewer}, clips in memory at a time" if fewer else work.instead
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        helps = f"{option} 1 or another small number of clips in memory at a time"
    else:
        return
    raise OutOfMemoryBesideTrainingError(
        f"out of memory in {work.what}: {helps}; vidgan plan tells what each phase needs"
    )


def advice(share: Share, step: int, option: str, index: int, *, goes_on: bool, keeps: bool) -> str:
    """What to do when a step of level ``index`` does not fit, whose micro-batch ``option`` sets.

    Args:
        goes_on: whether there is a checkpoint to go on from.
        keeps: whether lower videos wait for updates that will use them again, which a smaller micro-batch does not
            change.
    """
    level = f" of {level_in_words(index)}" if option.startswith("--levels") else ""
    start = f"out of memory in step {step}{level} with micro-batches of {share.per_pass} clips: "
    smaller = smaller_micro_batch(share)
    if smaller is None:
        anew = f"make lower videos anew with --levels.{index}.lower-video-uses 1, " if keeps else ""
        return (
            f"{start}there is no smaller one; {anew}recompute activations with "
            f"--levels.{index}.generator.checkpointing True, or choose smaller widths or fewer frames"
        )
    begin = "resume" if goes_on else "start a new run"
    return (
        f"{start}{begin} with {option} {smaller}, which should fit (about half: "
        "activations take most of the memory and shrink with it, weights do not); vidgan plan tells more"
    )


def smaller_micro_batch(share: Share) -> int | None:
    """The largest micro-batch of at most half the size, in passes as equal as can be, or else the smallest that all
    processes can share; None where it is that already."""
    smaller = [cut.per_pass for cut in share.smaller()]
    return next((size for size in smaller if 2 * size <= share.per_pass), smaller[-1] if smaller else None)
