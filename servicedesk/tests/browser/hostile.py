"""Text that wants to be more than text, in every field that takes any."""

from dataclasses import dataclass
from typing import Any

from servicedesk.tests.browser.caller import Caller

SCRIPT = "<script>window.__xss = 'script'</script>"
IMAGE = "<img src=x onerror=\"window.__xss = 'image'\">"
BREAKOUT = "\"'></textarea></title><svg onload=window.__xss='svg'>{{7*7}}{% now %}"
LINK = "[press me](javascript:window.__xss='link') <javascript:window.__xss='auto'>"
# One word, for which there is no good place to break.
LONG = "W" * 120


@dataclass(frozen=True)
class Hostile:
    """A ticket of alice's of which every part is hostile; `name` is of somebody who takes part."""

    ticket: int
    subject: str = f"{SCRIPT}{BREAKOUT}"
    said: str = f"{IMAGE} said"
    noted: str = f"{SCRIPT} noted"
    filename: str = "<img src=x onerror=window.__xss=1>.txt"
    name: str = f"{IMAGE} Mallory"
    category: str = f"{SCRIPT} category"
    tag: str = "<b onclick=window.__xss=2>tag</b>"
    canned: str = f"{IMAGE} canned"
    view: str = f"{SCRIPT} view"


def everywhere(alice: Caller, sam: Caller) -> Hostile:
    """Through the API, which takes it all: it is a text like any other."""
    made = Hostile(ticket=0)
    category = sam.call("/categories/", {"name": made.category})["id"]
    mallory = sam.call(
        "/users/",
        {
            "username": "mallory",
            "name": made.name,
            "email": "mallory@desk.example",
            "role": "customer",
        },
    )["id"]
    file = alice.upload(made.filename, b"kept as it is")
    fields: dict[str, Any] = {"category": category, "attachments": [file]}
    description = f"{IMAGE}\n\n{LINK}\n\n{LONG}\n\n```\n{LONG}\n```"
    ticket = alice.open(made.subject, description=description, **fields)
    sam.call(f"/tickets/{ticket}/", {"tags": [made.tag]}, "PATCH")
    sam.call(f"/tickets/{ticket}/participants", {"user": mallory})
    sam.call(f"/tickets/{ticket}/priority", {"priority": "high", "reason": IMAGE}, "PUT")
    sam.post(ticket, f"{made.noted}\n{LONG}", internal=True)
    alice.post(ticket, f"{made.said}\n\n{LINK}")
    sam.call("/canned-replies/", {"title": made.canned, "body": f"{SCRIPT} {{{{ticket.title}}}}"})
    sam.call("/views/", {"name": made.view, "query": "status=new,open", "shared": True})
    return Hostile(ticket=ticket)
