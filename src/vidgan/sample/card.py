"""The card of a saved model: what it is, what it was trained on, what was measured, and what it is not for."""

import json
from collections.abc import Sequence
from pathlib import PurePath
from types import NoneType
from typing import Any, Final, NamedTuple

from vidgan.forms import MAYBE, TEXT, WHOLE, Fields
from vidgan.names import printable
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_results

CARD: Final = "README.md"
"""as the Hub calls a card"""
FIGURE: Final = Fields(
    {"protocol": TEXT, "value": MAYBE},
    {"clips": (int, NoneType), "seed": WHOLE, "deviation": Fields({"value": MAYBE, "over": TEXT}, null=True)},
)
"""what a card keeps of a result; its settings may name folders of whoever measured"""
LICENCE: Final = "license: "
DISTANCES: Final = ("frechet", "fvd", "fid", "kvd", "kid")
"""how protocols that measure distances begin"""
ORIGIN: Final = Fields({"data": (str, NoneType), "clips": (int, NoneType), "figures": [FIGURE]})


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

    def recorded(self) -> dict[str, Any]:
        """Its part of a saved model's record, of form :data:`ORIGIN`."""
        return {name: getattr(self, name) for name in ORIGIN.needed}


def origin_of(run: RunDirectory, step: int) -> Origin:
    """The origin of the model that a run had at ``step``."""
    kept = [*FIGURE.needed, *FIGURE.known]
    figures = [
        {name: result[name] for name in kept if name in result}
        for result in read_results(run.metrics.path)
        if result.get("step") == step
    ]
    return Origin(PurePath(run.data.source).name, run.data.clips, tuple(figures))


def card(
    experiment: Experiment, step: int, classes: Sequence[str], origin: Origin, licence: str | None, name: str
) -> str:
    """The text of a model's card, in Markdown with the header that the Hub reads.

    Args:
        licence: of the weights, as an identifier such as ``cc-by-4.0``; None: not said, which the card says.
        name: what :func:`vidgan.load` is given.
    """
    top = experiment.levels[-1]
    given = experiment.levels[0].context_frames
    header = ["library_name: vidgan", "tags: [video-generation, gan, vidgan]"]
    header += [] if licence is None else [f"{LICENCE}{json.dumps(licence)}"]
    made = f"{top.frames} frames of {top.size}x{top.size} pixels"
    use = (
        f"model.predict(frames)  # frames ({given}, 3, {top.size}, {top.size}) in [-1, 1]"
        if given
        else ("model.sample(8, seed=0)  # float (8, T, 3, H, W) in [-1, 1]")
    )
    shown = [f"`{printable(each)}`" for each in classes[:50]]
    more = f" and {len(classes) - 50} more" if len(classes) > 50 else ""
    seen = "not recorded" if origin.data is None else f"`{printable(origin.data)}`, {origin.clips:,} clips"
    lines = [
        "---",
        *header,
        "---",
        "",
        f"# {printable(experiment.name)}",
        "",
        f"A generative adversarial network for video, trained with vidgan for {step:,} steps. "
        + (f"It continues {given} given frames by {made}." if given else f"It makes {made}."),
        "",
        *([f"{experiment.description} ({experiment.source})", ""] if experiment.description else []),
        "```python",
        "import vidgan",
        "",
        f"model = vidgan.load({json.dumps(name)})",
        f"video = {use}",
        "```",
        "",
        "`vidgan` is installed by `pip install .` in a clone of its repository.",
        "",
        "## Training",
        "",
        f"- data: {seen}",
        f"- classes: {', '.join(shown)}{more}" if experiment.conditional else "- classes: none",
        "",
        *(["## Other than its paper", ""] if experiment.deviations else []),
        *(f"- {each}" for each in experiment.deviations),
        *([""] if experiment.deviations else []),
        "## Figures",
        "",
        *figures_of(origin),
        "",
        "## Limits",
        "",
        f"- It was trained on {made}; longer videos can be asked for and were not trained.",
        "- It shows what its training data hold, with their gaps, and may repeat training clips: "
        "`vidgan evaluate --memorisation` looks for copies.",
        "- Its videos are not records of anything that happened. It was not tested for any use but research.",
        f"- Licence of the weights: {licence or 'not said by whoever saved them'}. That of the training data "
        "may bind, too.",
        "",
    ]
    return "\n".join(lines)


def figures_of(origin: Origin) -> list[str]:
    """A table of what was measured."""
    if not origin.figures:
        return ["None are recorded for this checkpoint."]
    lines = ["| protocol | value | deviation | clips | seed |", "|---|---|---|---|---|"]
    for figure in origin.figures:
        spread = figure.get("deviation")
        told = (
            "" if spread is None or spread["value"] is None else f"{spread['value']:.4g} ({spread['over']})"
        )
        value = "not finite" if figure["value"] is None else f"{figure['value']:.6g}"
        cells = (figure["protocol"], value, told, figure.get("clips") or "", figure.get("seed", ""))
        lines.append("| " + " | ".join(printable(str(cell)).replace("|", "\\|") for cell in cells) + " |")
    shown = [
        kind for kind in DISTANCES if any(each["protocol"].startswith(f"{kind}-") for each in origin.figures)
    ]
    if shown:
        named = ", ".join(f"`{kind}-...`" for kind in shown)
        lines += ["", f"Of {named}, distances from real videos, less is better; 0 is no difference."]
    return lines


def licence_in(text: str) -> str | None:
    """The licence that a card's header names, as :func:`card` writes it."""
    header = text.partition("\n---\n")[0]
    for line in header.splitlines():
        if line.startswith(LICENCE):
            try:
                value = json.loads(line.removeprefix(LICENCE))
            except ValueError:
                return None
            return value if isinstance(value, str) else None
    return None
