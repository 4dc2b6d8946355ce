from typing import Any

from django.core.management.commands import migrate

from tickets.database import unhurried


class Command(migrate.Command):
    """Django's own, without the time limit on statements that requests have."""

    def handle(self, *args: Any, **options: Any) -> None:
        with unhurried(options["database"]):
            super().handle(*args, **options)
