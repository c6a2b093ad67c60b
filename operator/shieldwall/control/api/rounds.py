"""spec.rounds: how many rounds there are, and when one may go on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shieldwall.contract.policy import TooFewReplies
from shieldwall.control.api.fields import ApiModel

MAX_CLIENTS = 500


class Rounds(ApiModel):
    """The rounds of the training."""

    count: Annotated[int, Field(ge=1, le=100_000)]
    """How many rounds to run."""
    fraction_train: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The fraction of the clients that is asked in each round, rounded down, but never fewer than minReplies."""
    min_replies: Annotated[int, Field(ge=1, le=MAX_CLIENTS)] | None = None
    """Replies that a round needs before it is aggregated. By default the clients asked less aggregation.byzantine,
    so that silent liars cannot stop a round, and never fewer than the rule's theorem needs."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 600
    """Seconds after which a round no longer waits for replies."""
    grace_seconds: Annotated[int, Field(ge=0, le=86_400)] = 30
    """Once minReplies replies are admitted, the rest have this many seconds more."""
    on_too_few_replies: TooFewReplies = TooFewReplies.REPEAT
    """What becomes of a round with fewer replies than it needs. Repeat tries it again with the same model, and after
    five attempts ends the run; Skip releases nothing and goes on to the next round with the model as it was."""
