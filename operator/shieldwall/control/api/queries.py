"""spec.queries: the gateway through which the model may be asked."""

from __future__ import annotations

from shieldwall.control.api.fields import ApiModel


class Queries(ApiModel):
    """The model-query gateway."""

    enabled: bool = False
    """Whether there is a gateway."""
