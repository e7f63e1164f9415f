"""``--cache``: where the clips that training reads are held."""

from collections.abc import Mapping
from typing import Final, Literal

from vidgan.cli.parse import option_set
from vidgan.data.held import Cache, DeviceCache, MemoryCache
from vidgan.memory import GB
from vidgan.report.words import count

CACHES: Final[Mapping[str, Cache]] = {"device": DeviceCache(), "memory": MemoryCache()}


@option_set
class Caching:
    """Where clips are held."""

    cache: Literal["no", "device", "memory"] = "no"
    """hold all clips there"""

    @property
    def held(self) -> Cache | None:
        """Where; None: they are read."""
        return CACHES.get(self.cache)


def held_text(clips: int, size: float, where: str) -> str:
    """What is held, in words: so many clips of ``size`` bytes."""
    return f"held: {count(clips, 'clip')}, {size / GB:.3g} GB {where}"
