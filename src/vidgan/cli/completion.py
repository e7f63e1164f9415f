"""``vidgan completion SHELL``: a script by which a shell completes verbs, presets and options.

The script holds the words itself, so that completing starts no Python: options of the verbs as their help lists them,
and of experiments those that the preset ``demo`` has.
"""

import contextlib
import importlib
import io
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import tyro

from vidgan.cli import VERBS
from vidgan.cli.parse import option_set, parse
from vidgan.cli.plot import KINDS
from vidgan.errors import UserError, did_you_mean
from vidgan.evaluation.protocols import ALL
from vidgan.presets import preset_names
from vidgan.sample.video_io import FORMATS

CHOICES: Final = re.compile(r"(--[a-z0-9][\w.-]*)\s+\[?\{([^}]+)\}")
"""an option whose help lists its values"""
OPTION: Final = re.compile(r"^[\s│]*(?:-\w, )?(--[a-z0-9][\w.-]*)", flags=re.M)
COLOUR: Final = re.compile("\x1b\\[[0-9;]*m")
FORMS: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "train": (("demo",),),
    "plan": (("demo",),),
    "evaluate": ((), ("--memorisation",), ("--train-classifier", "FILE")),
    "sample": ((), ("--interpolate",)),
    "plot": tuple((kind,) for kind in KINDS),
}
"""what stands between a verb and ``--help`` where several sets of options exist; all of them are offered"""
AFTER: Final[Mapping[str, Sequence[str]]] = {"plot": tuple(KINDS)}
"""words that come first after a verb, besides presets"""
NAMED: Final[Mapping[str, Sequence[str]]] = {
    "--protocol": tuple(ALL),
    "--reporting.best.protocol": tuple(ALL),
    "--reporting.evaluate": tuple(ALL),
    "--format": tuple(suffix.removeprefix(".") for suffix in FORMATS),
}
"""values of options whose help does not list them"""
OF_PRESETS: Final = ("train", "plan", "presets")


@option_set
class Options:
    """Prints a script that completes vidgan's words in a shell: bash, zsh or fish.

    Write it to a file once, which the shell reads when it starts: making it takes seconds.
    vidgan completion bash > ~/.vidgan-completion; in ~/.bashrc: source ~/.vidgan-completion
    """

    shell: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="bash|zsh|fish")]
    """whose script"""


class Words(NamedTuple):
    """What may stand where."""

    verbs: Mapping[str, str]
    """and what they do"""
    first: Mapping[str, Sequence[str]]
    """what may come first after a verb, besides files"""
    options: Mapping[str, Mapping[str, Sequence[str]]]
    """of each verb, with the values of each where they are known"""


def run(args: list[str]) -> int:
    """Parse ``args`` and print the script."""
    shell = parse(Options, "completion", args).shell
    if shell not in SCRIPTS:
        raise UserError(
            f"there is no script for {shell!r}{did_you_mean(shell, list(SCRIPTS))}; there are: {', '.join(SCRIPTS)}"
        )
    print(SCRIPTS[shell](words()), end="")
    return 0


def words() -> Words:
    """Of all verbs."""
    first = {**AFTER, **{verb: preset_names() for verb in OF_PRESETS}}
    return Words(VERBS, first, {verb: options_of(verb) for verb in VERBS})


def options_of(verb: str) -> dict[str, Sequence[str]]:
    """The options that a verb's help lists, of all its forms, and their values where they are known."""
    found: dict[str, Sequence[str]] = {}
    for form in FORMS.get(verb, ((),)):
        said = io.StringIO()
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
            importlib.import_module(f"vidgan.cli.{verb}").run([*form, "--help"])
        text = COLOUR.sub("", said.getvalue())
        found |= {option: NAMED.get(option, ()) for option in OPTION.findall(text)}
        found |= {option: re.sub(r"[\s│]", "", values).split(",") for option, values in CHOICES.findall(text)}
    return found


def bash(words: Words) -> str:
    """For bash."""
    lines = [
        "_vidgan() {",
        '    local word="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}" options="" first="" values="" i',
        "    COMPREPLY=()",
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f'        COMPREPLY=($(compgen -W "{" ".join([*words.verbs, "--help", "--version"])}" -- "$word"))',
        "        return",
        "    fi",
        '    case "$verb" in',
    ]
    for verb, options in words.options.items():
        first = " ".join(words.first.get(verb, ()))
        lines.append(f'        {verb}) options="{" ".join(options)}" first="{first}" ;;')
    lines += [
        "    esac",
        "    for ((i = COMP_CWORD - 1; i > 1; i--)); do",  # an option may have several values
        '        case "${COMP_WORDS[i]}" in --*) break ;; esac',
        "    done",
        '    case "$verb ${COMP_WORDS[i]}" in',
    ]
    for verb, options in words.options.items():
        lines += [
            f'        "{verb} {o}") values="{" ".join(known)}" ;;' for o, known in options.items() if known
        ]
    lines += [
        "    esac",
        '    if [ "${word:0:1}" = - ]; then',
        '        COMPREPLY=($(compgen -W "$options" -- "$word"))',
        '    elif [ -n "$values" ]; then',
        '        COMPREPLY=($(compgen -W "$values" -- "$word"))',
        '    elif [ "$COMP_CWORD" -eq 2 ]; then',
        '        COMPREPLY=($(compgen -W "$first" -- "$word"))',
        "    fi",
        "}",
        "complete -o default -F _vidgan vidgan",  # where nothing of ours fits: files
    ]
    return "\n".join(lines) + "\n"


def zsh(words: Words) -> str:
    """For zsh, which understands bash's."""
    return "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n" + bash(words)


def fish(words: Words) -> str:
    """For fish."""
    lines = [
        f"complete -c vidgan -n __fish_use_subcommand -f -a {verb} -d '{said}'"
        for verb, said in words.verbs.items()
    ]
    for verb, options in words.options.items():
        after = f"complete -c vidgan -n '__fish_seen_subcommand_from {verb}'"
        for option, known in options.items():
            values = f" -x -a '{' '.join(known)}'" if known else ""
            lines.append(f"{after} -l {option.removeprefix('--')}{values}")
        if verb in words.first:
            lines.append(f"{after} -a '{' '.join(words.first[verb])}'")
    return "\n".join(lines) + "\n"


SCRIPTS: Final = {"bash": bash, "zsh": zsh, "fish": fish}
