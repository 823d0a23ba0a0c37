"""Keys of an account: where they come from, and that nothing shows them."""

from __future__ import annotations

import os
import traceback

import pytest

from cryptosim_bt.errors import ConfigError, InputError
from cryptosim_bt.live.credentials import NAMES, Credentials, read_credentials

VALUES = ("key-of-the-account", "secret-of-the-account", "passphrase-of-the-account")
ENVIRONMENT = dict(zip(NAMES, VALUES, strict=True))


def dotenv(folder, text, mode=0o600):
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def test_keys_come_from_the_environment_before_the_file(tmp_path):
    dotenv(tmp_path, "".join(f'export {name}="of the file"\n' for name in NAMES))
    assert read_credentials(tmp_path, ENVIRONMENT) == Credentials(*VALUES)
    mixed = read_credentials(tmp_path, {NAMES[0]: VALUES[0]})
    assert mixed == Credentials(VALUES[0], "of the file", "of the file")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_file_that_others_can_read_is_refused(tmp_path, mode):
    dotenv(tmp_path, f"{NAMES[0]}={VALUES[0]}\n", mode)
    with pytest.raises(ConfigError, match=r"others can read it.*chmod 600"):
        read_credentials(tmp_path, ENVIRONMENT)


def test_missing_key_is_named_without_the_others(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_credentials(tmp_path, {NAMES[0]: VALUES[0]})
    assert NAMES[1] in str(caught.value)
    assert NAMES[0] not in str(caught.value)


def test_nothing_of_the_file_is_in_a_message_or_traceback(tmp_path):
    (tmp_path / ".env").write_bytes(f"{NAMES[1]}={VALUES[1]}\xff".encode("latin-1"))
    (tmp_path / ".env").chmod(0o600)
    with pytest.raises(InputError) as caught:
        read_credentials(tmp_path, {})
    shown = "".join(traceback.format_exception(caught.value))
    assert "cannot be read" in shown
    assert VALUES[1] not in shown


def test_printed_keys_show_nothing():
    keys = Credentials(*VALUES)
    for text in (repr(keys), str(keys), keys.hidden(" ".join(VALUES))):
        assert not any(value in text for value in VALUES)
