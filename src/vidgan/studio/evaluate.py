"""The page Evaluate: a protocol is run, and its number stands beside published ones of the same protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from vidgan.cli.compare import read
from vidgan.cli.evaluate import readable
from vidgan.errors import UserError
from vidgan.evaluation.protocols import ALL, default_distance
from vidgan.evaluation.results import Published, apart, published
from vidgan.names import printable
from vidgan.report.collect import finite
from vidgan.report.scores import in_words
from vidgan.report.words import number, plain
from vidgan.studio.clips import WIDE, message
from vidgan.studio.jobs import Jobs, commands_of, shell
from vidgan.studio.served import Served, chosen
from vidgan.studio.telling import told
from vidgan.studio.values import one_of, whole_in

OWN: Final = "the data that it was trained on"
NO_FILE: Final = "none"
EVERY: Final = 5
"""seconds between two looks at what runs"""
MOST_CLIPS: Final = 100_000


def words_of(
    served: Served, name: object, protocol: object, data: object, clips: object, seed: object, weights: object
) -> list[str]:
    """The command that measures a model.

    Args:
        clips: of the model; 0: as many as the protocol says.
        weights: a file of a network's weights, by its name.

    Raises:
        UserError: for what is not offered.
    """
    path = chosen(served.models(), name, "model")
    words = ["evaluate", str(path), "--protocol", one_of("Protocol", protocol, list(ALL))]
    if data != OWN:
        words += ["--data", chosen(served.datasets(), data, "dataset")]
    if (asked := whole_in("Clips", clips, 0, MOST_CLIPS)) > 0:
        words += ["--clips", str(asked)]
    words += ["--seed", str(whole_in("Seed", seed, 0, 10**8 - 1))]
    if weights != NO_FILE:
        words += ["--weights", str(chosen(served.weights, weights, "file of weights"))]
    if served.micro_batch is not None:
        words += ["--micro-batch", str(served.micro_batch)]
    return words + ([] if served.device is None else ["--device", served.device])


def start(served: Served, jobs: Jobs, *asked: object) -> str:
    """Measure beside the page; in words."""
    words = words_of(served, *asked)
    job = jobs.start(f"evaluate {asked[0]} by {asked[1]}", words)
    return f"started as command {job.number}: {shell(words)}"


def results_of(path: Path, protocol: str) -> list[Mapping[str, Any]]:
    """The results of a model by a protocol, the newest first; none where there are none yet."""
    try:
        lines = [entry.line for entry in read(path)]
    except UserError:
        return []
    return [line for line in reversed(lines) if line["protocol"] == protocol]


def beside(served: Served, name: object, protocol: object) -> str:
    """A model's results by a protocol, and the published numbers of the same protocol, as HTML.

    A published number that is like the newest result in everything but the seed is marked; of each other one it is said
    what sets it apart.

    Raises:
        UserError: for a model or a protocol that is not there.
    """
    known = one_of("Protocol", protocol, list(ALL))
    own = results_of(chosen(served.models(), name, "model"), known)
    about = message(ALL[known].about, "note")
    warned = Markup("").join(message(text, "fault") for text in (own[0].get("warnings") or () if own else ()))
    rows = [row for row in published() if row.protocol == known]
    if own:
        mine = Markup("").join(map(_own_row, own[:10]))
        table = _table(f"Results of {name}", ("value", "clips", "step", "seed", "sampling"), mine)
    else:
        table = message(f"{name} has not been measured by {known} yet.")
    if not rows:
        return about + table + warned + message("No number by this protocol is printed in the papers.")
    printed = Markup("").join(_printed_row(row, own[0] if own else None) for row in rows)
    return (
        about
        + table
        + warned
        + _table(
            "Published numbers",
            ("model", "value", "where", "apart from the newest result" if own else "as printed"),
            printed,
        )
    )


def _own_row(line: Mapping[str, Any]) -> Markup:
    deviation = line.get("deviation") or {}
    spread = finite(deviation.get("value"))
    value = finite(line.get("value"))
    shown = (
        "not finite"
        if value is None
        else readable(value) + ("" if spread is None else f" ± {readable(spread)}")
    )
    sampling = line["settings"].get("sampling") or {}
    noise = (sampling.get("truncation") or {}).get("sigma")
    cells = (line.get("clips"), line.get("step"), line.get("seed"))
    return _row(shown, *(plain(cell) for cell in cells), "–" if noise is None else f"sigma {noise:g}")


def _printed_row(row: Published, line: Mapping[str, Any] | None) -> Markup:
    if line is None:
        how = in_words(row)
    else:
        what = apart(row, line)
        how = "nothing: like this result" if not what else "; ".join(what)
    deviation = "" if row.deviation is None else f" ± {row.deviation:g}"
    return _row(row.model, f"{number(row.value)}{deviation}", f"{row.printed_by}, {row.where}", how)


def _row(first: str, *cells: str) -> Markup:
    inner = Markup("").join(map(Markup("<td>{}</td>").format, map(printable, cells)))
    return Markup("<tr><th scope=row>{}</th>{}</tr>").format(printable(first), inner)


def _table(title: str, head: Sequence[str], rows: Markup) -> Markup:
    names = Markup("").join(map(Markup("<th scope=col>{}</th>").format, head))
    return Markup(
        '<h2>{}</h2><div class="wide" tabindex="0" role="region" aria-label="{}"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(title, title, names, rows)


def page(served: Served, jobs: Jobs) -> None:
    """Build the page."""
    import gradio as gr

    gr.HTML("<h1>Evaluate</h1>")
    there = list(served.models())
    with gr.Row():
        name = gr.Dropdown(there, value=there[0] if there else None, label="Model", min_width=WIDE)
        protocol = gr.Dropdown(list(ALL), value=default_distance(), label="Protocol", min_width=WIDE)
        data = gr.Dropdown([OWN, *served.datasets()], value=OWN, label="Against", min_width=WIDE)
    with gr.Row():
        clips = gr.Number(
            0, label="Clips (0: as the protocol says)", precision=0, minimum=0, maximum=MOST_CLIPS
        )
        seed = gr.Number(0, label="Seed", precision=0, minimum=0)
        weights = gr.Dropdown(
            [NO_FILE, *served.weights], value=NO_FILE, label="Weights of the network", min_width=WIDE
        )
    go = gr.Button("Measure", variant="primary")
    started = gr.HTML(elem_id="started")
    results = gr.HTML(elem_id="results")
    gr.HTML("<h2>Commands started here</h2>")
    commands = gr.HTML(elem_id="commands")
    stamp = gr.State(None)

    @told
    def show(name: object, protocol: object) -> str:
        return beside(served, name, protocol) if name else message("There is no model yet.")

    @told
    def measure(*asked: object) -> str:
        return message(start(served, jobs, *asked), "note")

    def look(name: object, protocol: object, stamp: object) -> list[Any]:
        now = [(job.number, job.state, job.lines()) for job in jobs.all]
        if now == stamp:
            return [gr.skip(), gr.skip(), stamp]
        return [show(name, protocol), commands_of(jobs), now]

    asked = [name, protocol, data, clips, seed, weights]
    gr.on([name.change, protocol.change], show, [name, protocol], results)
    go.click(measure, asked, started).then(lambda: commands_of(jobs), None, commands)
    gr.Timer(EVERY).tick(look, [name, protocol, stamp], [results, commands, stamp], show_progress="hidden")
    opened = gr.on(None, lambda: gr.Dropdown(choices=list(served.models())), None, name)
    opened.then(show, [name, protocol], results).then(lambda: commands_of(jobs), None, commands)
