"""Google's credentials files: a service account's key or a user's own login, and what to send for an access token.

The grants are those of RFC 7523 and RFC 6749 (6), as developers.google.com/identity/protocols/oauth2 describes them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import jwt
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

ASSERTION_LIFE_S = 3600
_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


class NoCredentials(Exception):
    """A file that is not there, or none of the two kinds. The text shows nothing of what is in it."""


class ServiceAccount(BaseModel):
    """The key of a service account."""

    type: Literal["service_account"]
    client_email: str
    private_key: str
    private_key_id: str
    token_uri: str = _TOKEN_URI

    def form(self, *, scope: str, now: int) -> Mapping[str, str]:
        """What asks for a token; `now` is seconds since 1970. NoCredentials if the key is none."""
        claims = {
            "iss": self.client_email,
            "scope": scope,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + ASSERTION_LIFE_S,
        }
        try:
            assertion = jwt.encode(claims, self.private_key, algorithm="RS256", headers={"kid": self.private_key_id})
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            # Without its text, which might show of the key.
            raise NoCredentials(f"the key of {self.client_email} is none: {type(error).__name__}") from None
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


class AuthorizedUser(BaseModel):
    """What `gcloud auth application-default login` leaves."""

    type: Literal["authorized_user"]
    client_id: str
    client_secret: str
    refresh_token: str
    token_uri: str = _TOKEN_URI

    def form(self, *, scope: str, now: int) -> Mapping[str, str]:  # noqa: ARG002 - as of a service account
        """What asks for a token, of the scopes that the user agreed to."""
        return {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }


Credentials = ServiceAccount | AuthorizedUser


def read(path: Path) -> Credentials:
    """What is in the file. NoCredentials if there is none of use."""
    kinds: TypeAdapter[Credentials] = TypeAdapter(Annotated[Credentials, Field(discriminator="type")])
    try:
        return kinds.validate_json(path.read_bytes())
    except OSError as error:
        raise NoCredentials(f"{path}: {type(error).__name__}") from error
    except ValidationError as error:
        # Only where, never what: the file is a secret.
        where = sorted({".".join(map(str, one["loc"])) or "type" for one in error.errors()})
        raise NoCredentials(f"{path} is no service account's key or user's login: {', '.join(where)}") from None
