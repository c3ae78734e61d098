"""From a request about a camera to what the store keeps: addresses checked, sealed and masked, defaults filled in."""

from __future__ import annotations

from typing import cast

from iris.base.errors import CameraAddressError, ConfigError, InputError
from iris.base.ids import CameraId
from iris.base.redact import MASK
from iris.domain.camera import DetectorBackend
from iris.domain.rtsp_url import RtspUrl, edit_rtsp_url, parse_rtsp_url, same_source
from iris.ports import AddressVault
from iris.store.cameras import CameraDraft, CameraRow
from iris.store.cameras import CameraPatch as StorePatch
from web.api.schemas import CameraCreate, CameraPatch
from web.api.services import CameraDefaults

_PLAIN = (
    "name", "enabled", "recording_mode", "detect_conf", "detect_fps", "pre_seconds", "post_seconds", "trigger_cooldown",
)  # fmt: skip


def draft_of(body: CameraCreate, camera_id: CameraId, vault: AddressVault, defaults: CameraDefaults) -> CameraDraft:
    """A new camera as the store takes it.

    Raises:
        InputError: An address is not acceptable.
    """
    _check_pre_seconds(body.pre_seconds, defaults)
    rtsp = _checked("rtsp_url", body.rtsp_url)
    detect = None if body.detect_url is None else _checked("detect_url", body.detect_url)
    return CameraDraft(
        name=body.name,
        rtsp_url_sealed=vault.seal(rtsp.text, camera_id),
        rtsp_url_masked=rtsp.masked,
        detect_url_sealed=None if detect is None else vault.seal(detect.text, camera_id),
        detect_url_masked=None if detect is None else detect.masked,
        enabled=body.enabled,
        recording_mode=body.recording_mode,
        trigger_classes=tuple(body.trigger_classes),
        detect_conf=_or(body.detect_conf, defaults.detect_conf),
        detect_fps=_or(body.detect_fps, defaults.detect_fps),
        pre_seconds=_or(body.pre_seconds, defaults.pre_seconds),
        post_seconds=_or(body.post_seconds, defaults.post_seconds),
        trigger_cooldown=_or(body.trigger_cooldown, defaults.trigger_cooldown),
        detector_backend=None if body.detector_backend is None else DetectorBackend(body.detector_backend),
    )


def patch_of(body: CameraPatch, row: CameraRow, vault: AddressVault, defaults: CameraDefaults) -> StorePatch:
    """The changes as the store takes them.

    Raises:
        InputError: An address is not acceptable, or hides a password that its new host may not be given.
    """
    given = body.model_fields_set
    _check_pre_seconds(body.pre_seconds if "pre_seconds" in given else None, defaults)
    patch: dict[str, object] = {name: getattr(body, name) for name in _PLAIN if name in given}
    if "trigger_classes" in given:
        patch["trigger_classes"] = tuple(body.trigger_classes)
    if "detector_backend" in given:
        patch["detector_backend"] = None if body.detector_backend is None else DetectorBackend(body.detector_backend)
    if "rtsp_url" in given:
        patch |= _address("rtsp_url", body.rtsp_url, row.rtsp_url_sealed, row.camera_id, vault)
    if "detect_url" in given and body.detect_url is None:
        patch |= {"detect_url_sealed": None, "detect_url_masked": None}
    elif "detect_url" in given:
        patch |= _address("detect_url", body.detect_url or "", row.detect_url_sealed, row.camera_id, vault)
    return cast("StorePatch", patch)


def leads_elsewhere(patch: StorePatch, row: CameraRow, vault: AddressVault) -> bool:
    """Whether the changes give the camera another source, so that what it showed so far is not its own any more."""
    sealed = patch.get("rtsp_url_sealed")
    if sealed is None:
        return False
    new = parse_rtsp_url(vault.open(sealed, row.camera_id))
    stored = _opened(row.rtsp_url_sealed, row.camera_id, vault)
    if stored is None:
        return new.masked != row.rtsp_url_masked
    return not same_source(new, parse_rtsp_url(stored))


def _opened(sealed: bytes, camera_id: CameraId, vault: AddressVault) -> str | None:
    """A stored address; None where its key is lost."""
    try:
        return vault.open(sealed, camera_id)
    except ConfigError:
        return None


def _address(
    field: str, submitted: str, sealed: bytes | None, camera_id: CameraId, vault: AddressVault
) -> dict[str, object]:
    """Changes of one address; none where the stored one stays."""
    if not submitted.strip():
        return {}
    # A whole new address is taken also where the stored one cannot be opened: that is how a lost key is got over.
    if sealed is None or MASK not in submitted:
        url = _checked(field, submitted)
        if sealed is not None and _opened(sealed, camera_id, vault) == url.text:
            return {}
    else:
        stored = vault.open(sealed, camera_id)
        url = _edited(field, submitted, stored)
        if url.text == stored:
            return {}
    return {f"{field}_sealed": vault.seal(url.text, camera_id), f"{field}_masked": url.masked}


def _checked(field: str, text: str) -> RtspUrl:
    try:
        return parse_rtsp_url(text)
    except CameraAddressError as error:
        raise InputError(str(error), field=field) from error


def _edited(field: str, submitted: str, stored: str) -> RtspUrl:
    try:
        return edit_rtsp_url(submitted, stored)
    except CameraAddressError as error:
        raise InputError(str(error), field=field) from error


def _check_pre_seconds(value: float | None, defaults: CameraDefaults) -> None:
    most = defaults.most_pre_seconds
    if value is not None and value > most:
        raise InputError(f"pre_seconds can be {most:g} at most, which is what the buffer holds", field="pre_seconds")


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
