"""The card of a saved model: what it is, what it was trained on, what was measured, and what it is not for."""

import json
from collections.abc import Sequence
from typing import Any, Final

from vidgan.names import printable
from vidgan.run.experiment import Experiment
from vidgan.sample.origin import Origin

CARD: Final = "README.md"
"""as the Hub calls a card"""
LICENCE: Final = "license: "
DISTANCES: Final = ("frechet", "fvd", "fid", "kvd", "kid")
"""how protocols that measure distances begin"""


def card(experiment: Experiment, step: int, classes: Sequence[str], origin: Origin, name: str) -> str:
    """The text of a model's card, in Markdown with the header that the Hub reads.

    Args:
        origin: its licence is an identifier such as ``cc-by-4.0``; what it does not say, the card says is not known.
        name: what :func:`vidgan.load` is given.
    """
    top = experiment.levels[-1]
    given = experiment.levels[0].context_frames
    batch = experiment.batch_of(len(experiment.levels) - 1).global_batch
    trained = f"{step:,} steps of {batch:,} clips"
    made = f"{top.frames} frames of {top.size}x{top.size} pixels"
    use = (
        f"model.predict(frames)  # frames ({given}, 3, {top.size}, {top.size}) in [-1, 1]"
        if given
        else ("model.sample(8, seed=0)  # float (8, T, 3, H, W) in [-1, 1]")
    )
    # The check samples from noise, which a model that continues videos cannot do.
    looked_for = "" if given else ": `vidgan evaluate --memorisation` looks for copies"
    shown = [code(each) for each in classes[:50]]
    more = f" and {len(classes) - 50} more" if len(classes) > 50 else ""
    counted = "" if origin.clips is None else f", {origin.clips:,} clips"
    seen = "not recorded" if origin.data is None else f"{code(origin.data)}{counted}"
    begun = (
        "" if origin.begun_from is None else ", begun from weights that were trained before (see Training)"
    )
    bound = "" if origin.data_licence is None else f" ({in_line(origin.data_licence)})"
    lines = [
        "---",
        *header_of(experiment, origin),
        "---",
        "",
        f"# {printable(experiment.name)}",
        "",
        f"A generative adversarial network for video, trained with vidgan for {trained}{begun}. "
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
        f"- source of the data: {in_line(origin.data_source or 'not said by whoever saved the model')}",
        f"- licence of the data: {in_line(origin.data_licence or 'not said by whoever saved the model')}",
        *([f"- begun from: {in_line(origin.begun_from)}"] if origin.begun_from else []),
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
        f"- It shows what its training data hold, with their gaps, and may repeat training clips{looked_for}.",
        "- Its videos are not records of anything that happened. It was not tested for any use but research.",
        f"- Licence of the weights: {in_line(origin.licence or 'not said by whoever saved them')}. That of the "
        f"training data{bound} may bind, too.",
        *(["", *map(printable, origin.limits.expandtabs(4).splitlines())] if origin.limits else []),
        "",
    ]
    return "\n".join(lines)


def header_of(experiment: Experiment, origin: Origin) -> list[str]:
    """The lines of the header, in YAML; values in the notation of JSON, which is YAML, too.

    Source: the Hub's specification, ``modelcard.md`` of github.com/huggingface/hub-docs.
    """
    given = experiment.levels[0].context_frames
    lines = ["library_name: vidgan", "tags: [video-generation, gan, vidgan]"]
    # The Hub has no task for videos from noise, or from noise and a class: its text-to-video takes sentences, and its
    # unconditional-image-generation makes images. So a model that is given no frames has no pipeline_tag.
    task = "image-to-video" if given == 1 else "video-to-video" if given else None
    lines += [] if task is None else [f"pipeline_tag: {task}"]
    lines += [] if origin.licence is None else [f"{LICENCE}{quoted(origin.licence)}"]
    results = [line for figure in origin.figures for line in result_of(figure, task or "video-generation")]
    if results:
        lines += ["model-index:", f"- name: {quoted(experiment.name)}", "  results:", *results]
    return lines


def result_of(figure: dict[str, Any], task: str) -> list[str]:
    """A figure as a result of the header's ``model-index``; none where it is not finite, or where it is not recorded
    what it compares with, since the Hub asks for a value and for data. Where it compares with no real clips, the data
    are called so.
    """
    if figure["value"] is None or "real" not in figure:
        return []
    real, words = figure["real"], [figure["protocol"]]
    name, split = ("no real clips", None) if real is None else (real["name"] or "not named", real["split"])
    words += ["less is better"] if is_distance(figure["protocol"]) else []
    words += [f"deviation {told}"] if (told := deviation_of(figure)) else ["deviation not known"]
    words += [f"{figure['clips']:,} clips of the model"] if figure.get("clips") else []
    words += [f"seed {figure['seed']}"] if "seed" in figure else []
    words += [f"measured against {real_in_words(figure, plain=True)}"]
    dataset = [f"      type: {quoted(name)}", f"      name: {quoted(name)}"]
    return [
        "  - task:",
        f"      type: {task}",
        "    dataset:",
        *dataset,
        *([f"      split: {quoted(split)}"] if split else []),
        "    metrics:",
        f"    - type: {quoted(figure['protocol'])}",
        f"      value: {number(figure['value'])}",
        f"      name: {quoted(', '.join(words))}",
    ]


def number(value: float) -> str:
    """A number that YAML 1.1, too, reads as one: there, a power of ten follows a point."""
    text = f"{value:.6g}"
    return text.replace("e", ".0e") if "." not in text else text


def quoted(text: str) -> str:
    """A text in double quotes, the same in JSON and in YAML."""
    return json.dumps(printable(text), ensure_ascii=False)


def code(text: str) -> str:
    """A name in Markdown's type for code, whatever backticks it has."""
    shown = printable(text)
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def in_line(text: str) -> str:
    """A text of an author on one line."""
    return printable(" ".join(text.split()))


def is_distance(protocol: str) -> bool:
    """Whether a protocol's number is a distance from real videos."""
    return protocol.startswith(tuple(f"{kind}-" for kind in DISTANCES))


def deviation_of(figure: dict[str, Any]) -> str:
    """The deviation of a figure and what it was taken over; empty where it is not known."""
    spread = figure.get("deviation")
    return "" if spread is None or spread["value"] is None else f"{spread['value']:.4g} ({spread['over']})"


def real_in_words(figure: dict[str, Any], plain: bool = False) -> str:
    """The real clips that a figure was measured against.

    Args:
        plain: without Markdown.
    """
    if "real" not in figure:
        return "not recorded"
    real = figure["real"]
    if real is None:
        return "no real clips"
    name = real["name"]
    named = "data without a name" if name is None else name if plain else code(name)
    words = [named]
    words += [] if real["split"] is None else [f"split {real['split']}"]
    words += [] if real["clips"] is None else [f"{real['clips']:,} clips"]
    words += ["the training data"] if real["trained_on"] else []
    return ", ".join(words)


def figures_of(origin: Origin) -> list[str]:
    """A table of what was measured."""
    if not origin.figures:
        return ["None are recorded for this checkpoint."]
    lines = ["| protocol | value | deviation | clips | seed | real clips |", "|---|---|---|---|---|---|"]
    for figure in origin.figures:
        value = "not finite" if figure["value"] is None else f"{figure['value']:.6g}"
        first = (figure["protocol"], value, deviation_of(figure), figure.get("clips") or "")
        cells = (*first, figure.get("seed", ""), real_in_words(figure))
        lines.append("| " + " | ".join(printable(str(cell)).replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "Real clips: those that a figure was measured against."]
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
