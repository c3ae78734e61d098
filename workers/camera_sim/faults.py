"""What can go wrong with a camera, as switches that sessions look at, and as a script for the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Name of each scripted fault and what its value means; None where it takes no value.
SCRIPTED_FAULTS = {
    "stall": "seconds without a packet, the connection stays open",
    "freeze": "seconds without a packet or an answer, the connection stays open",
    "drop": None,
    "reset": None,
    "away": "seconds in which connections are refused",
    "jump": "seconds added to the time stamps, may be negative",
    "lose": "RTP packets that are not sent",
    "answer": "status of every DESCRIBE, such as 401, 404, 503; 0 ends it",
    "redirect": "address that every DESCRIBE is sent to",
    "resize": "WIDTHxHEIGHT of the generated scene from then on",
}
_SECONDS = r"\d+(\.\d+)?"
# Shape of the values, so that a script fails when it is read and not when it plays.
_SHAPES = {
    "stall": _SECONDS,
    "freeze": _SECONDS,
    "away": _SECONDS,
    "jump": "-?" + _SECONDS,
    "lose": r"\d+",
    "answer": r"\d+",
    "resize": r"\d+x\d+",
}


@dataclass(slots=True)
class Faults:
    """Switches of a running camera; written by one thread, read by its sessions.

    Attributes:
        stalled: No packets are sent; requests are answered.
        frozen: Neither packets nor answers are sent.
        answer_status: Status of every DESCRIBE instead of the description.
        redirect_to: Address that every DESCRIBE is sent to (302).
        without_video: The description has no pictures.
        unknown_codec: The description names a codec that nobody knows.
        jump_us: Added to all media times of packets.
        packets_to_lose: So many RTP packets are skipped, their sequence numbers are used up.
    """

    stalled: bool = False
    frozen: bool = False
    answer_status: int | None = None
    redirect_to: str | None = None
    without_video: bool = False
    unknown_codec: bool = False
    jump_us: int = 0
    packets_to_lose: int = 0


@dataclass(frozen=True, slots=True, order=True)
class ScriptedFault:
    """One line of a script: what happens how long after the start."""

    at_s: float
    name: str
    value: str = ""


def parse_fault(text: str) -> ScriptedFault:
    """Read `AT:NAME` or `AT:NAME:VALUE`.

    Raises:
        ValueError: With a sentence that says what is allowed.

    >>> parse_fault('20:stall:5')
    ScriptedFault(at_s=20.0, name='stall', value='5')
    """
    at, _, rest = text.partition(":")
    name, _, value = rest.partition(":")
    if name not in SCRIPTED_FAULTS:
        raise ValueError(f"no fault is called {name!r}; there are {', '.join(SCRIPTED_FAULTS)}")
    meaning = SCRIPTED_FAULTS[name]
    if bool(value) != bool(meaning):
        raise ValueError(f"{name} takes {'a value: ' + meaning if meaning else 'no value'}")
    try:
        at_s = float(at)
    except ValueError:
        raise ValueError(f"{at!r} is no time in seconds after the start") from None
    if name in _SHAPES and not re.fullmatch(_SHAPES[name], value):
        raise ValueError(f"{name} takes {meaning}, not {value!r}")
    return ScriptedFault(at_s, name, value)
