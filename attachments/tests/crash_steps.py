"""Somebody who uploads, sends and takes away files for ever, and keeps a diary; to be killed.

    python -m attachments.tests.crash_steps SEED DIARY

A line of the diary is one JSON object and is on the disk before the next step: `kept` (id, sha256)
once the desk has answered that it has a file, `removing` (id) before one is taken away, `removed`
once that is answered. Files named once-… are of a content of their own and straight onto a ticket;
those named eicar-… are infected.
"""

import json
import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import django


class Diary:
    """Lines that outlive whoever writes them."""

    def __init__(self, path: Path) -> None:
        # Each line is one write to the end of the file: a whole line, or none.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, **facts: Any) -> None:
        os.write(self._file, (json.dumps({"what": what, **facts}) + "\n").encode())


def read(path: Path) -> list[dict[str, Any]]:
    """What a diary says; the last line may be half a line."""
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


class Steps:
    """What somebody does with files."""

    def __init__(self, seed: int, diary: Diary) -> None:
        from agents.models import User
        from tickets.models import Ticket

        self.dice, self.diary = random.Random(seed), diary
        self.seed, self.count = seed, 0
        self.people = list(User.objects.filter(username__in=["alice", "bob"]).order_by("pk"))
        self.tickets = list(Ticket.objects.order_by("pk"))

    def any(self) -> None:
        weighted = [
            (30, self.upload),
            (20, self.upload_what_many_have),
            (10, self.upload_drafts),
            (10, self.send),
            (25, self.remove),
        ]
        weights, acts = zip(*weighted, strict=True)
        self.dice.choices(acts, weights)[0]()

    def upload(self) -> None:
        """Contents of their own."""
        self.count += 1
        name = f"{self.seed}-{os.getpid()}-{self.count}"
        kind = self.dice.choice(["txt", "txt", "txt", "csv", "png", "eicar"])
        self._take([self._content(name, kind)], self.dice.choice(self.tickets))

    def upload_what_many_have(self) -> None:
        """Of a few contents, which come and go all the time; several at once."""
        from attachments.tests.desk_of_files import words

        numbers = self.dice.sample(range(5), self.dice.randint(1, 3))
        ticket = self.dice.choice([*self.tickets, None])
        self._take([(f"many-{n}.txt", words(n, 20_000)) for n in numbers], ticket)

    def upload_drafts(self) -> None:
        from attachments.tests.desk_of_files import words

        self.count += 1
        name = f"draft-{self.seed}-{os.getpid()}-{self.count}.txt"
        self._take([(name, words(name))], None)

    def send(self) -> None:
        """A message with whatever lies ready."""
        from django.utils import timezone

        from attachments.models import Attachment
        from tickets import services

        author = self.dice.choice(self.people)
        drafts = Attachment.objects.filter(uploaded_by=author, ticket=None)[:3]
        services.post_message(
            ticket=self.dice.choice(self.tickets),
            author=author,
            body="See these",
            attachments=[draft.pk for draft in drafts],
            at=timezone.now(),
        )

    def remove(self) -> None:
        from django.utils import timezone

        from attachments.models import Attachment
        from attachments.services import remove

        file = Attachment.objects.present().exclude(filename__startswith="once").order_by("?")[:1]
        for each in file:
            self.diary.note("removing", id=str(each.pk))
            remove(file=each, actor=each.uploaded_by, at=timezone.now())
            self.diary.note("removed", id=str(each.pk))

    def _content(self, name: str, kind: str) -> tuple[str, bytes]:
        from attachments.tests.clamd_server import EICAR
        from attachments.tests.desk_of_files import picture, words

        if kind == "png":
            colour = f"#{self.dice.randrange(1 << 24):06x}"
            return f"mine-{name}.png", picture(colour, side=self.dice.randint(1, 400))
        if kind == "csv":
            return f"once-{name}.csv", f"name,number\n{name},{self.count}\n".encode()
        if kind == "eicar":
            return f"eicar-{name}.txt", name.encode() + b"\n" + EICAR
        return f"once-{name}.txt", words(name, self.dice.choice([200, 200_000]))

    def _take(self, files: list[tuple[str, bytes]], ticket: Any) -> None:
        from attachments.tests.desk_of_files import keep

        for file in keep(self.dice.choice(self.people), *files, ticket=ticket):
            self.diary.note("kept", id=str(file.pk), sha256=file.sha256)


def live(seed: int, diary: Diary) -> None:
    """Until killed. What somebody else has just taken away is refused, as in life, and SQLite may
    have no turn for everybody."""
    from django.conf import settings
    from django.db import OperationalError, connection
    from django.http import Http404

    from attachments.refusals import FileRefused
    from attachments.tests.desk_of_files import with_limits
    from servicedesk.errors import FieldError

    many, busy = 1_000_000, [OperationalError] if connection.vendor == "sqlite" else []
    settings.ATTACHMENTS = with_limits(files_per_ticket=many, drafts_per_user=many, daily_mb=many)
    steps = Steps(seed, diary)
    diary.note("begun")
    while True:
        with suppress(Http404, FieldError, FileRefused, *busy):
            steps.any()
        # SQLite lets no one in by turns.
        time.sleep(steps.dice.expovariate(100))


if __name__ == "__main__":
    django.setup()
    live(int(sys.argv[1]), Diary(Path(sys.argv[2])))
