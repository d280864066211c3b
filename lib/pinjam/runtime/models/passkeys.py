"""Passkeys: WebAuthn's options and credentials in their JSON forms, and what apps are told about our domain.

Names in camel case are WebAuthn's: browsers and phones read and write these objects as they are.
"""

import base64
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from pinjam.domain.passkey import CHALLENGE_LIFE
from pinjam.runtime.models.fields import Given, Instant, OneLine, ResourceId, Shown, Taken

if TYPE_CHECKING:
    from pinjam.domain.passkey import Passkey
    from pinjam.runtime.composition import App
    from pinjam.services.ceremonies import Credential
    from pinjam.services.passkey_login import Invitation
    from pinjam.services.passkeys import Enrolment

RP_NAME = "Pinjam"
TIMEOUT_MS = int(CHALLENGE_LIFE.total_seconds() * 1000)
ES256, RS256 = -7, -257

Encoded = Annotated[str, Field(min_length=1, max_length=32_768, pattern=r"^[A-Za-z0-9_-]+=*$")]
"""Bytes in base64url."""
CredentialId = Annotated[str, Field(min_length=1, max_length=1_400, pattern=r"^[A-Za-z0-9_-]+$")]


class _FromClient(Taken):
    """What an authenticator's client adds beyond this is its own affair."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @property
    def plain(self) -> "Credential":
        """As it came, without what was null."""
        return self.model_dump(exclude_none=True)


class AttestationGiven(_FromClient):
    """What an authenticator answers to creation options."""

    clientDataJSON: Encoded  # noqa: N815 - WebAuthn's name
    attestationObject: Encoded  # noqa: N815 - WebAuthn's name
    transports: Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=16)] | None = None


class AssertionGiven(_FromClient):
    """What an authenticator answers to request options."""

    clientDataJSON: Encoded  # noqa: N815 - WebAuthn's name
    authenticatorData: Encoded  # noqa: N815 - WebAuthn's name
    signature: Encoded
    userHandle: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_-]*=*$")] | None = None  # noqa: N815 - as above


class NewCredentialGiven(_FromClient):
    """A new public key credential, as `PublicKeyCredential.toJSON()` makes it."""

    id: CredentialId
    rawId: CredentialId  # noqa: N815 - WebAuthn's name
    type: Literal["public-key"]
    response: AttestationGiven


class UsedCredentialGiven(_FromClient):
    """A public key credential that signed, as `PublicKeyCredential.toJSON()` makes it."""

    id: CredentialId
    rawId: CredentialId  # noqa: N815 - WebAuthn's name
    type: Literal["public-key"]
    response: AssertionGiven


class EnrollRequest(Given):
    """A new passkey, and what its owner calls the device."""

    challenge_id: ResourceId
    credential: NewCredentialGiven
    device_name: Annotated[str, Field(min_length=1, max_length=64, examples=["Pixel 9"]), OneLine]


class PasskeyLoginOptionsRequest(Given):
    """Whose passkeys to ask for; without an identifier the device chooses."""

    identifier: Annotated[str, Field(min_length=1, max_length=254), OneLine] | None = None


class PasskeyLoginRequest(Given):
    """A passkey's signature."""

    challenge_id: ResourceId
    credential: UsedCredentialGiven


class CredentialDescriptor(Shown):
    """A credential by its id, and how its authenticator can be reached."""

    id: str
    type: Literal["public-key"] = "public-key"
    transports: list[str]


class RelyingParty(Shown):
    """Whom the passkey is for."""

    id: str
    name: str


class UserEntity(Shown):
    """Whose passkey it is, and how the device shows them."""

    id: str
    name: str
    displayName: str  # noqa: N815 - WebAuthn's name


class KeyParameters(Shown):
    """A kind of key, by its COSE algorithm."""

    alg: int
    type: Literal["public-key"] = "public-key"


class AuthenticatorSelection(Shown):
    """What an authenticator must be able to do."""

    residentKey: Literal["preferred"] = "preferred"  # noqa: N815 - WebAuthn's name
    requireResidentKey: bool = False  # noqa: N815 - WebAuthn's name
    userVerification: Literal["required"] = "required"  # noqa: N815 - WebAuthn's name


class CreationOptions(Shown):
    """For `PublicKeyCredential.parseCreationOptionsFromJSON()`."""

    rp: RelyingParty
    user: UserEntity
    challenge: str
    pubKeyCredParams: list[KeyParameters]  # noqa: N815 - WebAuthn's name
    timeout: Annotated[int, Field(description="Milliseconds.")]
    excludeCredentials: list[CredentialDescriptor]  # noqa: N815 - WebAuthn's name
    authenticatorSelection: AuthenticatorSelection  # noqa: N815 - WebAuthn's name
    attestation: Literal["none"] = "none"


class RequestOptions(Shown):
    """For `PublicKeyCredential.parseRequestOptionsFromJSON()`."""

    challenge: str
    timeout: Annotated[int, Field(description="Milliseconds.")]
    rpId: str  # noqa: N815 - WebAuthn's name
    allowCredentials: list[CredentialDescriptor]  # noqa: N815 - WebAuthn's name
    userVerification: Literal["required"] = "required"  # noqa: N815 - WebAuthn's name


class EnrollOptions(Shown):
    """A challenge for a new passkey, valid for five minutes."""

    challenge_id: str
    public_key: CreationOptions

    @classmethod
    def of(cls, begun: "Enrolment", app: "App") -> "EnrollOptions":
        """The options for the borrower, who is shown on the device by name and address."""
        user = begun.user
        options = CreationOptions(
            rp=RelyingParty(id=app.settings.webauthn.rp_id, name=RP_NAME),
            user=UserEntity(id=_encoded(user.id.encode()), name=user.email, displayName=user.full_name),
            challenge=_encoded(begun.challenge),
            pubKeyCredParams=[KeyParameters(alg=algorithm) for algorithm in (ES256, RS256)],
            timeout=TIMEOUT_MS,
            excludeCredentials=[
                CredentialDescriptor(id=one.credential_id, transports=list(one.transports)) for one in begun.present
            ],
            authenticatorSelection=AuthenticatorSelection(),
        )
        return cls(challenge_id=begun.challenge_id, public_key=options)


class PasskeyLoginOptions(Shown):
    """A challenge for a login, valid for five minutes."""

    challenge_id: str
    public_key: RequestOptions

    @classmethod
    def of(cls, begun: "Invitation", app: "App") -> "PasskeyLoginOptions":
        """The options for whoever asked."""
        options = RequestOptions(
            challenge=_encoded(begun.challenge),
            timeout=TIMEOUT_MS,
            rpId=app.settings.webauthn.rp_id,
            allowCredentials=[
                CredentialDescriptor(id=one.credential_id, transports=list(one.transports)) for one in begun.allowed
            ],
        )
        return cls(challenge_id=begun.challenge_id, public_key=options)


class PasskeyEnrolled(Shown):
    """A new passkey."""

    id: str
    device_name: str
    created_at: Instant

    @classmethod
    def of(cls, passkey: "Passkey") -> "PasskeyEnrolled":
        """The new passkey as the API shows it."""
        return cls(id=passkey.id, device_name=passkey.device_name, created_at=passkey.created_at)


class PasskeyShown(PasskeyEnrolled):
    """A passkey. One that is blocked signs nobody in any more, because it seems to have been copied."""

    last_used_at: Instant | None
    blocked_at: Instant | None
    backed_up: Annotated[bool, Field(description="Whether the device's maker keeps a copy for its owner.")]

    @classmethod
    def of(cls, passkey: "Passkey") -> "PasskeyShown":
        """The passkey as the API shows it."""
        return cls(
            id=passkey.id,
            device_name=passkey.device_name,
            created_at=passkey.created_at,
            last_used_at=passkey.last_used_at,
            blocked_at=passkey.blocked_at,
            backed_up=passkey.backed_up,
        )


class PasskeyList(Shown):
    """All of the borrower's passkeys, oldest first; there are never so many that a list needs pages."""

    credentials: list[PasskeyShown]


class AndroidTarget(Shown):
    """An Android app."""

    namespace: Literal["android_app"] = "android_app"
    package_name: str
    sha256_cert_fingerprints: list[str]


class AssetLink(Shown):
    """What an Android app may do in our domain's name."""

    relation: list[str]
    target: AndroidTarget


class AssetLinks(RootModel[list[AssetLink]]):
    """Google's Digital Asset Links: which Android app shares logins with this domain."""

    @classmethod
    def of(cls, app: "App") -> "AssetLinks":
        """Our app's link."""
        apps = app.settings.apps
        relation = ["delegate_permission/common.handle_all_urls", "delegate_permission/common.get_login_creds"]
        target = AndroidTarget(
            package_name=apps.android_package, sha256_cert_fingerprints=list(apps.android_fingerprints)
        )
        return cls([AssetLink(relation=relation, target=target)])


class WebCredentials(Shown):
    """The iOS apps."""

    apps: list[str]


class AppleAssociation(Shown):
    """Apple's associated domains: which iOS app shares logins with this domain."""

    webcredentials: WebCredentials

    @classmethod
    def of(cls, app: "App") -> "AppleAssociation":
        """Our app's entry."""
        apps = app.settings.apps
        return cls(webcredentials=WebCredentials(apps=[f"{apps.apple_team_id}.{apps.apple_bundle_id}"]))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
