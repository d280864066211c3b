"""The borrower's notifications."""

from pinjam.runtime.api import Answer, Api, Call
from pinjam.runtime.models.notifications import NotificationList, NotificationQuery, NotificationShown

api = Api("notifications", tag="Notifications")


@api.route("GET", "/api/notifications", query=NotificationQuery, answer=NotificationList, problems=(422,))
def show_all(call: Call[None, NotificationQuery]) -> Answer:
    """List the borrower's notifications, newest first, and count the unread."""
    query = call.query
    page, unread = call.app.notifying.list(call.user_id, unread=query.unread, limit=query.limit, after=query.cursor)
    return Answer(
        200,
        NotificationList(
            notifications=[NotificationShown.of(one) for one in page.items],
            unread_count=unread,
            next_cursor=page.next_cursor,
        ),
    )


notifications = api.entry()
