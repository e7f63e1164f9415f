"""The classifier that was trained on the data's own classes, as an extractor."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from vidgan.errors import UserError
from vidgan.evaluate.batch import Batch
from vidgan.evaluate.features.house import load_house
from vidgan.evaluate.protocols.extractors import (
    Extractor,
    Features,
    Means,
    Rows,
    in_parts,
    named_weights,
    weights_facts,
)


class HouseFeatures(Features):
    """A classifier of ``vidgan train-classifier``: ``logits``, and 128 ``features`` before its last layer.

    Clips are taken at their own size, as 2 x / 255 - 1. Its held-out accuracy stands beside every number.
    """

    @property
    def weights_of(self) -> str:
        return "the classifier (vidgan train-classifier)"

    def open(self, means: Means) -> Extractor:
        house = load_house(named_weights(means, self.weights_of))
        network = house.network.to(means.device)

        def outputs(x: Tensor) -> Mapping[str, Tensor]:
            return network(x.float() / 127.5 - 1)._asdict()

        facts = {
            **weights_facts(house.weights),
            "classes": list(house.classes),
            "held_out_accuracy": house.facts["held_out_accuracy"],
            "classifier": house.facts,
        }
        return Extractor(in_parts(outputs, means.device, 16), facts, self)


class HouseVerdict(HouseFeatures):
    """The same, and ``seen``: the number, among the judged clips' classes, of the class that it sees.

    A class of the classifier that the judged clips do not have counts as none of them.
    """

    def open(self, means: Means) -> Extractor:
        opened = super().open(means)
        known = tuple(opened.facts["classes"])
        if strange := [name for name in means.classes if name not in known]:
            raise UserError(
                f"the classifier does not know {', '.join(strange[:5])}; it knows {', '.join(known[:8])}: train one "
                "on data with these classes, or put the videos in folders named by class"
            )
        place = np.array(
            [means.classes.index(name) if name in means.classes else len(means.classes) for name in known]
        )

        def rows(batch: Batch) -> Rows:
            found = opened.rows(batch)
            return {**found, "seen": place[found["logits"].argmax(1)][:, None]}

        return opened._replace(rows=rows)
