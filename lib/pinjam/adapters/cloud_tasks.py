"""Work for later, in Google Cloud Tasks over its REST API; the local system speaks the same."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from http import HTTPStatus

from pinjam.adapters.event_messages import CLOUD_EVENT_TYPE, event_message, instant
from pinjam.adapters.http_client import HttpClient
from pinjam.domain.task import Task
from pinjam.services.ports import Unavailable

SERVICE = "tasks"


class CloudTasks:
    """`ports.Tasks` at `url` (without `/v2`), in the queues of one project and location.

    A task calls `<functions_url>/<function>` with its event, in the shape in which Pub/Sub would bring it, and
    with an OIDC token of `account`. `token` gives an OAuth access token where one is needed.
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
        timeout_s: float = 10,
    ) -> None:
        self._parent = f"projects/{project}/locations/{location}"
        self._url = url
        self._functions_url = functions_url
        self._account = account
        self._http = HttpClient(service=SERVICE, timeout_s=timeout_s, token=token)

    def schedule(self, *tasks: Task) -> None:
        """All of them are safely kept when this returns; Unavailable otherwise."""
        for task in tasks:
            queue = f"{self._parent}/queues/{task.queue}"
            reply = self._http.send("POST", f"{self._url}/v2/{queue}/tasks", json={"task": self._body(task, queue)})
            # A conflict says that the task is there, or was done a while ago.
            if not reply.accepted and reply.status != HTTPStatus.CONFLICT:
                raise Unavailable(SERVICE, f"{task.queue}: HTTP {reply.status}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _body(self, task: Task, queue: str) -> Mapping[str, object]:
        address = f"{self._functions_url}/{task.function}"
        message = {**event_message(task.event), "messageId": task.id, "publishTime": instant(task.due_at)}
        content = json.dumps({"message": message, "subscription": f"{queue}/tasks/{task.id}"})
        return {
            "name": f"{queue}/tasks/{task.id}",
            "scheduleTime": instant(task.due_at),
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
                },
                "body": b64encode(content.encode()).decode(),
                "oidcToken": {"serviceAccountEmail": self._account, "audience": address},
            },
        }
