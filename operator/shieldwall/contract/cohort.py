"""How many clients a round asks, once: for the noise that is planned, for the rules of the API and for the rounds."""

from __future__ import annotations

import math
from typing import Final

ROUNDING: Final = 1e-9
"""In binary 0.29·100 is below 29; how many are asked must not depend on that."""


def clients_asked(fraction: float, clients: int, least: int) -> int:
    """``fraction`` of ``clients``, rounded down as Flower does.

    Never fewer than the ``least`` replies that a round needs, nor than one, and never more than there are.
    """
    return min(max(math.floor(fraction * clients + ROUNDING), least, 1), clients)
