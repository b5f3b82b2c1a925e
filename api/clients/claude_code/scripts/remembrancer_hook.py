"""Send the event of a coding agent's hook from standard input to Remembrancer, and print the
answer.

    python3 -IS remembrancer_hook.py URL

URL is the coding agent's endpoint, such as http://127.0.0.1:8707/v1/hooks/codex. The API key, if
the service needs one, is in REMEMBRANCER_KEY. The script always ends with exit code 0 within 2.5
seconds, so that a service that does not respond cannot hold up a prompt. It prints nothing unless
the answer has content. It uses the standard library only.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys

DEADLINE_S = 2.5

TODO_TOOLS = frozenset(
    {"TodoWrite", "TaskCreate", "TaskUpdate", "TaskList", "update_plan", "manage_todo_list"}
)
"""The tools whose calls the service wants to know."""


def main(url: str) -> None:
    """Post the event from standard input to `url`, and print the answer if it is a JSON object with
    members.
    """
    if "/hooks/claude-code" in url and not {"CLAUDECODE", "CLAUDE_PROJECT_DIR"} & set(os.environ):
        # Visual Studio Code runs the hooks of Claude Code too; its events have an endpoint of their
        # own
        return
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, DEADLINE_S)
    event = sys.stdin.buffer.read()
    if not is_wanted(event):
        return
    scheme, _, address = url.partition("://")
    host, _, path = address.partition("/")
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("REMEMBRANCER_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    connect = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    try:
        connection = connect(host, timeout=DEADLINE_S)
        connection.request("POST", f"/{path}", event, headers)
        response = connection.getresponse()
        answer = json.loads(response.read()) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return
    if isinstance(answer, dict) and answer:
        sys.stdout.write(json.dumps(answer))


def is_wanted(event: bytes) -> bool:
    """Whether the service needs the event.

    Visual Studio Code runs this script after every tool, as it has no matchers, and an event has
    what the tool read.
    """
    try:
        members = json.loads(event)
    except ValueError:
        return True  # the service says what is wrong with it
    if not isinstance(members, dict):
        return True
    name = members.get("hook_event_name") or members.get("hookEventName")
    tool = members.get("tool_name") or members.get("toolName")
    return name != "PostToolUse" or tool in TODO_TOOLS


if __name__ == "__main__":
    main(sys.argv[1])
