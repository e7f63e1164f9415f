"""Reading a report back: its elements, texts and images, by the standard library's parser."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Self

VOID = {"meta", "link", "img", "input", "br", "hr"}


class Element:
    """An element of a page with what is in it."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name, self.attributes = name, attributes
        self.inside: list[Element | str] = []

    @property
    def text(self) -> str:
        """All text in it, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for part in self.inside:
            if isinstance(part, str):
                yield part
            else:
                yield from part._texts()

    def all(self, name: str, kind: str = "") -> "list[Element]":
        """Elements below with this tag and, if given, this class."""
        return [
            e for e in self.walk() if e.name == name and kind in ("", *e.attributes.get("class", "").split())
        ]

    def walk(self) -> "Iterator[Element]":
        for part in self.inside:
            if isinstance(part, Element):
                yield part
                yield from part.walk()


class Page(HTMLParser):
    """A page that must be well-formed: every element is closed by its own tag, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    @classmethod
    def read(cls, path: Path) -> Self:
        page = cls()
        page.feed(path.read_text("utf-8"))
        page.close()
        assert page._open == [page.root], [element.name for element in page._open]
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].inside.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)

    def section(self, title: str) -> Element:
        """The section under a heading."""
        (found,) = [s for s in self.root.all("section") if any(h.text == title for h in s.all("h2"))]
        return found
