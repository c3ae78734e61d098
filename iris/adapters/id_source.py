"""Mints ids."""

from __future__ import annotations

import uuid_utils


class Uuid7Source:
    """Implements `iris.ports.IdSource` with uuid7, which sorts by time."""

    def new_id(self) -> str:
        """A new lower-case uuid7 string."""
        return str(uuid_utils.uuid7())
