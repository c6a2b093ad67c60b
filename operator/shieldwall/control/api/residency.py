"""spec.residency: where data may be worked on, and what for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel, Region, Sentence


class Residency(ApiModel):
    """Limits of place and purpose, and the record of processing."""

    regions: Annotated[tuple[Region, ...], Field(min_length=1, max_length=32)]
    """Regions in which clients may run."""
    purpose: Sentence | None = None
    """What the model is trained for."""
    legal_basis: Sentence | None = None
    """The legal basis of the processing, such as Art. 9(2)(j)."""
