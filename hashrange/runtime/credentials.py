"""Reading the access keys that may sign requests: from a variable, or from a file as the AWS tools keep it.

The file is the one every SDK and the AWS CLI read (`~/.aws/credentials`), so that server and clients can
share it. Nothing here ever puts a secret into a message.
"""

from __future__ import annotations

import configparser
from pathlib import Path

KEY_OPTION = "aws_access_key_id"
SECRET_OPTION = "aws_secret_access_key"


def parse_credential_list(text: str) -> tuple[list[dict[str, str]], str | None]:
    """Parse `KEY:SECRET,KEY:SECRET` into mappings of access_key and secret; with a mistake, if any."""
    found: list[dict[str, str]] = []
    for position, piece in enumerate(text.split(","), 1):
        access_key, colon, secret = piece.strip().partition(":")
        if not colon or not access_key or not secret:
            return found, f"entry {position} must be ACCESS_KEY:SECRET; separate entries with commas"
        found.append({"access_key": access_key, "secret": secret})
    return found, None


def read_credentials_file(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """All profiles of a shared credentials file that have an access key, and a sentence per mistake.

    Profiles with neither a key nor a secret (roles, single sign-on) are skipped.
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="no default section")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [], [f"there is no file {path}; correct the path or create the file"]
    except OSError as error:
        return [], [f"{path} cannot be read ({error.strerror}); check its permissions"]
    except (configparser.Error, UnicodeDecodeError):
        # The parser's own message quotes the offending line, which may be a secret.
        return [], [
            f"{path} is not in the format of ~/.aws/credentials; write [profile], then key = value lines"
        ]
    found: list[dict[str, str]] = []
    mistakes: list[str] = []
    for profile in parser.sections():
        access_key = parser.get(profile, KEY_OPTION, fallback="").strip()
        secret = parser.get(profile, SECRET_OPTION, fallback="").strip()
        if access_key and secret:
            found.append({"access_key": access_key, "secret": secret})
        elif access_key or secret:
            missing = SECRET_OPTION if access_key else KEY_OPTION
            mistakes.append(f"{path}: profile [{profile}] has no {missing}; add it")
    if not found and not mistakes:
        mistakes.append(f"{path} holds no access key; add {KEY_OPTION} and {SECRET_OPTION} to a profile")
    return found, mistakes
