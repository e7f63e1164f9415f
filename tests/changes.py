"""What one preset changes of another, place by place."""

from vidgan.presets import preset
from vidgan.run.experiment import Experiment
from vidgan.spec import to_json


def leaves(experiment: Experiment) -> dict[str, object]:
    """Every value of the experiment by its place, without the texts that describe it."""
    table: dict[str, object] = {}

    def walk(value: object, place: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{place}.{key}" if place else key)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for index, item in enumerate(value):
                walk(item, f"{place}.{index}")
        else:
            table[place] = value

    walk(to_json(experiment), "")
    return {k: v for k, v in table.items() if k not in ("name", "description", "source", "deviations")}


def changed(child: str, parent: str) -> dict[str, object]:
    """What ``child`` changes or adds, and None for what it drops."""
    ours, theirs = leaves(preset(child)), leaves(preset(parent))
    return {place: ours.get(place) for place in ours | theirs if ours.get(place) != theirs.get(place)}


def fields(child: str, parent: str) -> set[str]:
    """Top places of what changes: the level's field, or the training's."""
    cut = {place.removeprefix("levels.0.") for place in changed(child, parent)}
    return {".".join(place.split(".")[:2]) for place in cut}
