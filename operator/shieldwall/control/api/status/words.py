"""The scalars that status is made of, each bounded."""

from typing import Annotated

from pydantic import Field

Word = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=1024)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Sha256 = Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]
Points = Annotated[int, Field(ge=0, le=100)]
