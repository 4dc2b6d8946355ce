"""The README says what is true."""

import re
from pathlib import Path

import pytest

from servicedesk.tests import dialogue
from servicedesk.tests.processes import desk
from tickets.lifecycle import TRANSITIONS


@pytest.mark.once
def test_the_dialogue_of_the_readme_goes_as_it_says(tmp_path: Path):
    with desk(tmp_path, "demo-password") as address:
        dialogue.judge(dialogue.run(address, "demo-password", tmp_path))


def test_the_diagram_of_the_readme_is_the_table_of_the_lifecycle():
    text = dialogue.README.read_text()
    drawn = re.findall(r"^ {4}(\w+) --> (\w+)$", text, re.MULTILINE)
    assert sorted(drawn) == sorted((str(m.source), str(m.target)) for m in TRANSITIONS)
