"""What the site of `make docs` has beyond the pages: a reference, and the files of the repository that pages link to.

The reference has a page for every module of the package but those of the command line and the report.

Pages are written to be read in the repository, so their links are paths there: `../src/vidgan/spec.py`,
`../README.md`. In the site README.md is the page Overview, CONTRIBUTING.md and CHANGELOG.md are pages, too, and every
other file that a page links to stands under `files/`, as a listing. A name such as `vidgan.spec.Spec` in backticks
leads to its place in the reference where it has one.
"""

import functools
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import griffe
from griffe import Alias, Module
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "vidgan"
PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml"}
LINK = re.compile(r'(?P<before>\]\(|<img src=")(?![a-z]+:)(?P<target>[^)"\s#]+)')
NAME = re.compile(r"`(vidgan(?:\.\w+)+)`")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code)")
CODE = re.compile(r"(^```.*?^```$)", flags=re.M | re.S)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    nav: dict[str, list[object]] = {}
    for module in modules():
        section = ".".join(module.split(".")[:2])
        nav.setdefault(section, []).append({module: f"reference/{module}.md"})
    entries = [{name: pages if len(pages) > 1 else pages[0][name]} for name, pages in nav.items()]
    config.nav = [*config.nav, {"Reference": entries}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text("utf-8")))
    for module in modules():
        files.append(File.generated(config, f"reference/{module}.md", content=reference_of(module)))
    pages = [ROOT / name for name in PAGES] + sorted(Path(config.docs_dir).rglob("*.md"))
    for path in sorted({target for page in pages for target in linked(page)}):
        if place_of(path).startswith("files/"):
            listing = File.generated(config, place_of(path), content=listing_of(path))
            listing.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(listing)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri.startswith(("files/", "reference/")):
        return markdown
    path = source_of(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        target = place_of((path.parent / match["target"]).resolve())
        return match["before"] + posixpath.relpath(target, posixpath.dirname(page.file.src_uri))

    parts = CODE.split(markdown)
    parts[::2] = [NAME.sub(reference_to, LINK.sub(moved, part)) for part in parts[::2]]
    return "".join(parts)


def reference_of(name: str) -> str:
    """The page of a module: what it defines, or for a package that offers names of others, those names."""
    module = package() if name == "vidgan" else package()[name.removeprefix("vidgan.")]
    lazy = "__getattr__" in module.members
    rows = [
        row_of(alias, member)
        for alias, member in module.members.items()
        if member.is_alias and member.target_path.startswith("vidgan.") and (lazy or member.is_exported)
    ]
    if not rows:
        return f"::: {name}\n"
    table = "\n".join(["| name | |", "|---|---|", *rows])
    defined = [
        own
        for own, member in module.members.items()
        if not member.is_alias and not member.is_module and not own.startswith("_")
    ]
    shown = f"[{', '.join(defined)}]" if defined else "false"
    return f"::: {name}\n    options: {{members: {shown}}}\n\n{table}\n"


def row_of(name: str, member: Alias) -> str:
    said = member.docstring.value.splitlines()[0] if member.docstring else ""
    link = f'<autoref optional identifier="{member.target_path}"><code>{name}</code></autoref>'
    return f"| {link} | {said.replace('|', chr(92) + '|')} |"


@functools.cache
def package() -> Module:
    return griffe.load("vidgan", search_paths=[ROOT / "src"], resolve_aliases=True)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Docstrings without what reStructuredText has besides Markdown."""
    return ROLE.sub("", html).replace(" ::</p>", "</p>").replace("::</p>", ":</p>")


def modules() -> list[str]:
    """Names of the modules in the reference."""
    paths = sorted(path.relative_to(ROOT / "src").with_suffix("") for path in SOURCE.rglob("*.py"))
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if name.split(".")[1:2] not in (["cli"], ["report"], ["__main__"])]


def linked(page: Path) -> Iterator[Path]:
    """Files that a page links to."""
    text = CODE.sub("", page.read_text("utf-8"))
    for match in LINK.finditer(text):
        yield (page.parent / match["target"]).resolve()


def place_of(path: Path) -> str:
    """Where a file of the repository stands in the site, as mkdocs names sources."""
    name = path.relative_to(ROOT).as_posix()
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    return PAGES.get(name, f"files/{name}.md")


def source_of(uri: str) -> Path:
    """The file of the repository that a page of the site was made from."""
    names = {place: name for name, place in PAGES.items()}
    return ROOT / names.get(uri, f"docs/{uri}")


def listing_of(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    language = LANGUAGES.get(path.suffix, "text")
    if path.is_dir():
        code = "\n".join(sorted(file.name for file in path.iterdir() if file.is_file()))
    else:
        code = path.read_text("utf-8")
    return (
        f"---\nsearch:\n  exclude: true\n---\n# {path.name}\n\n`{name}`\n\n``````{language}\n{code}\n``````\n"
    )


def reference_to(match: re.Match[str]) -> str:
    """A name of the package as a link into the reference; as it is where the reference has no such name."""
    return f'<autoref optional identifier="{match[1]}">{match[0]}</autoref>'
