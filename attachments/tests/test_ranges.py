"""Which part of a file a request gets, against RFC 9110 read naively."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attachments.api.ranges import Selection, select

pytestmark = pytest.mark.once

ETAG = '"abc"'


def asked(header, size, method="GET", **more):
    headers = {"Range": header, **{name.replace("_", "-"): text for name, text in more.items()}}
    return select(method=method, headers=headers, etag=ETAG, size=size)


def whole(size):
    return Selection(200, 0, size)


def oracle(first, last, size):
    """The bytes at each place one by one: status, and those that are sent."""
    content = list(range(size))
    if first is None:
        sent = content[-last:] if last else []
        satisfiable = last > 0
    else:
        sent = [place for place in content if first <= place and (last is None or place <= last)]
        satisfiable = first < size
    return (206 if sent else 200 if satisfiable else 416), sent


positions = st.integers(0, 40) | st.integers(0, 10**30)


@given(first=positions | st.none(), last=positions | st.none(), size=st.integers(0, 30))
@example(first=None, last=0, size=5)
@example(first=None, last=5, size=0)
@example(first=0, last=None, size=0)
@example(first=4, last=4, size=5)
@example(first=5, last=5, size=5)
def test_one_range_is_what_counting_the_bytes_says(first, last, size):
    if (first is None and last is None) or (None not in (first, last) and last < first):
        expected = whole(size)
    else:
        bounded = None if last is None else min(last, 1000)
        status, sent = oracle(first if first is None else min(first, 1000), bounded, size)
        expected = {
            200: whole(size),
            206: Selection(206, sent[0], sent[-1] + 1) if sent else None,
            416: Selection(416),
        }[status]
    text = [("" if number is None else str(number)) for number in (first, last)]
    assert asked(f"bytes={'-'.join(text)}", size) == expected


@given(header=st.text(max_size=20) | st.from_regex(r"bytes=[0-9,\- ]{0,12}", fullmatch=True))
def test_whatever_stands_there_the_part_lies_within_the_file(header):
    found = asked(header, 10)
    assert found.status in (200, 206, 416)
    assert 0 <= found.start <= found.stop <= 10
    if found.status == 206:
        assert found.start < found.stop


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "bytes=0-1,",
        "bytes=--1",
        "bytes=+0-1",
        "bytes=0x0-1",
        "bytes=\u0660-\u0661",
        "lines=0-1",
        "bytes 0-1",
        "0-1",
    ],
)
def test_what_is_not_one_range_of_bytes_gives_the_whole(header):
    assert asked(header, 10) == whole(10)


@pytest.mark.parametrize("header", ["bytes=2-4", "BYTES=2-4", "bytes= 2-4 ", "bytes=0002-04"])
def test_one_range_may_be_written_in_several_ways(header):
    assert asked(header, 10) == Selection(206, 2, 5)


def test_numbers_of_thousands_of_digits_are_too_large_and_nothing_worse():
    many = "9" * 5000
    assert asked(f"bytes={many}-", 10) == Selection(416)
    assert asked(f"bytes=1-{many}", 10) == Selection(206, 1, 10)
    assert asked(f"bytes=-{many}", 10) == Selection(206, 0, 10)
    assert asked(f"bytes={'0' * 5000}1-1", 10) == Selection(206, 1, 2)


def test_head_has_no_ranges():
    assert asked("bytes=0-1", 10, method="HEAD") == whole(10)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        ('"abc"', 206),
        (' "abc" ', 206),
        ('"other"', 200),
        ('W/"abc"', 200),
        ("abc", 200),
        ("*", 200),
        ("", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ],
)
def test_a_part_is_sent_only_to_who_has_the_rest_of_this_very_file(if_range, status):
    assert asked("bytes=0-1", 10, If_Range=if_range).status == status


def test_if_range_does_not_matter_without_a_range():
    found = select(method="GET", headers={"If-Range": '"other"'}, etag=ETAG, size=10)
    assert found == whole(10)


@pytest.mark.parametrize(
    ("header", "if_none_match", "if_match"),
    [
        ('"abc"', 304, 200),
        ("*", 304, 200),
        (" * ", 304, 200),
        ('W/"abc"', 304, 412),
        ('"x", "abc"', 304, 200),
        ('"x","abc","y"', 304, 200),
        ('"a,b", "abc"', 304, 200),
        ('"x"', 200, 412),
        ('"ABC"', 200, 412),
        ('"abcd"', 200, 412),
        ("abc", 200, 412),
        ("", 200, 412),
    ],
)
def test_tags_are_compared_weakly_to_spare_bytes_and_strongly_to_be_sure(
    header, if_none_match, if_match
):
    for name, status in (("If-None-Match", if_none_match), ("If-Match", if_match)):
        for method in ("GET", "HEAD"):
            found = select(method=method, headers={name: header}, etag=ETAG, size=10)
            assert found == (whole(10) if status == 200 else Selection(status))


def test_preconditions_come_before_the_range_and_if_match_before_if_none_match():
    assert asked("bytes=99-", 10, If_None_Match='"abc"').status == 304
    assert asked("bytes=99-", 10, If_Match='"x"').status == 412
    assert asked("bytes=0-1", 10, If_Match='"x"', If_None_Match='"abc"').status == 412
    assert asked("bytes=0-1", 10, If_Match='"abc"', If_None_Match='"x"').status == 206
