from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from attachments.models import Blob
from attachments.services import scanning
from servicedesk.sweep_command import positive


class Command(BaseCommand):
    help = "Have files scanned again; the worker does it, or scan_attachments."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="whatever was found before")
        parser.add_argument(
            "--status", action="append", choices=Blob.Scan.values, help="in this state; repeatable"
        )
        parser.add_argument(
            "--older-than", type=positive, metavar="DAYS", help="looked at so long ago, or never"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SCAN_MODE == scanning.OFF:
            raise CommandError("SCAN_MODE is off: nothing would be scanned.")
        if not (options["all"] or options["status"] or options["older_than"]):
            raise CommandError("Say which: --all, --status or --older-than.")
        blobs = Blob.objects.all()
        if options["status"]:
            blobs = blobs.filter(scan_status__in=options["status"])
        if options["older_than"]:
            since = timezone.now() - timedelta(days=options["older_than"])
            blobs = blobs.exclude(scanned_at__gte=since)
        dry = options["dry_run"]
        count = blobs.count() if dry else scanning.rescan(blobs, timezone.now())
        if options["json"]:
            self.stdout.write(orjson.dumps({"handled": count, "dry_run": dry}).decode())
        else:
            self.stdout.write(f"{count} {'would be' if dry else 'will be'} scanned again.")
