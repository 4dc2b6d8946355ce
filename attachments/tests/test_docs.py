"""docs/files.md says what is true."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from attachments import policy, refusals
from servicedesk.errors import DomainError
from servicedesk.tests.processes import desk

pytestmark = pytest.mark.once

TEXT = (Path(__file__).parent.parent.parent / "docs" / "files.md").read_text()
PASSWORD = "demo-password"
SAID = [
    r'"filename":"vpn\.log"',
    r'"code":"file_type_not_allowed"',
    r'"scan_status":"\w+"',
    "the same bytes",
    "the VPN",
    "304",
    "204",
    r'"code":"not_found"',
]


def test_the_dialogue_goes_as_it_says(tmp_path):
    found = re.search(r"runs this block as it stands -->\n```bash\n(.*?)```", TEXT, re.DOTALL)
    assert found
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    with desk(home, PASSWORD) as address:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", found[1]],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "DESK": address, "DEMO_PASSWORD": PASSWORD},
            timeout=60,
        )
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == len(SAID), lines
    for line, pattern in zip(lines, SAID, strict=True):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"


def test_every_code_is_there_with_its_status():
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", TEXT, re.MULTILINE))
    refused = [each for each in vars(refusals).values() if isinstance(each, type)]
    codes = {each.code: each.status for each in refused if issubclass(each, DomainError)}
    assert len(codes) > 10
    for code in codes.keys() - {DomainError.code}:
        assert rows.get(code) == str(codes[code]), code


def test_the_limits_are_those_of_the_settings():
    rows = re.findall(r"^\| (\w+) \| ([a-z0-9 ]+) \| (\d+) \|$", TEXT, re.MULTILINE)
    assert {(name, tuple(types.split()), int(size)) for name, types, size in rows} == {
        (name, tuple(limits["types"]), limits["max_mb"])
        for name, limits in settings.ATTACHMENTS["categories"].items()
    }
    rules = policy.current()
    for said in (
        f"{rules.files_per_request} files a request, {rules.files_per_ticket} a ticket",
        f"{rules.drafts_per_user} drafts",
        f"at most {rules.archive_entries:,} entries and {rules.archive_bytes // policy.MB} MB",
        f"{rules.image_pixels // 1_000_000} megapixels and {rules.image_frames} frames",
        f"{settings.UPLOAD_BODY_MAX_BYTES // policy.MB} MB a request",
    ):
        assert said in TEXT.replace("\n", " "), said
