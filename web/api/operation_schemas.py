"""A page of operations on the wire: what it asks for, and what it shows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from web.api.schemas import Operation, OperationKindName


class OperationQuery(BaseModel):
    """Which page of operations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: OperationKindName | None = None
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200)


class OperationPage(BaseModel):
    """Operations, newest first."""

    model_config = ConfigDict(extra="forbid")

    items: list[Operation]
    next_cursor: str | None
