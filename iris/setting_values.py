"""Reads a `.env` file and checks single values of settings. A `ValueError` of theirs is never shown."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import SecretStr

from iris.base.errors import ConfigError


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


def read_env_file(env_file: Path | None) -> dict[str, str]:
    """Names and values of a `.env` file; none where there is no file.

    Raises:
        ConfigError: It cannot be read, or a line of it: the library would only log that and go on with a default.
    """
    if env_file is None or not env_file.exists():
        return {}
    try:
        with env_file.open(encoding="utf-8") as text:
            bad = next((binding.original for binding in parse_stream(text) if binding.error), None)
        if bad is not None:
            line = bad.line + bad.string[: -len(bad.string.lstrip())].count("\n")
            raise ConfigError(f"Line {line} of {env_file} cannot be read; write it as NAME=value, both quotes closed")
        return {name: value or "" for name, value in dotenv_values(env_file, encoding="utf-8").items()}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{env_file} cannot be read; it must be a UTF-8 text of NAME=value lines") from error
