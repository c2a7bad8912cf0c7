"""Figures: what was measured, beside the bar it must reach.

One module a part; each has `figures(seed) -> Iterator[Figure]`, which yields as it measures, so
that a long run shows its results live.
"""

import operator
from dataclasses import dataclass

NAMES = ("actors", "media", "provenance", "phase1")
_RELATIONS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        name: what was measured, with its unit: "HOG detection at 256 px, %".
        value: the number.
        bar: what it must reach; ignored when `relation` is "info".
        relation: "<=", ">=", or "info" for a number that is reported and not judged.
        detail: a short remark, e.g. the sample size.
    """

    name: str
    value: float
    bar: float = float("nan")
    relation: str = "info"
    detail: str = ""

    @property
    def passed(self) -> bool:
        """True if the bar is reached; a figure that is only reported always passes."""
        return self.relation == "info" or _RELATIONS[self.relation](self.value, self.bar)
