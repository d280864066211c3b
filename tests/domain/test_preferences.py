"""Which channels a message goes out on."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pinjam.domain.notification import Channel
from pinjam.domain.preferences import Preferences, channels_for

CHANNELS: tuple[Channel, ...] = ("email", "sms", "whatsapp", "push")
AT = datetime(2026, 11, 24, tzinfo=UTC)
choices = st.builds(
    Preferences,
    id=st.just("usr_1"),
    updated_at=st.just(AT),
    push=st.booleans(),
    email=st.booleans(),
    sms=st.booleans(),
    whatsapp=st.booleans(),
)


def test_who_chose_nothing_hears_on_every_channel_of_the_message() -> None:
    assert channels_for(("email", "push"), None, mandatory=False) == ("email", "push")


def test_a_silent_borrower_still_gets_by_email_what_must_be_told() -> None:
    silent = Preferences(id="usr_1", updated_at=AT, push=False, email=False, sms=False, whatsapp=False)
    assert channels_for(CHANNELS, silent, mandatory=True) == ("email",)
    assert channels_for(CHANNELS, silent, mandatory=False) == ()


def test_nobody_gets_marketing_unasked() -> None:
    assert not Preferences(id="usr_1", updated_at=AT).marketing


@given(chosen=choices, wanted=st.permutations(CHANNELS), mandatory=st.booleans())
def test_only_wanted_channels_and_the_needed_email_are_used(
    *, chosen: Preferences, wanted: list[Channel], mandatory: bool
) -> None:
    used = channels_for(tuple(wanted[:3]), chosen, mandatory=mandatory)
    assert set(used) <= set(wanted[:3])
    for channel in wanted[:3]:
        assert (channel in used) == (chosen.wants(channel) or (mandatory and channel == "email"))
