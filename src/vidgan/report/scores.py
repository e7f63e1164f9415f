"""What a preset's paper scored, by which protocol, and the command that measures a run of it so."""

from collections.abc import Mapping, Sequence
from typing import Final

from vidgan.errors import UserError
from vidgan.evaluation.protocols import ALL
from vidgan.evaluation.protocols.networks import C3DFeatures
from vidgan.evaluation.results import Published, published
from vidgan.run.experiment import Experiment, whole_window

WEIGHTS: Final = {
    "I3D (Kinetics-400)": "i3d-400.pt",
    "I3D (Kinetics-600)": "i3d-600.pt",
    "C3D (UCF-101)": "c3d.npz",
    "R(2+1)D-18 (Kinetics-400)": "r2plus1d.pth",
}
"""file names that stand for weights in commands; docs/evaluation.md says where they come from"""
DATA: Final = {
    **{"Kinetics-600": "k600", "Kinetics-400": "k400"},
    **{"UCF-101": "ucf101", "BAIR": "bair", "BDD100K": "bdd100k"},
}
"""folder names that stand for prepared data, followed by the split"""
# Our choice: SSW-GAN, CVG and the Guide do not say of which split their real clips are.
UNNAMED_SPLIT: Final = "train"
"""where a paper names no split: that of DVD-GAN, whose scores two of them are printed beside"""
MEASURED: Final[Mapping[str, tuple[str, ...]]] = {
    "demo": ("demo", "synthesis"),
    "demo-prediction": ("prediction",),
    "demo-prediction-variety": ("prediction",),
    "demo-cascade": ("matching",),
    "demo-cascade-no-matching": ("matching",),
    "dvd-gan-8x64-cpu": ("weizmann",),
}
"""pages of docs/results with what runs of a preset as it is scored here"""


def scores_of(experiment: Experiment) -> list[str]:
    """Lines that say what the paper of a preset scored with it and what was scored here, with commands."""
    groups = together([row for row in published() if row.preset == experiment.name], experiment)
    said = "What its paper scored, by which protocol, and the command that measures a run so:"
    lines = [said if groups else "What its paper scored: it prints no number"]
    for rows in groups:
        lines += [f"  {row.where}: {in_words(row)}" for row in rows]
        lines.append(f"    {command(rows, experiment)}")
        if rows[0].step is not None and fault(rows[0], experiment) is None:
            lines += ["    of a run that has this checkpoint:", f"    {training(experiment, rows[0].step)}"]
    pages = ", ".join(f"docs/results/{page}.md" for page in MEASURED.get(experiment.name, ()))
    lines.append(f"What was scored here: {pages or 'nothing yet; it has not been trained at this size'}")
    return lines


def training(experiment: Experiment, step: int) -> str:
    """The command that trains a run of the preset whose checkpoint of ``step`` stays; of a cascade, that ends there, as
    the levels below its last one then have so many steps too."""
    kept = "--reporting.keep-at" if len(experiment.levels) == 1 else "--steps"
    return f"vidgan train {experiment.name} --data DATA --out runs/{experiment.name} {kept} {step}"


def together(rows: Sequence[Published], experiment: Experiment) -> list[list[Published]]:
    """The rows of a preset, those together that one command measures: of one table, data, split and options.

    Rows of no split are measured with the first one of their table.
    """
    alike: dict[tuple[str, str, str], list[Published]] = {}
    for row in rows:
        alike.setdefault((row.where, row.data, options(row, experiment)), []).append(row)
    groups: list[list[Published]] = []
    for found in alike.values():
        named = (row.split for row in found if row.split is not None)
        splits: list[str | None] = [*dict.fromkeys(named)] or [None]
        groups += [[row for row in found if (row.split or splits[0]) == split] for split in splits]
    return groups


def in_words(row: Published) -> str:
    """A printed number and what is printed of its protocol."""
    deviation = "" if row.deviation is None else f" ± {row.deviation:g}"
    facts = [
        row.model,
        row.protocol or "no protocol here",
        row.data + ("" if row.split is None else f" {row.split}"),
        *([] if row.category is None else [row.category]),
        *([] if row.frames is None else [f"{row.frames} frames"]),
        *([] if row.clips is None else [f"{row.clips} clips"]),
        *(["truncated"] if row.truncated else []),
        *([] if row.presumed is None else [f"presumed: {row.presumed}"]),
        *([] if row.note is None else [row.note]),
    ]
    return f"{row.value:g}{deviation} ({'; '.join(facts)})"


def command(rows: Sequence[Published], experiment: Experiment) -> str:
    """The command that measures a run of the preset as rows that stand :func:`together` were, or why there is none."""
    row = rows[0]
    if why := fault(row, experiment):
        return f"no command: {why}"
    named = [ALL[str(each.protocol)].protocol for each in rows]
    split = next((each.split for each in rows if each.split is not None), UNNAMED_SPLIT)
    data = f" --data data/{DATA[row.data]}-{split}" if row.given or any(each.real for each in named) else ""
    protocols = " ".join(dict.fromkeys(str(each.protocol) for each in rows))
    classes = dict.fromkeys(f'"{each.category}"' for each in rows if each.category is not None)
    chosen = f" --clips {len(classes) * (row.clips or 0)} --classes {' '.join(classes)}" if classes else ""
    return f"vidgan evaluate runs/{experiment.name}{data} --protocol {protocols}{options(row, experiment)}{chosen}"


def fault(row: Published, experiment: Experiment) -> str | None:
    """Why a run of the preset cannot be measured as a row was; None where it can."""
    if row.protocol is None:
        return row.note
    whole = whole_window(experiment)
    if row.frames is not None and row.frames > whole.frames:
        return f"this preset makes {whole.frames} frames"
    try:
        ALL[row.protocol].protocol.features.check_form(row.frames or whole.frames, whole.size)
    except UserError as refusal:
        return str(refusal)
    return None


def options(row: Published, experiment: Experiment) -> str:
    """Options of ``vidgan evaluate`` besides data and protocol, or why a row cannot be measured."""
    if why := fault(row, experiment):
        return why
    features, words = ALL[str(row.protocol)].protocol.features, []
    if features.weights_of is not None:
        words.append(f"--weights {WEIGHTS[features.weights_of]}")
    if isinstance(features, C3DFeatures):
        words.append("--mean-clip mean2.npz")
    whole = whole_window(experiment).frames
    if row.frames is not None and row.frames != whole:
        words.append(f"--frames {row.frames}")
        if (row.whole or row.frames) != whole:
            words.append("--random-window")
    for option, number in (("--clips", row.clips), ("--real-clips", row.real_clips)):
        if number is not None and row.category is None:
            words.append(f"{option} {number}")
    for option, number in (("--windows", row.windows), ("--runs", row.runs), ("--checkpoint", row.step)):
        if number is not None:
            words.append(f"{option} {number}")
    if row.truncated:
        words.append("--sigma SIGMA")
    return "".join(f" {word}" for word in words)
