"""Names are cleaned and kept; what is no name, or says something else than it shows, is refused."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachments import names
from attachments.refusals import InvalidFilename

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("  a  b .pdf ", "a b .pdf"),
        ("report.pdf..", "report.pdf"),
        (".htaccess", "htaccess"),
        ("Gro\u0308ße.txt", "Größe.txt"),
        ("a\u200bb\ufeff.txt", "ab.txt"),
        ("Screenshot 9.41\u202fAM.png", "Screenshot 9.41 AM.png"),
        ("Screenshot 12:30.png", "Screenshot 12_30.png"),
        ("תמונה.png", "תמונה.png"),
        ("👩\u200d💻.png", "👩\u200d💻.png"),
        # Of a Unicode that is newer than Python's.
        ("\U0001fae8 \U0001fae9.png", "\U0001fae8 \U0001fae9.png"),
        ("x" * 300 + ".tar.gz", "x" * 147 + ".gz"),
    ],
)
def test_a_name_is_kept_as_it_can_be_shown(sent, kept):
    assert names.clean(sent) == kept


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", " ", "../a", "a/b", "a\\b", "a\0.txt", "a\n.txt", "a\u2028.txt",
     "\u202egpj.exe", "a\u2067b.txt", "\ud800.txt"],
)  # fmt: skip
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InvalidFilename):
        names.clean(name)


@given(st.text(max_size=400))
def test_what_is_kept_is_short_clean_and_stays_as_it_is(name):
    try:
        kept = names.clean(name)
    except InvalidFilename:
        return
    assert 0 < len(kept) <= names.MAX_LENGTH
    assert names.clean(kept) == kept
    assert not {unicodedata.category(char) for char in kept} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(kept) & set("/\\\0\n")


def test_every_extension_counts():
    assert names.extensions("a.tar.gz") == ["tar", "gz"]
    assert names.extensions("a.PHP .png") == ["php", "png"]
    assert names.extensions("a") == []
