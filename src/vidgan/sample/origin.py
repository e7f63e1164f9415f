"""Where a model comes from: its data, what it was begun from, what was measured, and what its author says of it."""

from pathlib import Path, PurePath
from types import NoneType
from typing import Any, Final, NamedTuple, Self, TypedDict

from vidgan.errors import UserError
from vidgan.files import read_json
from vidgan.forms import MAYBE, TEXT, WHOLE, Fields, Form, fits
from vidgan.run.checkpoints import PATTERN
from vidgan.run.directory import RECORD as RUN_RECORD
from vidgan.run.directory import InitFrom, RunDirectory
from vidgan.run.logs import read_results

SAID: Final[Form] = (str, NoneType)
REAL: Final = Fields(
    {"name": SAID, "split": SAID, "clips": (int, NoneType), "trained_on": (bool,)},
    null=True,
)
"""real clips that a figure compares with: name of their data, split, how many, and whether the model was trained on
those data; null where it compares with none"""
FIGURE: Final = Fields(
    {"protocol": TEXT, "value": MAYBE},
    {
        "clips": (int, NoneType),
        "seed": WHOLE,
        "deviation": Fields({"value": MAYBE, "over": TEXT}, null=True),
        "real": REAL,
    },
)
"""what a card keeps of a result; its settings may name folders of whoever measured"""
OWN: Final = ("data_source", "data_licence", "begun_from", "limits")
"""what whoever saves a model may say of it"""
ORIGIN: Final = Fields(
    {"data": SAID, "clips": (int, NoneType), "figures": [FIGURE]}, dict.fromkeys(OWN, SAID)
)
"""an origin in a saved model's record; models that were saved earlier have none of :data:`OWN`"""
DEEPEST: Final = 8
"""models one before another that are named; folders that were exchanged may name each other"""


class About(TypedDict, total=False):
    """What whoever saves a model says of it; what is left out or None stays as the model has it."""

    data_source: str | None
    """where the training data come from: a text or an address"""
    data_licence: str | None
    """of the training data"""
    begun_from: str | None
    """whose weights the training began from; of a run with ``--init-from`` its record tells"""
    limits: str | None
    """what the model does not do well, in Markdown"""


class Origin(NamedTuple):
    """Where a model comes from, as far as it is known."""

    data: str | None = None
    """name of what it was trained on: of a prepared folder the last part of its path"""
    clips: int | None = None
    """how many there were"""
    figures: tuple[dict[str, Any], ...] = ()
    """results of this step, each of form :data:`FIGURE`"""
    licence: str | None = None
    """of the weights, as the card of a saved model says it; its record does not"""
    data_source: str | None = None
    """where the data come from: a text or an address"""
    data_licence: str | None = None
    """of the data"""
    begun_from: str | None = None
    """whose weights its training began from, in words; None: random ones, or not known"""
    limits: str | None = None
    """what its author says of its limits, in Markdown"""

    def recorded(self) -> dict[str, Any]:
        """Its part of a saved model's record, of form :data:`ORIGIN`."""
        return {name: getattr(self, name) for name in (*ORIGIN.needed, *ORIGIN.known)}

    @classmethod
    def of_record(cls, known: dict[str, Any] | None, licence: str | None) -> Self:
        """What a saved model's record, of form :data:`ORIGIN`, and its card's licence tell; None: it has none."""
        if known is None:
            return cls(licence=licence)
        own = {name: known.get(name) for name in OWN}
        return cls(known["data"], known["clips"], tuple(known["figures"]), licence, **own)

    def told(
        self,
        licence: str | None = None,
        *,
        data_source: str | None = None,
        data_licence: str | None = None,
        begun_from: str | None = None,
        limits: str | None = None,
    ) -> Self:
        """The same with what is given in place of what was known; None keeps that.

        Raises:
            UserError: if a text is blank.
        """
        given = {
            "licence": licence,
            "data_source": data_source,
            "data_licence": data_licence,
            "begun_from": begun_from,
            "limits": limits,
        }
        said: dict[str, Any] = {name: text for name, text in given.items() if text is not None}
        for name, text in said.items():
            if not isinstance(text, str) or not text.strip():
                raise UserError(f"{name.replace('_', ' ')} must be a text that says something, got {text!r}")
        return self._replace(**said)


def origin_of(run: RunDirectory, step: int) -> Origin:
    """The origin of the model that a run had at ``step``, with the figures of the model as it is sampled by default: of
    all levels, averaged weights and whole noise."""
    kept = ("protocol", "value", "clips", "seed", "deviation")
    figures = [
        {name: result[name] for name in kept if name in result} | real_of(result, run)
        for result in read_results(run.metrics.path)
        if result.get("step") == step and is_as_saved(result)
    ]
    begun = begun_from(run.init_from)
    return Origin(PurePath(run.data.source).name, run.data.clips, tuple(figures), begun_from=begun)


def is_as_saved(result: dict[str, Any]) -> bool:
    """Whether a result is of all levels, averaged weights and whole noise."""
    settings = result.get("settings")
    sampling = settings.get("sampling") if isinstance(settings, dict) else None
    if not isinstance(sampling, dict):  # an earlier version's, or not of a model's own samples
        return "level" not in result
    noise = sampling.get("truncation") or {}
    whole = not isinstance(noise, dict) or ("limit" not in noise and noise.get("sigma", 1.0) == 1.0)
    return "level" not in result and whole and sampling.get("averaged", True) is not False


def real_of(result: dict[str, Any], run: RunDirectory) -> dict[str, Any]:
    """The real clips of a result, as ``{"real": ...}`` of form :data:`REAL`; empty where the result does not tell."""
    counts = result.get("counts")
    if not isinstance(counts, dict) or "real" not in counts:
        return {}
    if counts["real"] is None:
        return {"real": None}
    facts, settings = result.get("real") or {}, result["settings"]
    trained_on = result.get("data") == run.data.fingerprint
    source = facts.get("source", run.data.source if trained_on else None)
    found = {
        "name": PurePath(source).name if isinstance(source, str) else None,
        "split": (settings.get("real") or {}).get("split"),
        "clips": counts["real"],
        "trained_on": trained_on,
    }
    return {"real": found} if fits(found, REAL) else {}


def begun_from(init_from: InitFrom | None, deep: int = DEEPEST) -> str | None:
    """Whose weights a run began from, in words without a path, and whose that one did, as far as folders tell that are
    still there; None: random weights."""
    if init_from is None or deep == 0:
        return None
    place = Path(init_from.run)
    matches = [PATTERN.fullmatch(name) for name in init_from.checkpoints]
    steps = [f"{int(match[2]):,}" for match in matches if match]
    if steps:
        many = "step" if len(steps) == 1 else "steps (by level)"
        words, earlier = f"the run {place.name}, {many} {', '.join(steps)}", _of_run(place, deep)
    else:
        words, earlier = _of_saved(place)
    return words if earlier is None else f"{words}; that one was begun from {earlier}"


def _of_run(place: Path, deep: int) -> str | None:
    """Whose weights the run at ``place`` began from; None: random ones, or it is not there."""
    try:
        record = read_json(place / "experiment.json")
    except UserError:
        return None
    if not fits(record, RUN_RECORD) or record.get("init_from") is None:
        return None
    known = record["init_from"]
    return begun_from(InitFrom(known["run"], tuple(known["checkpoints"])), deep - 1)


def _of_saved(place: Path) -> tuple[str, str | None]:
    """A saved model in words, and whose weights its training began from."""
    form = Fields({"step": WHOLE}, {"origin": ORIGIN})
    try:
        record = read_json(place / "model.json")
    except UserError:
        record = None
    if not fits(record, form):
        return f"the saved model {place.name}", None
    earlier: str | None = record.get("origin", {}).get("begun_from")
    return f"the saved model {place.name}, step {record['step']:,}", earlier
