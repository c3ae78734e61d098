"""The error tree of Iris.

    IrisError
    +-- ConfigError            a setting is invalid; stops the start
    +-- InputError             a request or a value is wrong; the text says what is allowed
    +-- NotFoundError          no such camera, event, file
    +-- ConflictError          the state does not allow it (again)
    +-- StoreError             the database refused or is unreachable            retryable
    |   `-- StoreMismatchError the data directory and the database are not a pair
    +-- StorageError           a file could not be written, read or published    retryable
    |   +-- DiskFullError      no space or no inode left                         retryable
    |   `-- CorruptMediaError  bytes differ from what the index recorded
    +-- CameraError            the camera cannot be used; .sentence is for people retryable
    |   +-- CameraAuthError    401 or 403: user name or password
    |   +-- CameraUnreachableError  no host, refused, no route, time-out on connect
    |   +-- CameraStalledError connected, but no packet came for the time-out
    |   +-- CameraStreamError  no video, unknown codec, 404, protocol error
    |   `-- CameraAddressError the address itself is not acceptable
    +-- InferenceError         a network could not be loaded or run              retryable
    `-- UnavailableError       Temporal, the node or another part is away        retryable

Every class has a `code` (stable, used on the wire and as Temporal failure type) and `retryable`. Adapters
translate foreign exceptions into these and redact addresses; nobody else catches foreign exceptions.
"""

from __future__ import annotations

from typing import ClassVar


class IrisError(Exception):
    """Base of all errors that Iris raises on purpose; the message is one sentence a person can act on."""

    code: ClassVar[str] = "iris_error"
    retryable: ClassVar[bool] = False


class ConfigError(IrisError):
    """A setting is invalid; the sentence names it and says what is allowed."""

    code = "config_error"


class InputError(IrisError):
    """A value given by a user is wrong; `field` names it where there is one."""

    code = "input_error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(IrisError):
    """The thing asked for does not exist."""

    code = "not_found"


class ConflictError(IrisError):
    """The current state does not allow the request."""

    code = "conflict"


class StoreError(IrisError):
    """The main database failed or is unreachable."""

    code = "store_error"
    retryable = True


class StoreMismatchError(StoreError):
    """The data directory and the database carry different store ids or generations."""

    code = "store_mismatch"
    retryable = False


class StorageError(IrisError):
    """A file operation failed."""

    code = "storage_error"
    retryable = True


class DiskFullError(StorageError):
    """No space (or quota, or inode) is left."""

    code = "disk_full"


class CorruptMediaError(StorageError):
    """A media file differs from what the index recorded, or does not decode."""

    code = "corrupt_media"
    retryable = False


class CameraError(IrisError):
    """A camera cannot be used now; the message never holds its address with a password."""

    code = "camera_error"
    retryable = True


class CameraAuthError(CameraError):
    """The camera refused the user name or password."""

    code = "camera_auth"


class CameraUnreachableError(CameraError):
    """No connection to the camera could be made."""

    code = "camera_unreachable"


class CameraStalledError(CameraError):
    """The connection is open and no packet arrives."""

    code = "camera_stalled"


class CameraStreamError(CameraError):
    """The stream has no video, an unknown codec, or breaks the protocol."""

    code = "camera_stream"


class CameraAddressError(CameraError):
    """The address is not an acceptable RTSP address."""

    code = "camera_address"
    retryable = False


class InferenceError(IrisError):
    """A network could not be loaded or run."""

    code = "inference_error"
    retryable = True


class UnavailableError(IrisError):
    """Another part of Iris, or Temporal, cannot be reached now."""

    code = "unavailable"
    retryable = True
