"""Results with their protocols, and who was taken for whom."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from vidgan.evaluation.protocols import ALL
from vidgan.report.collect import Collected, finite
from vidgan.report.words import command, count, number, plain, rows
from vidgan.run.best import best_of
from vidgan.spec import TAG

LARGEST = 24
"""rows and columns of a table that fits a page; of a larger one the commonest confusions are listed"""
SPREADS = {"bootstrap": "resamples of the evaluated clips", "runs": "repetitions with other noise"}
"""over what a result's deviation was taken"""


def results(shown: Collected) -> str:
    """The table of results, then each protocol's newest result in detail."""
    if not shown.metrics:
        run = str(shown.run.path)
        name = "oracle-accuracy" if shown.run.data.source == "synthetic" else "pixel-statistics"
        made_by = command("vidgan", "evaluate", run, "--protocol", name)
        return f'<p class="missing">Nothing has been measured yet. Measure with {made_by}.</p>'
    newest = {str(line["protocol"]): line for line in shown.metrics}
    order = {name: place for place, name in enumerate(newest)}
    together = sorted(shown.metrics, key=lambda line: order[str(line["protocol"])])
    details = "".join(detail(name, line) for name, line in newest.items())
    return overview(together) + best_checkpoint(shown.metrics) + details


def best_checkpoint(lines: Sequence[Mapping[str, Any]]) -> str:
    """Which checkpoint the run itself found best; nothing where it did not look."""
    best = best_of(lines)
    if best is None:
        return ""
    since = f", and none of {count(best.since, 'evaluation')} since was better" if best.since else ""
    return (
        f"<p class=note>Of the run's own evaluations by {escape(best.protocol)}, that of step {number(best.step)} is "
        f"the best ({number(best.value)}){since}: <code>--checkpoint best</code>.</p>"
    )


def overview(lines: Sequence[Mapping[str, Any]]) -> str:
    """One row per result, and below it one with its settings, folded away."""
    body = "".join(
        f"<tr><th scope=row>{escape(str(line['protocol']))}</th><td class=n><strong>{value_of(line)}</strong></td>"
        f"<td class=n>{told(line, 'clips')}</td><td class=n>{told(line, 'step')}</td>"
        f"<td class=n>{told(line, 'seed')}</td></tr>{settings(line)}"
        for line in lines
    )
    names = ("Value", "Clips", "Step", "Seed")
    head = f"<th>Protocol</th>{''.join(f'<th class=n>{name}</th>' for name in names)}"
    table = f"<table class=results><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=wide>{table}</div>{spreads(lines)}"


def spreads(lines: Sequence[Mapping[str, Any]]) -> str:
    """What stands behind ±; nothing where no result has a deviation."""
    found = [line["deviation"].get("over") for line in lines if isinstance(line.get("deviation"), dict)]
    kinds = [said for over, said in SPREADS.items() if over in found]
    return f"<p class=note>± is the standard deviation over {' or '.join(kinds)}.</p>" if kinds else ""


def value_of(line: Mapping[str, Any]) -> str:
    """The headline number."""
    text = number(finite(line.get("value")))
    deviation = line.get("deviation")
    if not isinstance(deviation, dict) or (spread := finite(deviation.get("value"))) is None:
        return text
    return f"{text}&nbsp;± {number(spread, 2)}"


def told(line: Mapping[str, Any], name: str) -> str:
    """A field of a result, or a dash."""
    return escape(plain(line[name])) if name in line else "–"


def settings(line: Mapping[str, Any]) -> str:
    """A row with the protocol's settings that have no column of their own; nothing if there are none."""
    given = line.get("settings")
    left = (
        {k: v for k, v in given.items() if k not in (TAG, "clips", "seed")} if isinstance(given, dict) else {}
    )
    pairs = [
        (name.replace("_", " "), escape(plain(value))) for name, value in flat(left) if value is not None
    ]
    if not pairs:
        return ""
    folded = f"<details><summary>{count(len(pairs), 'setting')}</summary>{rows(pairs)}</details>"
    return f"<tr class=settings><td colspan=5>{folded}</td></tr>"


def flat(tree: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names with plain values; a spec in a field stands under the field's name."""
    for key, value in tree.items():
        name = place.rstrip(".") if key == TAG else f"{place}{key}"
        if isinstance(value, dict):
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def detail(name: str, line: Mapping[str, Any]) -> str:
    """What a protocol measures, its table and its further numbers."""
    table, values = line.get("table"), line.get("values")
    parts = [f"<h3>{escape(name)}</h3>"]
    if name in ALL:
        parts.append(f"<p class=note>{meaning(name)}</p>")
    parts += [f"<p class=warning>{escape(str(text))}</p>" for text in line.get("warnings", [])]
    if isinstance(table, dict) and {"rows", "columns", "counts"} <= set(table):
        parts.append(confusion(table, f"step {told(line, 'step')}"))
    if isinstance(values, dict) and values:
        parts.append(further(values))
    return f"<section class=protocol>{''.join(parts)}</section>"


def meaning(name: str) -> str:
    """A protocol's own words about itself."""
    return escape(ALL[name].about, quote=False)


def further(values: Mapping[str, Any]) -> str:
    """Further numbers by name; a result per class is a row of its own."""
    simple = {name: value for name, value in values.items() if not isinstance(value, dict)}
    nested = {name: value for name, value in values.items() if isinstance(value, dict)}
    cells = "".join(f"<div><dt>{said(k)}</dt><dd>{escape(plain(v))}</dd></div>" for k, v in simple.items())
    found = f"<dl class=values>{cells}</dl>" if simple else ""
    for name, inner in nested.items():
        cells = "".join(
            f"<div><dt>{escape(str(k))}</dt><dd>{escape(plain(v))}</dd></div>" for k, v in inner.items()
        )
        found += f"<p class=note>{said(name).capitalize()}:</p><dl class=values>{cells}</dl>"
    return found


def said(name: str) -> str:
    """A field's name as words."""
    return escape(name.replace("_", " "))


def confusion(table: Mapping[str, Any], when: str) -> str:
    """Rows asked for, columns seen, each cell shaded by its share of the row."""
    names, columns, counts = table["rows"], table["columns"], table["counts"]
    total = sum(sum(row) for row in counts)
    caption = (
        f"Asked for (rows) and seen (columns) at {when}; {count(total, 'clip')}, shaded by share of the row."
    )
    if max(len(names), len(columns)) > LARGEST:
        return commonest(table)
    head = "".join(header(str(name), "col") for name in columns)
    body = "".join(
        f"<tr>{header(str(name), 'row')}{cells(name, columns, row)}</tr>"
        for name, row in zip(names, counts, strict=True)
    )
    return (
        "<figure class=confusion><div class=wide><table>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def header(name: str, scope: str) -> str:
    """The head of a row or a column; a long name is cut by the style sheet."""
    return f'<th scope={scope} title="{escape(name)}"><span>{escape(name)}</span></th>'


def cells(name: str, columns: Sequence[str], row: Sequence[int]) -> str:
    """A row of the table; the cell that is right has a frame."""
    total = sum(row) or 1
    found = ""
    for column, seen in zip(columns, row, strict=True):
        share = seen / total
        kinds = ["right"] * (column == name) + ["zero"] * (seen == 0) + ["strong"] * (share > 0.55)
        title = escape(f"{name} seen as {column}: {seen} of {sum(row)}")
        style = f"--share:{100 * share:.0f}%"
        found += f'<td class="{" ".join(kinds)}" style="{style}" title="{title}">{seen}</td>'
    return found


def commonest(table: Mapping[str, Any]) -> str:
    """The largest entries off the diagonal, in words."""
    wrong = [
        (seen, asked, column)
        for asked, row in zip(table["rows"], table["counts"], strict=True)
        for column, seen in zip(table["columns"], row, strict=True)
        if column != asked and seen
    ]
    items = "".join(
        f"<li>{escape(asked)} seen as {escape(column)}: {seen}</li>"
        for seen, asked, column in sorted(wrong, key=lambda entry: (-entry[0], *entry[1:]))[:20]
    )
    return f"<p class=note>The table is too large to print; its commonest confusions:</p><ul class=plain>{items}</ul>"
