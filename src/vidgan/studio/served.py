"""What the studio shows: runs, saved models and datasets in the folders that it was given, and nothing else.

Pages name a thing by the text that stands in their lists; what is not in a list is refused, so that no text that a page
sends becomes a path. Links that lead out of the given folders are not followed.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from vidgan.data.remote import is_url
from vidgan.data.store import INDEX
from vidgan.data.synthetic import BUILT_IN
from vidgan.errors import UserError
from vidgan.run.directory import RunDirectory
from vidgan.sample.hub import fetch, is_on_hub
from vidgan.sample.load import load
from vidgan.sample.model import RECORD, Model
from vidgan.user_code import Files

Kind = TypeVar("Kind")
IsOne = Callable[[Path], bool]
KEPT: Final = 4
"""models that are held in memory"""


class Served:
    """The runs, models and datasets of some folders.

    Args:
        places: runs, saved models, folders of such, or ``hf:owner/name``.
        data: prepared datasets, on disk or by URL, or folders of such.
        out: folder for runs that are started from the page; None: none can be.
        device: where models are computed.
        weights: files of networks to measure with.
        micro_batch: videos made at a time; None: as many as fit where training fits.
    """

    def __init__(
        self,
        places: Sequence[str],
        data: Sequence[str] = (),
        out: Path | None = None,
        device: str | None = None,
        code: Files = None,
        weights: Sequence[Path] = (),
        micro_batch: int | None = None,
    ) -> None:
        self.places = {place: fetch(place) if is_on_hub(place) else Path(place) for place in places}
        self.data, self.out, self.device, self.code = tuple(data), out, device, code
        self.micro_batch = micro_batch
        self.weights = {path.name: path for path in weights}
        for path in weights:
            if not path.is_file():
                raise UserError(f"there is no file {path}")
        for name in (*places, *data):
            path = self.places.get(name, Path(name))
            if not path.is_dir() and not (name in data and is_url(name)):
                raise UserError(f"there is no folder {name}: give runs, saved models, or folders of such")
        self._models: OrderedDict[str, tuple[object, Model]] = OrderedDict()
        self._lock, self._loading = threading.Lock(), dict[str, threading.Lock]()

    def runs(self) -> dict[str, Path]:
        """Run directories, by name, as there are now."""
        own = {} if self.out is None else {str(self.out): self.out}
        return dict(found(self.places | own, is_run))

    def named(self) -> dict[str, Path]:
        """Those of the runs that were asked for, without those that only lie beside what is started from the page."""
        return dict(found(self.places, is_run))

    def models(self) -> dict[str, Path]:
        """Runs that have a checkpoint, and saved models, by name."""
        own = {} if self.out is None else {str(self.out): self.out}
        return dict(found(self.places | own, lambda path: is_saved(path) or has_checkpoint(path)))

    def datasets(self) -> dict[str, str]:
        """Datasets by name: those given, built-in clips, and those that the runs were trained on and are there."""
        given: dict[str, str | Path] = {name: name for name in self.data if is_url(name)}
        given |= found({name: Path(name) for name in self.data}, is_prepared)
        of_runs = {}
        for path in self.runs().values():
            try:
                source = RunDirectory.open(path).data.source
            except UserError:
                continue
            if is_prepared(Path(source)):
                of_runs[source] = source
        return {name: str(path) for name, path in given.items()} | of_runs | {name: name for name in BUILT_IN}

    def model(self, name: str) -> Model:
        """The model called ``name``; loaded when it is first asked for, and again when its run has gone on.

        Raises:
            UserError: if there is no such model, or it cannot be read.
        """
        path = chosen(self.models(), name, "model")
        stamp = newest(path)
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:  # two users who ask for one model wait for each other, and for nobody else
            known = self._models.get(name)
            if known is None or known[0] != stamp:
                model = load(path, code=self.code, device=self.device, micro_batch=self.micro_batch)
                if not model.experiment.levels[0].context_frames:
                    model.sampler()  # before several threads ask for the same statistics
                known = (stamp, model)
            with self._lock:
                self._models[name] = known
                self._models.move_to_end(name)
                while len(self._models) > KEPT:
                    self._models.popitem(last=False)
            return known[1]


def chosen(known: dict[str, Kind], name: object, what: str) -> Kind:
    """What is called ``name``; raises :class:`UserError` where nothing is."""
    if name is None:
        raise UserError(f"choose a {what} first")
    if not isinstance(name, str) or name not in known:
        raise UserError(f"there is no {what} {str(name)[:99]!r} here")
    return known[name]


def found(places: dict[str, Path], is_one: IsOne) -> Iterator[tuple[str, Path]]:
    """What ``places`` are, or hold in a folder of them, by name."""
    for name, place in places.items():
        if is_one(place):
            yield name, place
        elif place.is_dir():
            root = place.resolve()
            for child in sorted(place.iterdir()):
                if not child.name.startswith(".") and child.resolve().is_relative_to(root) and is_one(child):
                    yield f"{name.rstrip('/')}/{child.name}", child


def is_run(path: Path) -> bool:
    """Whether there is a run."""
    return (path / "experiment.json").is_file()


def has_checkpoint(path: Path) -> bool:
    """Whether there is a run with a checkpoint."""
    return is_run(path) and any((path / "checkpoints").glob("*.safetensors"))


def is_saved(path: Path) -> bool:
    """Whether there is a saved model."""
    return (path / RECORD).is_file()


def is_prepared(path: Path) -> bool:
    """Whether there is a prepared dataset."""
    return (path / INDEX).is_file()


def newest(path: Path) -> tuple[tuple[str, int], ...]:
    """The files of a model's weights with their times."""
    files = [*path.glob(RECORD), *(path / "checkpoints").glob("*")]
    return tuple(sorted((file.name, file.stat().st_mtime_ns) for file in files))
