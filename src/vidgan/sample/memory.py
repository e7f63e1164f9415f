"""The memory guard where videos are made and measured: what does not fit ends with one line that names what would."""

from collections.abc import Iterator
from contextlib import contextmanager

from vidgan.errors import UserError
from vidgan.memory import is_out_of_memory


class OutOfMemoryInPassError(UserError):
    """Memory did not suffice for a pass without gradients.

    Args:
        clips: of the pass.
        what: they were, in words.
        instead: what helps where there is no smaller pass.
    """

    def __init__(self, clips: int, what: str, instead: str) -> None:
        self.clips = clips
        fewer = clips // 2
        helps = (
            f"make fewer at a time with --micro-batch {fewer} (from Python: micro_batch={fewer})"
            if fewer
            else f"there is no smaller pass; {instead}"
        )
        super().__init__(f"out of memory with {what}: {helps}")


@contextmanager
def short_of_memory(clips: int, what: str, instead: str) -> Iterator[None]:
    """Turns "out of memory" in a pass into an :class:`OutOfMemoryInPassError`; the arguments are that one's."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryInPassError(clips, what, instead) from None
