"""Secrets at rest under DATA_DIR/secrets: the key that seals camera addresses, and the api's own key.

AES-256-GCM with a random 96-bit nonce per sealing (NIST SP 800-38D; far below 2**32 sealings per key). A context,
the camera's id, is authenticated with each address, so that a row copied to another camera does not open.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from iris.adapters.media_files import translated
from iris.adapters.once_file import create_once, read_text_once
from iris.base.errors import ConfigError

# First byte of every sealed value: the format, so that a later one can be told apart.
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32


def secrets_dir(data_dir: Path) -> Path:
    """The folder of secrets (0700), made where it is missing.

    Raises:
        StorageError: It cannot be made.
    """
    folder = data_dir / "secrets"
    with translated(f"make {folder}"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    return folder


class Vault:
    """Seals and opens camera addresses with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str, context: str) -> bytes:
        """Encrypt a text for one context (the camera's id)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())

    def open(self, sealed: bytes, context: str) -> str:
        """Decrypt what `seal` made for the same context.

        Raises:
            ConfigError: Another key or another context sealed it, or it is damaged.
        """
        body = sealed[len(_FORMAT) :]
        if sealed[:1] != _FORMAT or len(body) < _NONCE_BYTES:
            raise ConfigError("a stored camera address is damaged; enter the address again")
        try:
            return self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], context.encode()).decode()
        except InvalidTag as error:
            raise ConfigError(
                "a stored camera address does not open with DATA_DIR/secrets/credentials.key; put the key back that "
                "belongs to this database, or enter the address again"
            ) from error


def open_vault(data_dir: Path) -> Vault:
    """The vault of a data directory; its key is made on the first start.

    Raises:
        ConfigError: The key file is not a key.
        StorageError: The key cannot be read or made.
    """
    path = secrets_dir(data_dir) / "credentials.key"
    text, _made = create_once(path, lambda: secrets.token_bytes(_KEY_BYTES).hex())
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigError(f"{path} is no key: it must hold {2 * _KEY_BYTES} hexadecimal digits; restore it")
    return Vault(key)


def opener_of(data_dir: Path) -> Callable[[bytes, str], bool]:
    """Whether a sealed address opens with the key of a data directory, as a question to ask; makes no key.

    Raises:
        StorageError: The key cannot be read.
    """
    text = read_text_once(data_dir / "secrets" / "credentials.key")
    try:
        key = bytes.fromhex(text or "")
    except ValueError:
        key = b""
    vault = Vault(key) if len(key) == _KEY_BYTES else None

    def opens(sealed: bytes, context: str) -> bool:
        if vault is None:
            return False
        try:
            vault.open(sealed, context)
        except ConfigError:
            return False
        return True

    return opens


def ensure_api_key(data_dir: Path) -> tuple[str, bool]:
    """The api's key and whether it was made just now; only `iris up` makes one.

    Raises:
        ConfigError: The file is empty.
        StorageError: It cannot be read or made.
    """
    path = secrets_dir(data_dir) / "api_key"
    key, made = create_once(path, lambda: secrets.token_urlsafe(32))
    return _checked_api_key(path, key), made


def read_api_key(data_dir: Path) -> str | None:
    """The key that `iris up` made, or None.

    Raises:
        ConfigError: The file is empty.
        StorageError: It cannot be read.
    """
    path = data_dir / "secrets" / "api_key"
    key = read_text_once(path)
    return None if key is None else _checked_api_key(path, key)


def _checked_api_key(path: Path, key: str) -> str:
    if not key:
        raise ConfigError(f"{path} is empty; delete it and start `iris up`, which makes a new key, or set API_KEY")
    return key
