"""The one validator of camera addresses: what it refuses, what it hides, and what an edit keeps."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.base.errors import CameraAddressError
from iris.base.redact import MASK
from iris.domain.rtsp_url import edit_rtsp_url, mask_rtsp_url, parse_rtsp_url, same_source

STORED = "rtsp://admin:S3cret-CANARY@cam.example:8554/live/ch0?user=u&password=Q-CANARY"


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "has_credentials"),
    [
        ("rtsp://192.0.2.10/stream", "rtsp", "192.0.2.10", 554, False),
        ("rtsps://cam.example/stream", "rtsps", "cam.example", 322, False),
        ("rtsp://u:p@cam.example:8554/a?channel=1&subtype=0", "rtsp", "cam.example", 8554, True),
        ("rtsp://u:p@[2001:db8::10]:8554/a", "rtsp", "2001:db8::10", 8554, True),  # IPv6
        ("rtsp://[::1]/a", "rtsp", "::1", 554, False),
        ("rtsp://u:p%40ss%2Fword@h/a", "rtsp", "h", 554, True),  # encoded password
        ("rtsp://u:p@ss@h/a", "rtsp", "h", 554, True),  # the last @ before the path ends the userinfo
        ("rtsp://CAM-1.local./a", "rtsp", "cam-1.local.", 554, False),
        ("rtsp://h", "rtsp", "h", 554, False),
    ],
)
def test_parse_reads_the_target_when_the_address_is_acceptable(
    text: str, scheme: str, host: str, port: int, has_credentials: bool
) -> None:
    url = parse_rtsp_url(text)
    assert (url.text, url.scheme, url.host, url.port, url.has_credentials) == (
        text, scheme, host, port, has_credentials,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-i", "/etc/passwd", "file:///etc/passwd", "concat:a|b", "subfile,,start,0,end,9,,:/etc/passwd",
        "data:text/plain,x", "http://h/a", "https://h/a", "tcp://h:1", "rtp://h:1", "udp://h:1", "srt://h:1", "pipe:0",
        "lavfi:testsrc", "async:rtsp://h/a", "RTSP://h/a", "Rtsp://h/a", "rtsp:h", "rtsp:/h", "rtsp://", "rtsp:///x",
        "rtsp://:554/a", "rtsp://u:p@/a", "rtsp://@/a",
        "rtsp://h a/", " rtsp://h/a", "rtsp://h/a\n", "rtsp://h/a%0a", "rtsp://h/a%00", "rtsp://h/\x00", "rtsp://h/\x7f",
        "rtsp://h/%7f", "rtsp://h/\ud800", "rtsp://h/ä", "rtsp://hö/a", "rtsp://h/\u202ea",
        "rtsp://h:0/a", "rtsp://h:65536/a", "rtsp://h:-1/a", "rtsp://h:5_5/a", "rtsp://h:x/a", "rtsp://h:/a",
        "rtsp://h:99999999999999999999/a", "rtsp://[::1/a", "rtsp://[zz]/a", "rtsp://::1/a", "rtsp://[1.2.3.4]/a",
        "rtsp://h/a#b", "rtsp://h/a#", "rtsp://u:p#w@h/a",
        "rtsp://u:12/34@h/a",  # a slash in the password: the host would be "u", and the mask would show the rest
        "rtsp://u:12?34@h/a",
        "rtsp://good\\@evil/a", "rtsp://h/a\\b", 'rtsp://h/"a"', "rtsp://-h/a", "rtsp://.h/a", "rtsp://h_/a",
        "rtsp://h/a?tcp", "rtsp://h/a?x=1&multicast", "rtsp://h/a?filter_src=1", "rtsp://h/a?x?udp",
        "rtsp://***@h/a", "rtsp://u:***@h/a", "rtsp://h/a?***", "rtsp://h/***", "rtsp://%2a%2A*@h/a",
        "rtsp://h/" + "a" * 2048,
    ],
)  # fmt: skip
def test_parse_refuses_in_a_sentence_without_the_address_when_it_is_not_acceptable(text: str) -> None:
    with pytest.raises(CameraAddressError) as caught:
        parse_rtsp_url(text)
    assert "the " in str(caught.value)
    assert len(text) < 8 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("rtsp://h/a", "rtsp://h/a"),
        ("rtsp://u:p@h:554/a", "rtsp://***@h:554/a"),
        ("rtsp://u@h/a", "rtsp://***@h/a"),
        ("rtsp://u:p@ss@h/a", "rtsp://***@h/a"),
        ("rtsp://u:p@[2001:db8::10]:8554/a", "rtsp://***@[2001:db8::10]:8554/a"),
        ("rtsp://h/a?user=u&password=p", "rtsp://h/a?***"),
        ("rtsp://h/user=admin_password=tlJw_channel=1.sdp", "rtsp://h/user=***"),
        ("rtsp://h/x/password=p/y", "rtsp://h/x/password=***/y"),
        ("rtsp://u:12/34@h/a", "***"),  # not acceptable, so nothing of it is shown
        ("nonsense with p4ss", "***"),
    ],
)
def test_mask_hides_user_password_and_query_when_shown(text: str, masked: str) -> None:
    assert mask_rtsp_url(text) == masked


def test_repr_holds_no_credentials_when_printed() -> None:
    assert "CANARY" not in repr(parse_rtsp_url(STORED))


@pytest.mark.parametrize(
    ("submitted", "stored", "kept"),
    [
        ("", STORED, STORED),
        (" \t", STORED, STORED),
        (mask_rtsp_url(STORED), STORED, STORED),
        ("rtsp://***:***@cam.example:8554/live/ch0?***", STORED, STORED),
        ("rtsp://admin:***@cam.example:8554/live/ch0?***", STORED, STORED),  # partly masked, same user
        ("rtsp://***@CAM.example:8554/live/ch0?***", STORED, STORED.replace("cam.", "CAM.")),
        # another path on the same camera keeps the password
        ("rtsp://***@cam.example:8554/live/ch1", STORED, "rtsp://admin:S3cret-CANARY@cam.example:8554/live/ch1"),
        ("rtsp://***@h:554/b", "rtsp://u:p@h/a", "rtsp://u:p@h:554/b"),  # the default port written out
        ("rtsp://***@[2001:db8::10]/b", "rtsp://u:p@[2001:db8::10]/a", "rtsp://u:p@[2001:db8::10]/b"),
        ("rtsp://h/user=***", "rtsp://h/user=a_password=b_channel=1", "rtsp://h/user=a_password=b_channel=1"),
        ("rtsp://new:pw@other/a", STORED, "rtsp://new:pw@other/a"),  # a whole new address
        ("rtsp://cam.example:8554/live/ch0", STORED, "rtsp://cam.example:8554/live/ch0"),  # the password taken out
    ],
)
def test_edit_keeps_what_is_hidden_when_the_target_is_the_same(submitted: str, stored: str, kept: str) -> None:
    assert edit_rtsp_url(submitted, stored).text == kept


@pytest.mark.parametrize(
    "submitted",
    [
        "rtsp://***@evil.example:8554/live/ch0?***",  # another host
        "rtsp://***@cam.example:8555/live/ch0?***",  # another port
        "rtsp://***@cam.example/live/ch0",  # the default port is another port
        "rtsps://***@cam.example:8554/live/ch0",  # another scheme
        "rtsp://u:p@evil.example:8554/live/ch0?***",  # only the query is masked, yet it holds a password
        "rtsp://%2A%2A%2A@evil.example:8554/a",
        "rtsp://root:***@cam.example:8554/live/ch0",  # another user needs its password
        "rtsp://***:new@cam.example:8554/live/ch0",
        "rtsp://admin:S3***@cam.example:8554/live/ch0",
        "rtsp://***@cam.example:8554/live/ch0?password=***",
        "rtsp://***@cam.example:8554/***",
        "rtsp://%2A%2A%2A@cam.example:8554/live/ch0",
        "***",
        "http://***@cam.example:8554/",
    ],
)
def test_edit_refuses_when_a_hidden_part_cannot_be_filled_in(submitted: str) -> None:
    with pytest.raises(CameraAddressError) as caught:
        edit_rtsp_url(submitted, STORED)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("submitted", "stored"),
    [("rtsp://***@h/a", "rtsp://h/a"), ("rtsp://h/a?***", "rtsp://u:p@h/a")],  # nothing stored to fill in
)
def test_edit_refuses_when_nothing_is_stored_behind_the_mask(submitted: str, stored: str) -> None:
    with pytest.raises(CameraAddressError):
        edit_rtsp_url(submitted, stored)


_SAFE = st.text("abcXYZ019-_.~%", min_size=1, max_size=12).filter(lambda t: "%" not in t)
_HOSTS = st.sampled_from(["cam.example", "192.0.2.10", "[2001:db8::10]", "h"])
_PORTS = st.sampled_from(["", ":554", ":8554"])


@st.composite
def addresses(draw: st.DrawFn) -> str:
    userinfo = draw(st.one_of(st.just(""), st.builds("{}@".format, _SAFE), st.builds("{}:{}@".format, _SAFE, _SAFE)))
    query = draw(st.one_of(st.just(""), st.builds("?password={}".format, _SAFE)))
    return f"rtsp://{userinfo}{draw(_HOSTS)}{draw(_PORTS)}/{draw(_SAFE)}{query}"


@given(addresses())
def test_edit_returns_the_stored_address_when_its_own_mask_comes_back(stored: str) -> None:
    assert edit_rtsp_url(mask_rtsp_url(stored), stored).text == stored


@given(addresses(), addresses())
def test_edit_never_stores_a_mask_nor_carries_a_secret_away_when_a_masked_address_is_sent(
    stored: str, other: str
) -> None:
    masked = mask_rtsp_url(other)
    try:
        kept = edit_rtsp_url(masked, stored)
    except CameraAddressError:
        return
    assert MASK not in kept.text
    assert MASK not in masked or kept.same_target(parse_rtsp_url(stored))


@given(st.text())
def test_mask_and_parse_never_fail_otherwise_when_given_anything(text: str) -> None:
    mask_rtsp_url(text)
    with contextlib.suppress(CameraAddressError):
        parse_rtsp_url(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("rtsp://h/a", "rtsp://h:554/a", True),  # the usual port
        ("rtsp://h/a", "rtsps://h/a", True),  # encrypted, each on its usual port
        ("rtsp://h:9000/a", "rtsps://h:9000/a", True),
        ("rtsp://h:554/a", "rtsp://h:8554/a", False),
        ("rtsp://u:p@h/a", "rtsp://x:y@h/a", True),
        ("rtsp://H/a", "rtsp://h/a", True),
        ("rtsp://h", "rtsp://h/", True),
        ("rtsp://h/a", "rtsp://g/a", False),
        ("rtsp://h/a", "rtsp://h/A", False),
        ("rtsp://h/a?channel=1", "rtsp://h/a?channel=2", False),
        ("rtsp://h/a?password=x&channel=1", "rtsp://h/a?password=y&channel=1", True),
        ("rtsp://h/a?password=x&channel=1", "rtsp://h/a?password=x&channel=2", False),
        # Recorders that take user and password in the path: what follows them still counts.
        ("rtsp://h/user=a_password=b_channel=1_a.sdp", "rtsp://h/user=c_password=d_channel=1_a.sdp", True),
        ("rtsp://h/user=a_password=b_channel=1_a.sdp", "rtsp://h/user=a_password=b_channel=2_a.sdp", False),
        ("rtsp://h/user=a&password=b&channel=1", "rtsp://h/user=a&password=b&channel=2", False),
    ],
)  # fmt: skip
def test_source_is_the_same_when_only_credentials_or_encryption_differ(one: str, other: str, same: bool) -> None:
    assert same_source(parse_rtsp_url(one), parse_rtsp_url(other)) is same
    assert same_source(parse_rtsp_url(other), parse_rtsp_url(one)) is same
