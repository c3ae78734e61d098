"""Checks of single values of settings, before anything is started. A `ValueError` of theirs is never shown."""

from __future__ import annotations

import ipaddress
import re

from pydantic import SecretStr


def lower(value: object) -> object:
    """A word without white space around it, in lower case."""
    return value.strip().lower() if isinstance(value, str) else value


def printable(value: SecretStr) -> SecretStr:
    """A secret that fits into a header."""
    text = value.get_secret_value()
    if not text or any(not 0x21 <= ord(c) <= 0x7E for c in text):
        raise ValueError("not printable ASCII")
    return value


def database_url(value: SecretStr) -> SecretStr:
    """A kind of database that Iris knows; the store reads the rest."""
    if re.match(r"sqlite:///.|postgres(ql)?(\+\w+)?://[^/]*/.", value.get_secret_value()) is None:
        raise ValueError("not a known kind of database")
    return value


def web_address(value: SecretStr) -> SecretStr:
    """An http or https address."""
    if re.fullmatch(r"https?://[^\s/?#]+\S{0,2000}", value.get_secret_value()) is None:
        raise ValueError("not a web address")
    return value


def ip_address(value: str) -> str:
    """An IP address in its usual form."""
    return str(ipaddress.ip_address(value))
