"""The search attributes that workflows set; the server learns them from `iris.contracts.names`."""

from __future__ import annotations

from typing import Final

from temporalio.common import SearchAttributeKey

CAMERA: Final = SearchAttributeKey.for_keyword("IrisCameraId")
NODE: Final = SearchAttributeKey.for_keyword("IrisNodeId")
KIND: Final = SearchAttributeKey.for_keyword("IrisKind")
STATE: Final = SearchAttributeKey.for_keyword("IrisState")
EVENT_START: Final = SearchAttributeKey.for_datetime("IrisEventStart")
