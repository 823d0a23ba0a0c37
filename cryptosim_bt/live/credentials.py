"""The keys of an account: read from the environment or a .env file, shown nowhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptosim_bt.errors import ConfigError, InputError

NAMES = ("CRYPTOSIM_API_KEY", "CRYPTOSIM_API_SECRET", "CRYPTOSIM_API_PASSWORD")
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account's keys. Printing them, or an exception that holds them, shows nothing."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    password: str = field(repr=False)

    def hidden(self, text: str) -> str:
        """Return a text without the keys, whoever put them there."""
        for value in (self.secret, self.password, self.key):
            text = text.replace(value, _HIDDEN)
        return text


def read_credentials(directory: Path, environment: Mapping[str, str]) -> Credentials:
    """Read the keys: of the environment, and of a ``.env`` beside the configuration.

    The environment goes before the file. ``CRYPTOSIM_API_PASSWORD`` is OKX's passphrase.

    Raises
    ------
    ConfigError
        If one is missing, or others than the owner can read the file.
    """
    found = read_secrets(directory, environment, NAMES)
    missing = [name for name in NAMES if not found.get(name)]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)}: missing; give the account's keys in the environment, or in "
            f"{directory / '.env'} that only you can read (chmod 600)"
        )
    return Credentials(*(found[name] for name in NAMES))


def read_secrets(
    directory: Path, environment: Mapping[str, str], names: Sequence[str]
) -> dict[str, str]:
    """Return those of the names that the environment or the ``.env`` of a folder has."""
    given = {name: environment[name] for name in names if environment.get(name)}
    return {**_read_file(directory / ".env", names), **given} if names else {}


def _read_file(path: Path, names: Sequence[str]) -> dict[str, str]:
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"{path}: others can read it (mode {stat.S_IMODE(mode):o}); allowed: only you: "
                f"chmod 600 {path}"
            )
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        # The file's text must not get into a message: an error of decoding holds a part of it.
        raise InputError(f"{path}: cannot be read ({type(error).__name__})") from None
    found = {}
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip() in names:
            found[name.strip()] = value.strip().strip("'\"")
    return found
