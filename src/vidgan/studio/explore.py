"""The page Explore: what a model makes, between two of its clips, after given frames, and on each of its levels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from markupsafe import Markup

from vidgan.bounds import MOST_STEPS
from vidgan.cli.given import Source, clip_of, read_source
from vidgan.data.loader import to_float
from vidgan.errors import UserError
from vidgan.report.words import count as counted
from vidgan.run.data import open_data
from vidgan.sample.hub import is_on_hub
from vidgan.sample.model import Model
from vidgan.sample.noise import truncation
from vidgan.sample.sampler import End
from vidgan.sample.video_io import to_bytes
from vidgan.studio.access import LARGEST_UPLOAD, UPLOADS
from vidgan.studio.clips import WIDE, Shown, beside, grid_of, message
from vidgan.studio.jobs import Jobs, shell
from vidgan.studio.served import Served, chosen
from vidgan.studio.telling import told
from vidgan.studio.values import number_in, one_of, whole_in

ALL: Final = "all classes"
MOST_CLIPS: Final = 32
MOST_FUTURES: Final = 8
MOST_POINTS: Final = 12
MOST_VALUES: Final = 2**27
"""values of all clips of an answer; a page must open on a phone"""
NONE_YET: Final = (
    "There is no model yet: start a run on the page Train, or name runs and saved models: vidgan studio RUN"
)
TIMES: Final = 4
"""the longest video, of that in training"""


class Facts(NamedTuple):
    """What the page says of a model, and offers for it."""

    words: str
    classes: tuple[str, ...]
    """to choose from; empty where the model knows none"""
    frames: int
    """of a video as trained"""
    ratio: int
    """lengths are multiples of it"""
    levels: int
    predicts: bool
    """whether it is given frames"""


def facts(model: Model) -> Facts:
    """What there is to choose."""
    experiment = model.experiment
    top, first = experiment.levels[-1], experiment.levels[0]
    many = f", {len(experiment.levels)} levels" if len(experiment.levels) > 1 else ""
    words = f"{experiment.name}: {top.frames} frames of {top.size} × {top.size}{many}"
    words += f", {counted(model.step, 'step')} of training"
    if first.context_frames:
        words += f"; continues {counted(first.context_frames, 'given frame')}"
    names = model.class_names if experiment.conditional else ()
    return Facts(
        words,
        tuple(names),
        top.frames,
        top.frames // first.frames,
        len(experiment.levels),
        first.context_frames > 0,
    )


class Asked(NamedTuple):
    """What a user wants to see. Every value may be anything that a page can send."""

    label: Any = ALL
    seed: Any = 0
    sigma: Any = 1.0
    count: Any = 8
    frames: Any = None
    levels: Any = False
    still: Any = False


class Pin(NamedTuple):
    """A clip that an interpolation begins or ends at."""

    seed: int
    number: int
    label: int


def sample(model: Model, asked: Asked, pins: Sequence[Pin] = ()) -> str:
    """Clips from noise as HTML.

    Raises:
        UserError: for values that the model cannot take.
    """
    classes, seed, sigma = checked(model, asked)
    count = whole_in("Clips", asked.count, 1, MOST_CLIPS)
    frames = length(model, asked.frames)
    require_small(count, frames, model)
    if asked.levels:
        levels = [to_bytes(each).numpy() for each in model.levels(count, classes, seed, sigma, frames=frames)]
        clips = [beside(own) for own in zip(*levels, strict=True)]
    else:
        clips = list(to_bytes(model.sample(count, classes, seed, sigma, frames=frames)).numpy())
    labels = model.labels_of(range(count), classes)
    shown = []
    for i, (clip, label) in enumerate(zip(clips, labels, strict=True)):
        text = f"clip {i}" + (f", {model.class_names[label]}" if model.experiment.conditional else "")
        text += ", levels from low to high" if asked.levels else ""
        shown.append(Shown(clip, text, pin=i, pinned=Pin(seed, i, label) in pins))
    return grid_of(shown, bool(asked.still))


def command_of(path: str, model: Model, asked: Asked) -> str:
    """The command that writes the clips of :func:`sample` as files.

    Args:
        path: of the model's run or folder, or its place on the Hub.

    Raises:
        UserError: for values that the model cannot take.
    """
    classes, seed, sigma = checked(model, asked)
    count, frames = whole_in("Clips", asked.count, 1, MOST_CLIPS), length(model, asked.frames)
    words = ["sample", path, "--out", "clips", "--clips", str(count), "--seed", str(seed)]
    words += [] if sigma is None else ["--sigma", f"{sigma:g}"]
    words += [] if frames is None else ["--frames", str(frames)]
    words += [] if classes is None else ["--classes", *classes]
    return shell([*words, "--levels"] if asked.levels else words)


def pinned(model: Model, asked: Asked, number: object, pins: Sequence[Pin]) -> list[Pin]:
    """The pins after clip ``number`` of what ``asked`` shows is pinned or let go; the last two stay.

    Raises:
        UserError: if there is no such clip.
    """
    classes, seed, _ = checked(model, asked)
    place = whole_in("Clip", number, 0, MOST_CLIPS - 1)
    pin = Pin(seed, place, model.labels_of([place], classes)[0])
    return [each for each in pins if each != pin] if pin in pins else [*pins, pin][-2:]


def words_of(pins: Sequence[Pin], model: Model) -> str:
    """Pinned clips in words."""
    if not pins:
        return "Pin two clips to see what lies between them."
    named = [
        f"clip {pin.number} of seed {pin.seed}"
        + (f" ({model.class_names[pin.label]})" if model.experiment.conditional else "")
        for pin in pins
    ]
    return "Pinned: " + " and ".join(named) + ("; pin one more." if len(pins) == 1 else ".")


def between(model: Model, asked: Asked, pins: Sequence[Pin], points: object) -> str:
    """Videos on the way from one pinned clip to the other as HTML (Clark et al. 2019, 4.4).

    Noise and class move at once, on straight lines; with one latent pinned twice by two classes, the class alone.

    Raises:
        UserError: without two pins, or for impossible values.
    """
    _, seed, sigma = checked(model, asked)
    count = whole_in("Points", points, 2, MOST_POINTS)
    if len(pins) != 2:
        raise UserError("pin two clips first")
    frames = length(model, asked.frames)
    require_small(count, frames, model)
    first, last = (End(pin.number, pin.label, pin.seed) for pin in pins)
    noise = truncation(sigma)
    video = model.sampler(frames, noise).interpolate(first, last, count, seed, noise)
    clips = to_bytes(video).numpy()
    texts = [f"{i} of {count - 1} from the first to the second" for i in range(count)]
    return grid_of(map(Shown, clips, texts), bool(asked.still))


def futures(model: Model, asked: Asked, source: Source) -> str:
    """Several continuations of the same frames as HTML, after what really followed where that is known.

    Raises:
        UserError: for values that the model cannot take.
    """
    classes, seed, sigma = checked(model, asked)
    count = whole_in("Clips", asked.count, 1, MOST_FUTURES)
    if classes is None and model.experiment.conditional and len(model.class_names) > 1:
        raise UserError("this model continues videos by class: choose one")
    given = to_float(torch.from_numpy(source.given)[None])[0]
    video = model.predict(given, count, classes, seed, sigma, length=predicted_length(model, asked.frames))
    made = [torch.cat([torch.from_numpy(source.given), each]).numpy() for each in to_bytes(video)]
    shown = [Shown(clip, f"future {i} of {source.name}") for i, clip in enumerate(made)]
    if source.truth is not None:
        whole = torch.cat([torch.from_numpy(source.given), torch.from_numpy(source.truth)]).numpy()
        shown.insert(0, Shown(whole, f"what really followed in {source.name}"))
    return grid_of(shown, bool(asked.still))


def predicted_length(model: Model, asked: object) -> int:
    """Frames of a continuation: as trained, or what is asked for."""
    trained = model.experiment.levels[0].frames
    return trained if asked is None else whole_in("Frames", asked, 1, TIMES * trained)


def uploaded(model: Model, file: object, start: object, asked: Asked) -> Source:
    """What a model is given of a file that a user dropped on the page.

    Raises:
        UserError: if it is no video or image, too large, or too short.
    """
    if not isinstance(file, str | Path) or not str(file):
        raise UserError("choose a video first")
    path = Path(file)
    if path.suffix.lower() not in UPLOADS:
        raise UserError(f"{path.suffix or 'a file without suffix'} is no video or image that is read here")
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_UPLOAD:
        raise UserError(f"the file is gone, or larger than {LARGEST_UPLOAD // 2**20} MiB")
    begin = whole_in("First frame", start, 0, MOST_STEPS)
    return read_source(path, model.experiment.levels[0], begin, predicted_length(model, asked.frames))


def of_dataset(
    served: Served, model: Model, name: object, clip: object, start: object, asked: Asked
) -> Source:
    """What a model is given of a clip of a dataset.

    Raises:
        UserError: if there is no such dataset or clip, or it is too short.
    """
    dataset = open_data(chosen(served.datasets(), name, "dataset"), model.experiment)
    index = whole_in("Clip", clip, 0, len(dataset) - 1)
    begin = whole_in("First frame", start, 0, MOST_STEPS)
    return clip_of(dataset, index, model.experiment.levels[0], begin, predicted_length(model, asked.frames))


def checked(model: Model, asked: Asked) -> tuple[list[str] | None, int, float | None]:
    """Classes (None: all), seed and deviation of the noise."""
    offered = model.class_names if model.experiment.conditional else ()
    label = one_of("Class", asked.label, (ALL, *offered))
    seed = whole_in("Seed", asked.seed, 0, MOST_STEPS)
    sigma = number_in("Truncation", asked.sigma, 0, 2)
    return None if label == ALL else [label], seed, None if sigma == 1 else sigma


def length(model: Model, asked: object) -> int | None:
    """Frames of a video; None: as trained."""
    trained = model.experiment.levels[-1].frames
    if asked is None:
        return None
    frames = whole_in("Frames", asked, trained, TIMES * trained)
    return None if frames == trained else frames


def require_small(count: int, frames: int | None, model: Model) -> None:
    """Raise :class:`UserError` for more than a page shows."""
    top = model.experiment.levels[-1]
    if 3 * count * (frames or top.frames) * top.size**2 > MOST_VALUES:
        raise UserError("that is more than a page can show: ask for fewer or shorter clips")


PIN: Final = """
element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-pin]");
    if (button) trigger("click", { pin: Number(button.dataset.pin) });
});
"""
"""tells the number of the clip whose button is pressed"""


def page(served: Served, jobs: Jobs) -> None:
    """Build the page."""
    import gradio as gr

    gr.HTML("<h1>Explore</h1>")
    names = list(served.models())
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="settings"):
            name = gr.Dropdown(names, value=names[0] if names else None, label="Model")
            words = gr.HTML()
            label = gr.Dropdown([ALL], value=ALL, label="Class")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_STEPS, interactive=False)
            sigma = gr.Slider(
                0, 1, 1, step=0.05, label="Truncation", info="standard deviation of the noise; 1 is none"
            )
            count = gr.Slider(1, MOST_CLIPS, 8, step=1, label="Clips")
            frames = gr.Slider(1, 2**16, 1, step=1, label="Frames")
            levels = gr.Checkbox(label="All levels side by side", visible=False)
            still = gr.Checkbox(label="Frames side by side, not moving")
            make = gr.Button("Make clips", variant="primary", interactive=False)
            another = gr.Button("Another seed", interactive=False)
        with gr.Column(scale=3, min_width=320):
            with gr.Column(visible=False) as given:
                with gr.Row():
                    data = gr.Dropdown(list(served.datasets()), label="Continue a clip of", min_width=WIDE)
                    clip = gr.Number(0, label="Clip", precision=0, minimum=0)
                    start = gr.Number(0, label="First frame", precision=0, minimum=0)
                gr.HTML(message("or a video of your own (its middle square is continued):", "note"))
                file = gr.File(label="Video or image", file_types=list(UPLOADS), type="filepath", height=120)
            clips = gr.HTML(js_on_load=PIN, elem_id="clips")
            with gr.Column() as interpolation:
                gr.HTML("<h2>Between two clips</h2>")
                pins_words = gr.HTML()
                with gr.Row(equal_height=False):
                    points = gr.Slider(2, MOST_POINTS, 6, step=1, label="Points between")
                    go = gr.Button("Interpolate", scale=0, min_width=160, interactive=False)
                way = gr.HTML(elem_id="way")
    pins = gr.State([])
    settings = [label, seed, sigma, count, frames, levels, still]
    source = [data, clip, start, file]
    # Nothing can be asked before a model is known: the lengths on the page are not its own, and Gradio refuses them.
    asking = [seed, make, another, go]

    def describe(name: object) -> list[Any]:
        if name is None:
            return [message(NONE_YET, "note"), *[gr.skip()] * 7, [], *[gr.skip()] * len(asking)]
        try:
            known = facts(served.model(str(name)))
        except UserError as fault:
            return [message(str(fault), "fault"), *[gr.skip()] * 7, [], *[gr.skip()] * len(asking)]
        longest = TIMES * known.frames
        least, step = (1, 1) if known.predicts else (known.frames, known.ratio)
        most = MOST_FUTURES if known.predicts else MOST_CLIPS
        first = known.classes[0] if known.predicts and known.classes else ALL
        choices = known.classes if known.predicts and known.classes else (ALL, *known.classes)
        return [
            message(known.words, "note"),
            gr.Dropdown(choices=list(choices), value=first, visible=bool(known.classes)),
            gr.Slider(minimum=least, maximum=longest, value=known.frames, step=step),
            gr.Slider(maximum=most, value=min(8, most)),
            gr.Checkbox(value=known.levels > 1, visible=known.levels > 1),
            gr.Column(visible=known.predicts),
            gr.Column(visible=not known.predicts),
            message(words_of([], served.model(str(name))), "note"),
            [],
            *[gr.update(interactive=True)] * len(asking),
        ]

    @told
    def show(name: object, pins: list[Pin], *values: Any) -> str:
        if name is None:
            return ""
        model, asked = served.model(str(name)), Asked(*values[:7])
        if not facts(model).predicts:
            path = str(name) if is_on_hub(str(name)) else str(served.models()[str(name)])
            files = Markup('<p class="note">The same as files: <code>{}</code></p>')
            return Markup(sample(model, asked, pins)) + files.format(command_of(path, model, asked))
        data, clip, start, file = values[7:]
        if file:
            return futures(model, asked, uploaded(model, file, start, asked))
        return futures(model, asked, of_dataset(served, model, data, clip, start, asked))

    def next_seed(seed: object) -> int:
        return 1 + int(seed) if isinstance(seed, int | float) and 0 <= seed < MOST_STEPS else 0

    def pin(name: object, pins: list[Pin], event: gr.EventData, *values: Any) -> list[Any]:
        try:
            model = served.model(str(name))
            now = pinned(model, Asked(*values), getattr(event, "pin", None), pins)
            return [now, message(words_of(now, model), "note")]
        except UserError as fault:
            return [pins, message(str(fault), "fault")]

    @told
    def interpolated(name: object, pins: list[Pin], points: object, *values: Any) -> str:
        return between(served.model(str(name)), Asked(*values), pins, points)

    described = [words, label, frames, count, levels, given, interpolation, pins_words, pins, *asking]
    everything = [name, pins, *settings, *source]
    shown = {"fn": show, "inputs": everything, "outputs": clips, "show_progress": "minimal"}
    gr.on([name.change], describe, name, described).then(**shown)
    changed = [file.upload, file.clear, data.input, clip.submit, start.submit]
    gr.on([make.click, seed.submit, *changed], **shown)
    another.click(next_seed, seed, seed).then(**shown)
    # Every click counts, also while one is answered, and each begins from the pins that the one before left.
    one_by_one = {"trigger_mode": "multiple", "concurrency_limit": 1, "show_progress": "hidden"}
    clips.click(pin, [name, pins, *settings], [pins, pins_words], **one_by_one).then(**shown)
    go.click(interpolated, [name, pins, points, *settings], way)
    loaded = gr.on(None, lambda: gr.Dropdown(choices=list(served.models())), None, name)
    loaded.then(describe, name, described).then(**shown)
