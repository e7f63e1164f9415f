"""Power spectra of some frames, generated beside real, with the deviation over groups of clips (SSW-GAN, E)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vidgan.report.figure import Curve, Plot, Point


def spectra(line: Mapping[str, Any]) -> list[Plot]:
    """A plot per frame of a result of the protocol psd (Figure 9).

    Our choice: from the first ring on. The ring before it is the mean brightness, which says nothing about sharpness.
    """
    values, positions = line["values"], line["settings"]["features"]["positions"]
    plots = []
    for place, position in enumerate(positions):
        curves = [
            Curve(name, logarithms(values[side][place], values[f"{side}_deviation"][place]))
            for side, name in (("real", "real"), ("fake", "generated"))
        ]
        plots.append(Plot(f"frame {position}", "cycles per frame's side", "log10 of power", curves))
    return plots


def logarithms(means: Sequence[float], deviations: Sequence[float]) -> list[Point]:
    """Base-ten logarithms of rings from the first on, with the deviations that go with them; no point for no power."""
    return [
        Point(ring, math.log10(mean), deviation / (mean * math.log(10)))
        for ring, (mean, deviation) in enumerate(zip(means, deviations, strict=True))
        if ring > 0 and mean > 0
    ]
