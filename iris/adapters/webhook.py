"""Posts one notification to the operator's receiver, signed; tells in a sentence what became of it.

The address and the secret are secrets: neither is in a sentence, an error or a log line. A redirect is not followed
(it would carry the body to a host that nobody named), TLS is verified, no proxy of the environment is used, the whole
exchange takes 10 s at most, and nothing of the answer but its status is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from dataclasses import dataclass
from typing import Final

import httpx

from iris.base.timebase import US_PER_S
from iris.ports import Clock

SIGNATURE_HEADER: Final = "X-Iris-Signature"
DELIVERY_HEADER: Final = "X-Iris-Delivery"
TIMEOUT_S: Final = 10.0
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a try. `failure` is a sentence, None where it was taken; `final`: no further try is wanted."""

    failure: str | None = None
    final: bool = False


def signature(secret: str, unix_s: int, body: str) -> str:
    """The value of `X-Iris-Signature`: HMAC-SHA-256 over the time, a dot and the body.

    >>> signature("secret", 1700000000, "{}")[:28]
    't=1700000000,v1=b8569b78799f'
    """
    digest = hmac.new(secret.encode(), f"{unix_s}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={unix_s},v1={digest}"


class Webhook:
    """One receiver; belongs to one event loop. Close it at the end."""

    def __init__(self, url: str, secret: str, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._secret, self._clock, self._timeout_s = url, secret, clock, timeout_s
        self._client = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False)

    async def send(self, delivery_id: str, body: str) -> Delivery:
        """Post a body (JSON) once; never raises for what the receiver or the way to it does."""
        now_s = self._clock.wall_us() // US_PER_S
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Iris",
            DELIVERY_HEADER: delivery_id,
            SIGNATURE_HEADER: signature(self._secret, now_s, body),
        }
        try:
            # The client's own time-out counts from byte to byte: a receiver that drips would never end.
            async with asyncio.timeout(self._timeout_s):
                request = self._client.stream("POST", self._url, content=body.encode(), headers=headers)
                async with request as answer:
                    return _judged(answer.status_code)
        except (TimeoutError, httpx.TimeoutException):
            return Delivery(f"the receiver did not answer within {self._timeout_s:g} s")
        except httpx.HTTPError as error:
            return Delivery(_sentence(error))
        except (httpx.InvalidURL, ValueError):
            return Delivery("WEBHOOK_URL is no address that can be asked")

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


def _judged(status: int) -> Delivery:
    if 200 <= status < 300:
        return Delivery()
    if status == _GONE:
        return Delivery("the receiver answered 410: it wants no more of it", final=True)
    if 300 <= status < 400:
        return Delivery(f"the receiver answered {status}; a redirect is not followed, set WEBHOOK_URL to its end")
    return Delivery(f"the receiver answered {status}")


def _sentence(error: httpx.HTTPError) -> str:
    """What went wrong on the way, without the address: texts of the library may hold it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "the certificate of the receiver is not valid" if "CERTIFICATE" in str(cause) else "TLS failed"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return "the receiver cannot be reached"
    return "the connection to the receiver broke"
