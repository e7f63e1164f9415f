"""Measuring a run by a protocol and writing the number down with everything it depends on."""

import time
from typing import Any

from vidgan import __version__
from vidgan.data.dataset import Dataset
from vidgan.evaluate.protocols import Protocol
from vidgan.run.directory import RunDirectory
from vidgan.sample.trained import Trained
from vidgan.spec import to_json


def evaluate(
    run: RunDirectory, model: Trained, dataset: Dataset, name: str, protocol: Protocol
) -> dict[str, Any]:
    """Measure ``model`` and append the result to the run's ``metrics.jsonl``; the line that was written.

    Raises:
        UserError: if the protocol does not apply to the model and the data.
    """
    protocol.check(run, dataset)
    began = time.monotonic()
    result = protocol.measure(model, dataset)
    line: dict[str, Any] = {
        "protocol": name,
        "value": result.value,
        "step": model.step,
        "clips": protocol.clips,
        "seed": protocol.seed,
        "values": dict(result.values),
        "settings": to_json(protocol),
        "data": dataset.fingerprint,
        "vidgan": __version__,
        "seconds": round(time.monotonic() - began, 2),
    }
    if result.table is not None:
        line["table"] = dict(result.table)
    run.metrics.append(line)
    return line
