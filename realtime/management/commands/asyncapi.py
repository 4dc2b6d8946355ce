from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from realtime import asyncapi


class Command(BaseCommand):
    help = "Write the AsyncAPI document of the socket, made from the frame types."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--file", type=Path, help="where to; otherwise it is printed")

    def handle(self, *args: Any, **options: Any) -> None:
        text = asyncapi.as_yaml()
        if options["file"] is None:
            self.stdout.write(text)
        else:
            options["file"].write_text(text, encoding="utf-8")
