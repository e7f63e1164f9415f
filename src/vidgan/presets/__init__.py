"""Every experiment by name, as plain data; to add one, edit its paper's file and this list.

Others come from installed packages, and from the user's own Python or JSON file.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from vidgan.errors import UserError, did_you_mean
from vidgan.files import read_json
from vidgan.names import tell
from vidgan.presets import cpu, cvg, demo, dvd_gan, guide, ssw_gan, trivd_gan
from vidgan.run.experiment import Experiment
from vidgan.spec import from_json
from vidgan.user_code import Files, load_files, load_object, loaded_file

GROUPS: Mapping[str, tuple[Callable[[], Experiment], ...]] = {
    "Small, for a CPU": (
        demo.demo,
        demo.demo_prediction,
        demo.demo_prediction_variety,
        *demo.ALL,
        cpu.dvd_gan_8x64_cpu,
        cpu.dvd_gan_12x64_cpu,
        cpu.dvd_gan_fp_12x64_cpu,
        cpu.trivd_gan_fp_12x64_cpu,
    ),
    "DVD-GAN": (
        dvd_gan.dvd_gan_k600_12x64,
        dvd_gan.dvd_gan_k600_48x64,
        dvd_gan.dvd_gan_k600_12x128,
        dvd_gan.dvd_gan_k600_48x128,
        dvd_gan.dvd_gan_k600_12x256,
        dvd_gan.dvd_gan_k600_16x64_noskip,
        dvd_gan.dvd_gan_ucf101_16x128,
        dvd_gan.dvd_gan_ucf101_16x64_1gpu,
    ),
    "DVD-GAN-FP, which predicts frames": (
        dvd_gan.dvd_gan_fp_k600_16x64,
        dvd_gan.dvd_gan_fp_bair_16x64,
        trivd_gan.dvd_gan_fp_k600_16x64_states,
    ),
    "DVD-GAN, one thing changed at a time": dvd_gan.ALL,
    "TrIVD-GAN-FP": (
        trivd_gan.trivd_gan_fp_k600_16x64,
        trivd_gan.trivd_gan_fp_k600_16x64_w48,
        trivd_gan.trivd_gan_fp_ucf101_16x64,
        trivd_gan.trivd_gan_fp_bair_16x64,
    ),
    "TrIVD-GAN-FP's tables: discriminators, recurrent units, projection": trivd_gan.ALL,
    "SSW-GAN": (
        ssw_gan.ssw_gan_k600_48x128,
        ssw_gan.ssw_gan_k600_48x128_window3,
        ssw_gan.ssw_gan_k600_48x128_no_matching,
        ssw_gan.ssw_gan_k600_48x128_convgru,
        ssw_gan.ssw_gan_joint_12x64,
        ssw_gan.ssw_dvd_gan_k600_6x128,
        ssw_gan.ssw_dvd_gan_k600_50x128,
        ssw_gan.ssw_gan_bdd100k_100x128,
        ssw_gan.ssw_gan_bdd100k_6x128,
        ssw_gan.ssw_gan_bdd100k_6x128_no_matching,
    ),
    "CVG": (
        cvg.cvg_k600_48x128,
        cvg.cvg_k600_48x128_window3,
        cvg.cvg_k600_48x128_no_matching,
        cvg.cvg_ucf101_16x128,
        cvg.cvg_bdd100k_48x256,
        cvg.cvg_bdd100k_6x128,
        cvg.cvg_bdd100k_6x128_no_matching,
    ),
    "The practical guide: what collapses, and what cures it": guide.ALL,
}


def preset(name: str, code: Files = None) -> Experiment:
    """The experiment called ``name``: a preset of vidgan or of an installed package, or one's own.

    One's own is ``my_experiment.py:mine``, an experiment or a function that returns one, or a JSON file: what
    ``vidgan presets NAME --json`` prints, edited, or a run's ``experiment.json``.

    Args:
        code: the user's Python file or files whose classes a JSON file mentions.

    Raises:
        UserError: if there is no such experiment; names the nearest.
    """
    load_files(code)
    if name.endswith(".json"):
        return _read(Path(name))
    if ":" in name:
        return _experiment(name, load_object(name))
    found = offered(name)
    if found is None:
        near = did_you_mean(name, [*_own(), *_offers()])
        raise UserError(f"there is no preset {name!r}{near}; `vidgan presets` lists them")
    return found


def offered(name: str) -> Experiment | None:
    """The preset called ``name``, of vidgan or else of an installed package; None where there is none.

    Raises:
        UserError: if it is a package's and cannot be loaded.
    """
    if name in _own():
        return _own()[name]
    return _load(_offers()[name]) if name in _offers() else None


def of_loaded_code(name: str) -> Experiment | None:
    """The experiment that ``file.py:name`` names in a file of the user's that is imported already; None elsewhere.

    Files are told by their names alone, as their classes are in JSON.
    """
    file, _, attribute = name.rpartition(":")
    module = loaded_file(Path(file).name)
    return None if module is None else _experiment(name, getattr(module, attribute, None))


def presets() -> dict[str, Experiment]:
    """All experiments by name: vidgan's own and those of installed packages."""
    return {experiment.name: experiment for group in groups().values() for experiment in group}


def preset_names() -> tuple[str, ...]:
    """The names of all presets, vidgan's own first."""
    return tuple(presets())


def groups() -> dict[str, list[Experiment]]:
    """All experiments under the headings that they are listed by.

    Packages offer presets as entry points of the group ``vidgan.presets``: the preset's name, and a function that
    returns it. One that cannot be had is left out, and a line on standard error says why.
    """
    found = {title: [make() for make in group] for title, group in GROUPS.items()}
    for offer in _offers().values():
        title = f"Of the package {offer.dist.name if offer.dist else '?'}"
        try:
            found.setdefault(title, []).append(_load(offer))
        except UserError as error:
            tell(f"left out: {error}", to=sys.stderr)
    return {title: group for title, group in found.items() if group}


@functools.cache
def _own() -> dict[str, Experiment]:
    return {
        experiment.name: experiment for group in GROUPS.values() for experiment in (make() for make in group)
    }


@functools.cache
def _offers() -> dict[str, EntryPoint]:
    """What installed packages offer; a name that is taken is left out, and a line says so."""
    found: dict[str, EntryPoint] = {}
    for offer in entry_points(group="vidgan.presets"):
        if offer.name in _own() or offer.name in found:
            whose = "vidgan" if offer.name in _own() else "another package"
            tell(f"left out: {_said(offer)}: {whose} has a preset of that name", to=sys.stderr)
        else:
            found[offer.name] = offer
    return found


def _load(offer: EntryPoint) -> Experiment:
    """Raises :class:`UserError` in one line if it fails in any way."""
    try:
        experiment = _experiment(offer.value, offer.load())
    except Exception as error:
        text = " ".join(str(error).split())
        raise UserError(f"{_said(offer)} cannot be loaded: {type(error).__name__}: {text}") from error
    if experiment.name != offer.name:
        raise UserError(f"{_said(offer)} is an experiment of another name: {experiment.name}")
    return experiment


def _said(offer: EntryPoint) -> str:
    package = f" of the package {offer.dist.name}" if offer.dist else ""
    return f"the preset {offer.name}{package} ({offer.value})"


def _experiment(name: str, value: Any) -> Experiment:
    """An experiment, or what a function that takes no arguments makes."""
    made = value if isinstance(value, Experiment) or not callable(value) else value()
    if not isinstance(made, Experiment):
        raise UserError(
            f"{name} is no experiment, nor a function that returns one: got {type(made).__name__}"
        )
    return made


def _read(path: Path) -> Experiment:
    content = read_json(path)
    is_run = isinstance(content, dict) and "experiment" in content
    return from_json(Experiment, content["experiment"] if is_run else content)
