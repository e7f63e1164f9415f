"""The page Data: clips of a dataset to leaf through, its classes, and what is wrong with it."""

import itertools
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from PIL import Image

from vidgan.bounds import MOST_STEPS
from vidgan.data.dataset import Dataset
from vidgan.data.inspect import class_counts, problems, remarks_on
from vidgan.data.open import open_dataset
from vidgan.data.rates import in_words, rate_counts
from vidgan.data.store import PreparedDataset
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.names import printable
from vidgan.presets import preset, preset_names
from vidgan.report.words import count, number
from vidgan.run.experiment import window_of
from vidgan.sample.video_io import Clip
from vidgan.studio.clips import WIDE, Shown, grid_of, message
from vidgan.studio.jobs import Jobs
from vidgan.studio.served import Served, chosen
from vidgan.studio.telling import told
from vidgan.studio.values import one_of, whole_in

EVERY_CLASS: Final = "all classes"
PER_PAGE: Final = 12
"""clips that are shown at once"""
FRAMES: Final = 16
"""of a clip, evenly over its length"""
SIDE: Final = 128
"""pixels of a clip's height on the page, at most"""
LIKE: Final = "demo"
"""the preset whose windows problems are looked for with, at first"""
MOST_PROBLEMS: Final = 200
"""that are listed"""


def opened(served: Served, name: object) -> Dataset:
    """The dataset of this name; raises :class:`UserError` where there is none."""
    return open_dataset(chosen(served.datasets(), name, "dataset"))


def overview(dataset: Dataset) -> str:
    """What it holds, and a row for each class, as HTML."""
    sizes = dataset.sizes()
    kinds, counts = np.unique(sizes[:, :0:-1], axis=0, return_counts=True)
    common = [f"{kinds[i][0]} × {kinds[i][1]} ({number(int(counts[i]))})" for i in np.argsort(-counts)[:5]]
    lines = [
        f"{count(len(dataset), 'clip')}, {count(int(sizes[:, 0].sum()), 'frame')}, "
        f"{count(len(dataset.classes), 'class', 'classes')}, "
        f"{in_words(rate_counts(dataset.rates())) or 'frame rate not known'}; sizes {', '.join(common)}",
        f"fingerprint {dataset.fingerprint}",
    ]
    head = Markup("").join(
        map(Markup("<th scope=col>{}</th>").format, ("class", "clips", "frames: least", "median", "most"))
    )
    rows = Markup("").join(
        Markup("<tr><th scope=row>{}</th><td>{}</td><td>{}</td><td>{:g}</td><td>{}</td></tr>").format(
            printable(each.name), each.clips, each.shortest, each.median, each.longest
        )
        for each in class_counts(dataset)
    )
    table = Markup(
        '<div class="wide tall" tabindex="0" role="region" aria-label="classes"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, rows)
    return Markup("").join(Markup('<p class="note">{}</p>').format(line) for line in lines) + table


def clips_of(dataset: Dataset, wanted: object) -> list[int]:
    """The numbers of the clips of a class, or of all; raises :class:`UserError` where there is no such class."""
    name = one_of("Class", wanted, (EVERY_CLASS, *dataset.classes))
    if name == EVERY_CLASS:
        return list(range(len(dataset)))
    return np.flatnonzero(dataset.labels() == dataset.classes.index(name)).tolist()


def pages_of(dataset: Dataset, wanted: object) -> int:
    """How many pages of clips there are."""
    return max(1, -(-len(clips_of(dataset, wanted)) // PER_PAGE))


def leaf(dataset: Dataset, wanted: object, page: object, still: object = False) -> str:
    """A page of clips of a class as HTML, counted from 1. A clip that cannot be read is a line.

    Raises:
        UserError: where there is no such class or page.
    """
    own = clips_of(dataset, wanted)
    first = (whole_in("Page", page, 1, max(1, -(-len(own) // PER_PAGE))) - 1) * PER_PAGE
    shown, faults = [], []
    for index in own[first : first + PER_PAGE]:
        info = dataset.info(index)
        named = f"{index}: {printable(dataset.name(index))}, {printable(dataset.classes[info.label])}"
        text = f"{named}, {count(info.frames, 'frame')}"
        try:
            shown.append(Shown(thumbnail(dataset, index), text))
        except UserError as fault:
            faults.append(message(str(fault), "fault"))
    return (
        grid_of(shown, bool(still)) + Markup("").join(faults) if own else message("This class has no clips.")
    )


def thumbnail(dataset: Dataset, index: int) -> Clip:
    """Frames evenly over a clip, no higher than :data:`SIDE`."""
    length = dataset.info(index).frames
    places = np.linspace(0, length - 1, min(FRAMES, length)).round().astype(int).tolist()
    frames = [dataset.read(index, place, 1)[0] for place in places]
    height, width = frames[0].shape[:2]
    if height <= SIDE:
        return np.stack(frames)
    size = max(1, round(width * SIDE / height)), SIDE
    return np.stack(
        [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in frames]
    )


def window_for(name: object) -> tuple[int, int, int]:
    """Frames, stride and size of the windows that a preset's lowest level is trained on.

    Raises:
        UserError: where there is no such preset.
    """
    window = window_of(preset(one_of("Preset", name, preset_names())), 0)
    return window.frames, window.stride, window.size


def faults_of(dataset: Dataset, frames: object, stride: object, size: object, checksums: object) -> str:
    """Clips without room for a window, damaged ones, and what was left out or remarked when they were prepared."""
    window = WindowSpec(
        frames=whole_in("Frames", frames, 1, 2**16),
        stride=whole_in("Stride", stride, 1, 2**16),
        size=whole_in("Size", size, 1, 2**16),
    )
    found = list(itertools.islice(problems(dataset, window, bool(checksums)), MOST_PROBLEMS + 1))
    lines = [f"{printable(each.name)}: {each.reason}" for each in found[:MOST_PROBLEMS]]
    more = [] if len(found) <= MOST_PROBLEMS else [f"and more: {MOST_PROBLEMS} are listed"]
    said: list[str] = []
    if isinstance(dataset, PreparedDataset):
        said += [f"left out while preparing: {name}: {reason}" for name, reason in dataset.index.left_out]
        said += [f"remark: {remark}" for remark in remarks_on(dataset)]
    head = (
        f"{count(len(lines), 'problem')}"
        if lines
        else "No problems" + (" (checksums fit)." if checksums else ".")
    )
    items = Markup("").join(
        Markup("<li>{}</li>").format(printable(line)) for line in [*lines, *more, *said[:MOST_PROBLEMS]]
    )
    return message(head, "note") + (
        Markup('<ul class="problems">{}</ul>').format(items) if items else Markup("")
    )


def page(served: Served, jobs: Jobs) -> None:
    """Build the page."""
    import gradio as gr

    gr.HTML("<h1>Data</h1>")
    there = list(served.datasets())
    with gr.Row():
        name = gr.Dropdown(there, value=there[0], label="Dataset", min_width=WIDE)
        wanted = gr.Dropdown([EVERY_CLASS], value=EVERY_CLASS, label="Class", min_width=WIDE)
        number_of_page = gr.Number(1, label="Page", precision=0, minimum=1, maximum=MOST_STEPS)
        still = gr.Checkbox(label="Frames side by side, not moving")
    with gr.Row():
        back, forth = gr.Button("Page before"), gr.Button("Next page")
    clips = gr.HTML(elem_id="clips")
    gr.HTML("<h2>Classes</h2>")
    words = gr.HTML(elem_id="classes")
    gr.HTML("<h2>Problems</h2>")
    with gr.Row():
        like = gr.Dropdown(preset_names(), value=LIKE, label="As this preset reads them", min_width=WIDE)
        at_first = window_for(LIKE)
        frames = gr.Number(at_first[0], label="Frames that a clip must hold", precision=0, minimum=1)
        stride = gr.Number(at_first[1], label="Stride between them", precision=0, minimum=1)
        size = gr.Number(at_first[2], label="Pixels of the square that it must hold", precision=0, minimum=1)
        checksums = gr.Checkbox(label="Read all and compare checksums")
    look = gr.Button("Look for problems")
    found = gr.HTML(elem_id="problems")

    def describe(name: object) -> list[Any]:
        @told
        def said() -> str:
            return overview(opened(served, name))

        try:
            classes = opened(served, name).classes
        except UserError:
            classes = ()
        several = classes if len(classes) > 1 else ()
        return [said(), gr.Dropdown(choices=[EVERY_CLASS, *several], value=EVERY_CLASS), 1, ""]

    @told
    def show(name: object, wanted: object, page: object, still: object) -> str:
        return leaf(opened(served, name), wanted, page, still)

    def turned(by: int) -> Any:
        def turn(name: object, wanted: object, page: object) -> int:
            try:
                most = pages_of(opened(served, name), wanted)
            except UserError:
                return 1
            return min(max(1, page + by), most) if isinstance(page, int) else 1

        return turn

    @told
    def faults(name: object, *values: object) -> str:
        return faults_of(opened(served, name), *values)

    shown = {
        "fn": show,
        "inputs": [name, wanted, number_of_page, still],
        "outputs": clips,
        "show_progress": "minimal",
    }
    described = {"fn": describe, "inputs": name, "outputs": [words, wanted, number_of_page, found]}
    name.change(**described).then(**shown)
    wanted.input(lambda: 1, None, number_of_page).then(**shown)
    number_of_page.submit(**shown)
    still.change(**shown)
    for button, by in ((back, -1), (forth, 1)):
        button.click(turned(by), [name, wanted, number_of_page], number_of_page).then(**shown)
    like.input(window_for, like, [frames, stride, size])
    look.click(faults, [name, frames, stride, size, checksums], found)
    gr.on(None, **described).then(**shown)
