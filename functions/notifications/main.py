"""The borrower's notifications."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.notifications import (
    ChallengeQuery,
    DeviceGiven,
    NotificationList,
    NotificationQuery,
    NotificationShown,
    PreferencesGiven,
    PreferencesShown,
    WhatsAppCallback,
)

api = Api("notifications", tag="Notifications")


@api.route("GET", "/api/notifications", query=NotificationQuery, answer=NotificationList, problems=(422,))
def show_all(call: Call[None, NotificationQuery]) -> Answer:
    """List the borrower's notifications, newest first, and count the unread."""
    query = call.query
    page, unread = call.app.notices.list(call.user_id, unread=query.unread, limit=query.limit, after=query.cursor)
    return Answer(
        200,
        NotificationList(
            notifications=[NotificationShown.of(one) for one in page.items],
            unread_count=unread,
            next_cursor=page.next_cursor,
        ),
    )


@api.route("POST", "/api/notifications/{id}/read", status=204, problems=(404,))
def read(call: Call[None, None]) -> Answer:
    """Mark a notification as read."""
    call.app.notices.read(call.user_id, call.path["id"])
    return Answer(204)


@api.route("POST", "/api/notifications/read-all", status=204)
def read_all(call: Call[None, None]) -> Answer:
    """Mark all notifications as read."""
    call.app.notices.read_all(call.user_id)
    return Answer(204)


@api.route("PUT", "/api/notifications/devices", body=DeviceGiven, status=204, problems=(404, 409, 422))
def register_device(call: Call[DeviceGiven, None]) -> Answer:
    """Send push messages to this device too; a token that another borrower had moves to this one."""
    call.app.devices.register(call.user_id, token=call.body.token, platform=call.body.platform, actor=call.actor)
    return Answer(204)


@api.route("GET", "/api/notifications/preferences", answer=PreferencesShown, problems=(404,))
def preferences(call: Call[None, None]) -> Answer:
    """Show which channels the borrower hears on."""
    return Answer(200, PreferencesShown.of(call.app.preferring.show(call.user_id)))


@api.route(
    "PUT",
    "/api/notifications/preferences",
    body=PreferencesGiven,
    answer=PreferencesShown,
    problems=(404, 409, 422),
)
def choose(call: Call[PreferencesGiven, None]) -> Answer:
    """Choose the channels; what the law or the contract needs is sent by e-mail all the same."""
    channels = call.body.channels
    chosen = call.app.preferring.choose(
        call.user_id,
        channels={
            "push": channels.push,
            "email": channels.email,
            "sms": channels.sms,
            "whatsapp": channels.whatsapp,
        },
        marketing=call.body.marketing,
        actor=call.actor,
    )
    return Answer(200, PreferencesShown.of(chosen))


@api.route(
    "GET",
    "/api/notifications/webhook/whatsapp",
    query=ChallengeQuery,
    public=True,
    media=("text/plain",),
    problems=(403, 422),
)
def prove(call: Call[None, ChallengeQuery]) -> Answer:
    """Prove to Meta that this address is ours."""
    query = call.query
    answer = call.app.tracking.answer_challenge(
        mode=query.mode, verify_token=query.verify_token, challenge=query.challenge
    )
    return Answer(200, answer.encode(), media="text/plain")


@api.route(
    "POST",
    "/api/notifications/webhook/whatsapp",
    body=WhatsAppCallback,
    status=204,
    public=True,
    signed="X-Hub-Signature-256",
    problems=(400, 403, 422),
)
def hear(call: Call[WhatsAppCallback, None]) -> Answer:
    """Take in what WhatsApp says became of messages. Repeats and disorder are harmless."""
    call.app.tracking.hear(call.raw, call.signature, request_id=call.request_id)
    return Answer(204)


notifications = api.entry()
