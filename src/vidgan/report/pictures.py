"""Sample videos: by class beside real ones, and from fixed latents over training."""

import base64
import itertools
from collections.abc import Iterable, Sequence
from html import escape

from vidgan.report.collect import ClassClips, Collected, FixedSample, Picture
from vidgan.report.words import command, count, number, resuming
from vidgan.sample.previews import COLUMNS, ROWS

BUDGET = 12_000_000
"""bytes of pictures in a section; a page must open on a phone"""
STEPS = 10
"""steps at which fixed latents are shown"""
PER_CLASS = 4
TILE = 96
"""side of a clip on a wide screen, CSS pixels, about"""
GAP = 2
"""pixels between the clips of a preview"""


def data_uri(picture: Picture) -> str:
    """The file itself, inside the page."""
    return "data:image/webp;base64," + base64.b64encode(picture.path.read_bytes()).decode("ascii")


def image(picture: Picture, text: str, width: int) -> str:
    """An image element; it is enlarged without smoothing."""
    height = round(width * picture.height / picture.width)
    return (
        f'<img src="{data_uri(picture)}" alt="{escape(text)}" title="{escape(text)}" '
        f'width="{width}" height="{height}">'
    )


def enlarged(picture: Picture) -> int:
    """Width at which a clip is shown: a whole multiple of its own, near :data:`TILE`."""
    return picture.width * max(1, TILE // picture.width)


def by_class(shown: Collected) -> str:
    """Rows of classes: generated clips, then real ones."""
    if not shown.classes:
        return missing_clips(shown)
    affordable = len(list(within(BUDGET, (weight(clips) for clips in shown.classes))))
    classes = shown.classes[: max(1, affordable)]
    left = len(shown.classes) - len(classes)
    of = f"the first {len(classes)} of {len(shown.classes)} classes" if left else "each class"
    note = (
        f"<p class=note>The first clips of {of} in <code>samples/classes</code>, not chosen by their looks; "
        "they play over and over.</p>"
    )
    head = (
        "<div class='class head' aria-hidden=true><span></span><span>Generated</span><span>Real</span></div>"
    )
    return note + f"<div class=classes>{head}{''.join(class_row(clips) for clips in classes)}</div>"


def weight(clips: ClassClips) -> int:
    """Bytes of the pictures shown of a class."""
    return sum(picture.bytes for picture in [*clips.fake[:PER_CLASS], *clips.real[:PER_CLASS]])


def within(budget: int, weights: Iterable[int]) -> Iterable[int]:
    """The sums of leading weights that stay within a budget."""
    return itertools.takewhile(lambda total: total <= budget, itertools.accumulate(weights))


def class_row(clips: ClassClips) -> str:
    """A class: its name, generated and real clips."""
    columns = "".join(
        f'<div class="clips {kind}">{tiles(pictures, clips.name, word) or f"<em>no {word} clips</em>"}</div>'
        for kind, word, pictures in (("fake", "generated", clips.fake), ("real", "real", clips.real))
    )
    return f"<div class=class><h3>{escape(clips.name)}</h3>{columns}</div>"


def tiles(pictures: Sequence[Picture], name: str, word: str) -> str:
    """The first clips of a kind."""
    return "".join(
        image(picture, f"{name}, {word} {i + 1}", enlarged(picture))
        for i, picture in enumerate(pictures[:PER_CLASS])
    )


def missing_clips(shown: Collected) -> str:
    """What to do about clips that are not there."""
    run = str(shown.run.path)
    if shown.run.experiment.levels[0].context_frames:
        made = command("vidgan", "predict", run, "VIDEO", "--out", "futures")
        return f'<p class="missing">This model continues videos; {made} makes continuations.</p>'
    clips = str(PER_CLASS * min(len(shown.run.class_names), 24))
    folder = str(shown.run.samples / "classes")
    made = command("vidgan", "sample", run, "--out", folder, "--clips", clips, "--format", "webp")
    return f'<p class="missing">No sample clips yet. Make them with {made}, then write this page again.</p>'


def over_training(shown: Collected) -> str:
    """The same latents at several steps: a row per step, for every level."""
    if not shown.fixed:
        every = shown.run.experiment.reporting.samples
        return (
            f'<p class="missing">No samples from fixed latents yet: training writes them every {count(every, "step")} '
            f"and at its end; {resuming(shown.record)} goes on.</p>"
        )
    levels = sorted({sample.level for sample in shown.fixed})
    found = ""
    for level in levels:
        samples = [sample for sample in shown.fixed if sample.level == level]
        heading = f"<h3>Level {level}</h3>" if len(shown.run.experiment.levels) > 1 else ""
        found += heading + level_over_training(shown, samples)
    return found


def level_over_training(shown: Collected, samples: Sequence[FixedSample]) -> str:
    """Rows of one level; the rest of each grid opens with a check box, without script."""
    picked = pick(samples)
    level = samples[0].level
    some = f"{len(picked)} of {len(samples)} steps that were kept. " if len(picked) < len(samples) else ""
    rows = "".join(fixed_row(sample) for sample in picked)
    return (
        f'<figure class=fixed><input type=checkbox id="all-{level}">'
        f"{column_names(shown)}<div class=steps>{rows}</div>"
        f"<figcaption>{some}Each column keeps its latent{' and class' if labelled(shown) else ''} throughout. "
        f'<label for="all-{level}">show all {COLUMNS * ROWS} clips at every step</label></figcaption></figure>'
    )


def pick(samples: Sequence[FixedSample]) -> Sequence[FixedSample]:
    """At most :data:`STEPS` samples within the budget, evenly over training, with the first and the last."""
    largest = max(sample.picture.bytes for sample in samples)
    number_shown = min(len(samples), STEPS, max(2, BUDGET // max(1, largest)))
    if number_shown == 1:
        return samples
    places = [round(i * (len(samples) - 1) / (number_shown - 1)) for i in range(number_shown)]
    return [samples[place] for place in places]


def fixed_row(sample: FixedSample) -> str:
    """A step: the style sheet cuts the first row of clips out of the grid, and the gaps between clips."""
    picture = sample.picture
    across, down = (picture.width + GAP) / COLUMNS, (picture.height + GAP) / ROWS
    shares = {
        "clip-x": (across - GAP) / picture.width,
        "next-x": across / picture.width,
        "clip-y": (down - GAP) / picture.height,
        "next-y": down / picture.height,
    }
    style = "".join(f"--{name}:{share:.4%};" for name, share in shares.items())
    style += f"--row:{picture.width}/{down - GAP:g};--whole:{picture.width}/{picture.height}"
    shown = image(picture, f"fixed latents at step {sample.step}", picture.width)
    return (
        f"<div class=step><span>{number(sample.step)}</span>"
        f'<div class=crop style="{style}">{shown}</div></div>'
    )


def labelled(shown: Collected) -> bool:
    """Whether a column of the previews shows a single class."""
    experiment = shown.run.experiment
    names = shown.run.class_names
    generates = experiment.conditional and not experiment.levels[0].context_frames
    return generates and len(names) == experiment.classes and COLUMNS % len(names) == 0


def column_names(shown: Collected) -> str:
    """The classes of the columns, where each shows one."""
    if not labelled(shown):
        return ""
    names = shown.run.class_names
    cells = "".join(f"<span>{escape(names[i % len(names)])}</span>" for i in range(COLUMNS))
    return f'<div class="step names"><span>step</span><div>{cells}</div></div>'
