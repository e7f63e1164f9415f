"""Pages stay in step with the code: links, presets, our choices, verbs and options in examples."""

import contextlib
import io
import re
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from vidgan.cli import VERBS, main
from vidgan.cli.plot import KINDS
from vidgan.presets import presets

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PENDING = "<!-- picture to be made"
"""stands on the line before a picture that a demo run has yet to make"""
FORMS = {"sample": ("--interpolate",), "evaluate": ("--memorisation", "--train-classifier FILE")}
"""Options that give a verb others."""


def links(page: str) -> list[str]:
    """Targets of links and pictures; those of pictures that are still to be made are left out."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.M | re.S)
    text = re.sub(re.escape(PENDING) + r".*-->\n<img .*>", "", text)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img[^>]*\bsrc="([^"]+)"', text)


def commands(page: str) -> list[list[str]]:
    """The words after ``vidgan`` of every call in a page's shell blocks."""
    found = []
    for block in re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", page, flags=re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            names = [Path(word).name for word in words]
            if "vidgan" in names:
                found.append(words[names.index("vidgan") + 1 :])
    return found


def forms(verb: str, words: Sequence[str]) -> tuple[str, ...]:
    """The words of a call that decide which options there are."""
    if verb == "plot":
        return tuple(words[:1])
    found = [form for form in FORMS.get(verb, ()) if form.split()[0] in words]
    return tuple(found[0].split()) if found else ()


@cache
def options(*command: str) -> frozenset[str]:
    """The options that ``vidgan COMMAND --help`` explains."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([*command, "--help"]) == 0
    heads = re.findall(r"^[│ ] (?:-h, )?(--[\w.-]+(?:, --[\w.-]+)*)", said.getvalue(), flags=re.M)
    return frozenset(name for head in heads for name in head.split(", "))


def faults(words: list[str]) -> list[str]:
    """What is wrong with a call: an unknown verb, preset or option."""
    verb, *rest = words
    if verb.startswith("-"):
        return [] if verb in ("--help", "--version") else [verb]
    if verb not in VERBS:
        return [verb]
    command = [verb, *forms(verb, rest)]
    if verb in ("train", "plan"):
        own = re.fullmatch(r"[A-Z]+|\S+\.(py:\w+|json)", rest[0])  # which have the options of any other
        preset = "demo" if own else rest[0]
        if preset not in presets():
            return [preset]
        command += [preset, *(word for word in rest if word == "--tiny")]
    known = options(*command)
    given = [word.split("=")[0] for word in rest if word.startswith("--")]
    return [word for word in given if word not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page.read_text()):
        if re.match(r"[a-z]+:|#", target):
            continue
        assert (page.parent / target.split("#")[0]).exists(), target


def test_links_and_pictures_are_found() -> None:
    page = (
        f'[a](b.md#c) <img alt="x" src="d.png">\n{PENDING}: e.png -->\n<img src="e.png">\n```\n[f](g)\n```\n'
    )
    assert links(page) == ["b.md#c", "d.png"]


def test_every_preset_has_its_place() -> None:
    page = (ROOT / "docs" / "papers.md").read_text()
    assert [name for name in presets() if f"`{name}`" not in page] == []


def test_every_choice_of_ours_is_listed() -> None:
    package = ROOT / "src" / "vidgan"
    files = [path for path in package.rglob("*.py") if re.search(r"Our choice\b", path.read_text())]
    assert files, "the code names no choices: has the wording changed?"
    page = (ROOT / "docs" / "papers.md").read_text()
    assert [path.name for path in files if f"](../src/vidgan/{path.relative_to(package)})" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_exist(page: Path) -> None:
    for words in commands(page.read_text()):
        assert faults(words) == [], f"vidgan {shlex.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_in_prose_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    named = set(re.findall(r"`(--[a-z][\w.-]*)", text))
    trained = (
        [("train", preset) for preset in ("demo", "dvd-gan-k600-12x64", "ssw-gan-k600-48x128")]
        if named
        else []
    )
    others = [(verb,) for verb in VERBS if verb != "train"] if named else []
    others += [(verb, *form.split()) for verb in FORMS for form in FORMS[verb]]
    others += [("plot", kind) for kind in KINDS]
    assert named - set().union(*(options(*command) for command in [*others, *trained])) == set()


def test_faults_are_found() -> None:
    block = (
        "```sh\ntorchrun -m vidgan train demo --out a \\\n    --training.sead 1  # --no\n"
        ".venv/bin/vidgan smaple a\n```\n"
    )
    train, sample = commands(block)
    assert faults(train) == ["--training.sead"]
    assert faults(sample) == ["smaple"]
    assert faults(["train", "dmeo", "--out", "a"]) == ["dmeo"]
    assert faults(["sample", "a", "--clips", "3", "--clip=3"]) == ["--clip"]


def test_readme_names_the_test_command() -> None:
    assert any(line.startswith("make test") for line in (ROOT / "README.md").read_text().splitlines())
