"""Work for later, in Google Cloud Tasks over its REST API; the local system speaks the same."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pinjam.adapters.event_messages import CLOUD_EVENT_TYPE, event_message, instant
from pinjam.adapters.faults import unavailable
from pinjam.adapters.google_errors import google_error
from pinjam.adapters.http_client import HttpClient

if TYPE_CHECKING:
    from pinjam.domain.task import Task

SERVICE = "tasks"

ANSWER_WITHIN_S = 300
"""After so long Cloud Tasks takes a try for failed and makes the next: functions have to be stopped before that.

Cloud Tasks allows 15 seconds to 30 minutes.
"""


class CloudTasks:
    """`ports.Tasks` at `url` (without `/v2`), in the queues of one project and location.

    A task calls `<functions_url>/<function>` with its event, in the shape in which Pub/Sub would bring it, and
    with an OIDC token of `account`. `token` gives an OAuth access token where one is needed, `traceparent` names the
    trace of what is being worked on, where there is one. The service takes no task that is due in more than 30 days or
    has more than 100 KB, and knows the id of one that is done for hours.
    """

    def __init__(
        self,
        *,
        url: str,
        project: str,
        location: str,
        functions_url: str,
        account: str,
        token: Callable[[], str] | None = None,
        traceparent: Callable[[], str | None] = lambda: None,
        timeout_s: float = 10,
    ) -> None:
        self._parent = f"projects/{project}/locations/{location}"
        self._url = url
        self._functions_url = functions_url
        self._account = account
        self._traceparent = traceparent
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s, token=token)

    def schedule(self, *tasks: Task) -> None:
        """All of them are safely kept when this returns; Unavailable otherwise."""
        for task in tasks:
            queue = f"{self._parent}/queues/{task.queue}"
            reply = self._http.send("POST", f"{self._url}/v2/{queue}/tasks", json={"task": self._body(task, queue)})
            if reply.accepted:
                continue
            error = google_error(reply)
            # The task is there, or was done a while ago.
            if error.status != "ALREADY_EXISTS":
                raise unavailable(SERVICE, f"{task.queue}: {error}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _body(self, task: Task, queue: str) -> Mapping[str, object]:
        address = f"{self._functions_url}/{task.function}"
        trace = self._traceparent()
        message = {**event_message(task.event, trace), "messageId": task.id, "publishTime": instant(task.due_at)}
        name = f"{queue}/tasks/{_spread(task.id)}"
        content = json.dumps({"message": message, "subscription": name})
        return {
            "name": name,
            "scheduleTime": instant(task.due_at),
            "dispatchDeadline": f"{ANSWER_WITHIN_S}s",
            "httpRequest": {
                "url": address,
                "httpMethod": "POST",
                "headers": {
                    "Content-Type": "application/json",
                    "ce-id": task.id,
                    "ce-specversion": "1.0",
                    "ce-type": CLOUD_EVENT_TYPE,
                    "ce-source": f"//cloudtasks.googleapis.com/{queue}",
                    "ce-time": instant(task.due_at),
                    **({"traceparent": trace} if trace else {}),
                },
                "body": b64encode(content.encode()).decode(),
                "oidcToken": {"serviceAccountEmail": self._account, "audience": address},
            },
        }


def _spread(task_id: str) -> str:
    """The id behind a hash of it: ids that begin with a time, as ours do, make a queue of Cloud Tasks slow."""
    return f"{hashlib.sha256(task_id.encode()).hexdigest()[:8]}-{task_id}"
