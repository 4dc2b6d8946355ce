from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from servicedesk.demo import People, load


class Command(BaseCommand):
    help = "Fill the desk with a small cast, teams, skills and tickets. Twice is the same as once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", default="", help="of everybody in the demo")

    def handle(self, *args: Any, **options: Any) -> None:
        people, password = load(password=options["password"])
        self.stdout.write(table(people, password))


def table(people: People, password: str) -> str:
    """The logins, for the terminal."""
    rows = "\n".join(
        f"  {user.username:<8} {user.role:<10} {user.email}" for user in people.values()
    )
    return f"\nDemo logins, all with the password  {password}\n\n{rows}\n"
