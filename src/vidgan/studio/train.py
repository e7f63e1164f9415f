"""The page Train: curves of runs, what the collapse detector sees, fixed latents; runs started and stopped."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from vidgan.errors import UserError
from vidgan.presets import preset, preset_names
from vidgan.report.collect import FixedSample
from vidgan.report.words import number
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.studio import curves
from vidgan.studio.clips import WIDE, message
from vidgan.studio.curves import FIRST, Standing, all_charts, charts_as_html, kind_of, standing, table_of
from vidgan.studio.jobs import Jobs, answer_of, commands_of, shell
from vidgan.studio.served import Served, chosen
from vidgan.studio.settings import form_of, options_of
from vidgan.studio.telling import told
from vidgan.studio.values import one_of

MOST_RUNS: Final = 8
"""runs whose curves stand in one chart"""
NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
"""of a run's folder"""
EVERY: Final = 10
"""seconds between two looks at the runs"""
AT_FIRST: Final = "demo"
"""the preset that is chosen at first"""


class Planned(NamedTuple):
    """A training that can be started: its plan was shown."""

    words: tuple[str, ...]
    """of the command"""
    out: str


def standings(served: Served) -> tuple[list[Standing], list[str]]:
    """How all runs stand, and what could not be read, in a line each."""
    found, faults = [], []
    for name, path in served.runs().items():
        try:
            found.append(standing(name, path))
        except UserError as fault:
            faults.append(str(fault))
    return found, faults


def overview(served: Served) -> str:
    """All runs as HTML."""
    found, faults = standings(served)
    lines = Markup("").join(message(fault, "fault") for fault in faults)
    return (table_of(found) if found else message("There is no run yet.")) + lines


def shown_runs(served: Served, names: object) -> list[Standing]:
    """How the runs called ``names`` stand.

    Raises:
        UserError: if one is not there, or there are too many.
    """
    if not isinstance(names, list | tuple) or len(names) > MOST_RUNS:
        raise UserError(f"choose at most {MOST_RUNS} runs")
    known = served.runs()
    return [standing(name, chosen(known, name, "run")) for name in names]


def kinds(runs: Sequence[Standing]) -> list[str]:
    """What charts there are of some runs."""
    return list(dict.fromkeys(map(kind_of, all_charts(runs))))


def drawn(served: Served, names: object, wanted: object) -> str:
    """Charts of some runs as HTML.

    Args:
        wanted: the kinds of charts.

    Raises:
        UserError: for runs or kinds that are not there.
    """
    runs = shown_runs(served, names)
    if not runs:
        return message("Choose runs to see their curves.")
    charts = all_charts(runs)
    asked = (
        [one_of("Chart", each, list(map(kind_of, charts))) for each in wanted or ()]
        if isinstance(wanted, list)
        else []
    )
    found = [each for each in charts if kind_of(each) in asked]
    problems = Markup("").join(message(f"{run.name}: {each}") for run in runs for each in run.shown.problems)
    if not charts:
        return message("These runs have no log lines yet.") + problems
    return (charts_as_html(found) if found else message("Choose what to draw.")) + problems


def fixed_samples(served: Served, name: object) -> Sequence[FixedSample]:
    """What a run's fixed latents gave over time; raises :class:`UserError` for another run."""
    return standing(str(name), chosen(served.runs(), name, "run")).shown.fixed


def fixed_at(served: Served, name: object, place: object) -> str:
    """One of them as HTML, by its number from 0; the last where there are fewer.

    Raises:
        UserError: for another run.
    """
    samples = fixed_samples(served, name)
    if not samples:
        return message("This run has written no samples from fixed latents yet.")
    last = len(samples) - 1
    index = min(max(int(place), 0), last) if isinstance(place, int | float) and place == place else last
    sample = samples[index]
    said = f"level {sample.level}, step {number(sample.step)}"
    picture = sample.picture
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return Markup(
        '<figure class="fixed-latents"><img src="data:image/webp;base64,{}" alt="clips from fixed latents, {}" '
        'width="{}" height="{}"><figcaption>{} ({} of {}); each place keeps its latent and class</figcaption></figure>'
    ).format(data, said, picture.width, picture.height, said, index + 1, len(samples))


def experiment_of(served: Served, name: object, is_tiny: object) -> Experiment:
    """The experiment of a preset; raises :class:`UserError` where there is none of this name."""
    found = preset(one_of("Preset", name, preset_names()))
    return tiny(found) if is_tiny else found


def plan(
    served: Served, name: object, is_tiny: object, data: object, folder: object, changed: object
) -> tuple[str, Planned | None]:
    """What ``vidgan plan`` says of a training, and the command that starts it.

    Args:
        folder: name of the run's own, in the folder for runs; without one, the plan is shown and nothing can start.
        changed: texts of settings by their names.

    Raises:
        UserError: for what cannot be trained so.
    """
    if served.out is None:
        raise UserError("this studio starts no runs")
    experiment = experiment_of(served, name, is_tiny)
    source = chosen(served.datasets(), data, "dataset")
    named = folder not in ("", None)
    if named and not (isinstance(folder, str) and NAME.fullmatch(folder)):
        raise UserError(
            "the run's name has letters, digits, points, hyphens and underscores, and begins with one of the first two"
        )
    out = served.out / (str(folder) if named else "NAME")
    if named and (out.exists() or out.is_symlink()):
        raise UserError(f"{out} exists: choose another name")
    common = [str(name), *(["--tiny"] if is_tiny else []), *options_of(experiment, changed)]
    text = answer_of(["plan", *common])
    device = [] if served.device is None else ["--device", served.device]
    words = ["train", *common, "--data", source, "--out", str(out), *device]
    shown = Markup('<pre class="plan" tabindex="0">{}</pre><p>{}: <code>{}</code></p>').format(
        text, "This will run" if named else "Give the run a name, and this will run", shell(words)
    )
    return shown, Planned(tuple(words), str(out)) if named else None


def start(jobs: Jobs, planned: object) -> str:
    """Start what was planned, in words.

    Raises:
        UserError: where nothing was, or too much runs.
    """
    if not isinstance(planned, Planned):
        raise UserError("give the run a name and look at its plan first")
    if Path(planned.out).exists():
        raise UserError(f"{planned.out} has been started already")
    job = jobs.start(f"train {planned.out}", planned.words)
    return f"started as command {job.number}; it goes on when the studio ends"


def stop(served: Served, name: object) -> str:
    """Tell a run to save and stop, in words; raises :class:`UserError` where nobody trains there."""
    pid = curves.stop(chosen(served.runs(), name, "run"))
    return f"told process {pid} to save and stop {name}"


def page(served: Served, jobs: Jobs) -> None:
    """Build the page."""
    import gradio as gr

    gr.HTML("<h1>Runs</h1>")
    table = gr.HTML(elem_id="runs")
    with gr.Row():
        names = gr.Dropdown([], multiselect=True, max_choices=MOST_RUNS, label="Curves of", min_width=WIDE)
        wanted = gr.Dropdown([], multiselect=True, label="Charts", min_width=WIDE)
    charts = gr.HTML(elem_id="charts", js_on_load=reading())
    gr.HTML("<h2>Fixed latents over time</h2>")
    with gr.Row():
        run = gr.Dropdown([], label="Run", min_width=WIDE)
        place = gr.Slider(0, 1, 0, step=1, label="Time", min_width=WIDE)
    fixed = gr.HTML(elem_id="fixed")
    gr.HTML("<h2>Stop a run</h2>")
    with gr.Row(equal_height=False):
        stopping = gr.Dropdown([], label="Run that trains")
        end = gr.Button("Save and stop", scale=0, min_width=160)
    stopped = gr.HTML(elem_id="stopped")
    gr.HTML("<h2>Start a run</h2>")
    with gr.Row():
        name = gr.Dropdown(preset_names(), value=AT_FIRST, label="Preset", min_width=WIDE)
        data = gr.Dropdown(list(served.datasets()), label="Data", min_width=WIDE)
        folder = gr.Textbox("", label="Name of the run", max_length=100)
        small = gr.Checkbox(label="Tiny: steps take seconds, results mean nothing")
    # There from the start: one that came later would take the place of what a user has typed already.
    form = gr.HTML(form_of(preset(AT_FIRST)), elem_id="form", js_on_load=SENDING)
    planned_words = gr.HTML(elem_id="plan")
    begin = gr.Button("Start", variant="primary")
    started = gr.HTML(elem_id="started")
    gr.HTML("<h2>Commands started here</h2>")
    commands = gr.HTML(elem_id="commands")
    planned, stamp = gr.State(None), gr.State(None)

    @told
    def form_for(name: object, small: object) -> str:
        return form_of(experiment_of(served, name, small))

    def planning(name: object, small: object, data: object, folder: object, event: gr.EventData) -> list[Any]:
        made: list[Planned | None] = []

        @told
        def words() -> str:
            text, ready = plan(served, name, small, data, folder, getattr(event, "changed", None))
            made.append(ready)
            return text

        return [words(), made[0] if made else None, ""]

    @told
    def starting(planned: object) -> str:
        return message(start(jobs, planned), "note")

    @told
    def ending(name: object) -> str:
        return message(stop(served, name), "note")

    @told
    def curves_of(names: object, wanted: object) -> str:
        return drawn(served, names, wanted)

    def charts_for(names: object) -> Any:
        try:
            offered = kinds(shown_runs(served, names))
        except UserError:
            offered = []
        return gr.Dropdown(choices=offered, value=[each for each in offered if each in FIRST])

    def times(name: object) -> Any:
        try:
            last = max(len(fixed_samples(served, name)) - 1, 0)
        except UserError:
            last = 0
        return gr.Slider(maximum=max(last, 1), value=last)

    @told
    def latents(name: object, place: object) -> str:
        return fixed_at(served, name, place) if name else message("There is no run yet.")

    def loaded() -> list[Any]:
        there = list(served.runs())
        newest = at_first(served)
        return [
            overview(served),
            gr.Dropdown(choices=there, value=newest),
            gr.Dropdown(choices=there, value=newest[0] if newest else None),
            gr.Dropdown(choices=trained(served)),
            commands_of(jobs),
        ]

    def look(names: object, wanted: object, stamp: object) -> list[Any]:
        now, before = seen(served), stamp if isinstance(stamp, Seen) else Seen((), (), ())
        said = commands_of(jobs)
        if now == before:
            return [gr.skip()] * 4 + [said, stamp]
        # A list that a user is choosing from is left alone unless other things are in it.
        there = gr.skip() if now.there == before.there else gr.Dropdown(choices=list(now.there))
        trains = gr.skip() if now.trained == before.trained else gr.Dropdown(choices=list(now.trained))
        return [overview(served), there, trains, curves_of(names, wanted), said, now]

    gr.on(None, loaded, None, [table, names, run, stopping, commands])
    gr.on([name.change, small.change], form_for, [name, small], form)
    names.change(charts_for, names, wanted)
    wanted.change(curves_of, [names, wanted], charts, show_progress="hidden")
    run.change(times, run, place).then(latents, [run, place], fixed)
    place.change(latents, [run, place], fixed, show_progress="hidden")
    form.submit(planning, [name, small, data, folder], [planned_words, planned, started])
    begin.click(starting, planned, started).then(lambda: commands_of(jobs), None, commands)
    end.click(ending, stopping, stopped)
    outputs = [table, names, stopping, charts, commands, stamp]
    gr.Timer(EVERY).tick(look, [names, wanted, stamp], outputs, show_progress="hidden")


def at_first(served: Served) -> list[str]:
    """The runs that are drawn before any is chosen: the newest of those that were named, or else of all."""
    runs = served.runs()
    named = [name for name in runs if name in served.named()] or list(runs)
    return sorted(named, key=lambda name: changes(runs[name]), reverse=True)[:3]


class Seen(NamedTuple):
    """What a look at the runs found; where the next finds the same, the page stays as it is."""

    there: tuple[str, ...]
    trained: tuple[str, ...]
    """the runs that are being trained: none of its files needs to change when a training ends"""
    changed: tuple[int, ...]


def seen(served: Served) -> Seen:
    """Look at the runs."""
    runs = served.runs()
    return Seen(tuple(runs), tuple(trained(served)), tuple(map(changes, runs.values())))


def trained(served: Served) -> list[str]:
    """Runs that are being trained on this machine."""
    return [name for name, path in served.runs().items() if curves.holder_of(path) is not None]


def changes(path: Path) -> int:
    """When a run was changed last."""
    files = [*path.glob("*.jsonl"), *path.glob("*.json"), path / "samples" / "fixed"]
    return max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)


def reading() -> str:
    """The script by which charts are read, whenever they have been drawn."""
    from vidgan.report.page import environment

    source = environment().get_template("chart.js").render().replace('"use strict";', "")
    return (
        f"{source}\nconst all = () => element.querySelectorAll('.chart svg').forEach(readable);\n"
        "all(); watch('value', all);"
    )


SENDING: Final = """
element.addEventListener("submit", (event) => {
    event.preventDefault();
    const changed = {};
    for (const field of element.querySelectorAll("[data-name]"))
        if (field.value !== field.dataset.default) changed[field.dataset.name] = field.value;
    trigger("submit", { changed });
});
"""
"""sends what was changed in the form"""
