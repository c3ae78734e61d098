"""Parameters of removing a camera or what its old address showed; the rest of cameras is in `schemas`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CameraRemovalQuery(BaseModel):
    """How the events of a camera are treated when they have to go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_held: bool = Field(default=False, description="whether events on hold go too; else they are a conflict")
