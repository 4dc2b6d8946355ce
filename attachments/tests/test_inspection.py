"""What the bytes of a file are: real ones of every kind are taken, hostile ones refused by name."""

import io
import random
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace

import pytest
from django.conf import settings
from hypothesis import HealthCheck, example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from attachments import names, policy
from attachments.formats import ADVICE, CONTENT_TYPES
from attachments.inspection import FORMATS, glance, inspect
from attachments.refusals import ContentMismatch, FileRefused, FileTypeNotAllowed, ImageTooLarge
from attachments.tests.corpus import (
    EBML,
    ELF,
    GOOD,
    HEIC,
    HOSTILE,
    PAGE,
    PROGRAM,
    animation,
    box,
    image,
    photo,
    zipped,
)

pytestmark = pytest.mark.once
MB = 1024 * 1024
RULES = policy.from_settings(settings.ATTACHMENTS)
IMAGES = [name for name in GOOD if CONTENT_TYPES[names.extensions(name)[-1]].startswith("image/")]


def inspected(name, content, rules=RULES):
    """As an upload does it."""
    cleaned = names.clean(name)
    rules.admit(cleaned, len(content))
    return inspect(io.BytesIO(content), cleaned, len(content), rules)


def test_every_format_that_is_taken_is_tried():
    listed = {each for category in RULES.categories for each in category.extensions}
    assert listed == set(FORMATS) == set(CONTENT_TYPES)
    assert listed == {names.extensions(name)[-1] for name in GOOD}


@pytest.mark.parametrize("name", GOOD)
def test_a_real_file_is_what_its_name_says(name):
    content = GOOD[name]()
    assert inspected(name, content) == CONTENT_TYPES[names.extensions(name)[-1]]
    glance(content[:64], name)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: ascii(hostile.filename))
def test_a_hostile_file_is_refused(hostile):
    content = hostile.make()
    with pytest.raises(FileRefused) as refused:
        inspected(hostile.filename, content)
    assert refused.value.code == hostile.code, refused.value.detail
    assert refused.value.detail


@pytest.mark.parametrize("name", ["phone.jpg", "phone.png"])
def test_who_sends_heic_hears_what_to_do(name):
    for wrong in (name, "phone.heic"):
        with pytest.raises(FileRefused, match="JPEG") as refused:
            inspected(wrong, HEIC)
        assert refused.value.detail == ADVICE["heic"]


@pytest.mark.parametrize("name", IMAGES)
def test_every_proper_beginning_of_an_image_is_refused(name):
    content = GOOD[name]()
    ends = {1, 2, 8, 12, 20, len(content) - 1, len(content) // 2}
    ends |= set(random.Random(name).sample(range(1, len(content)), min(60, len(content) - 1)))
    if name == "motion.jpg":  # behind its first picture there is more than belongs to it
        ends = {end for end in ends if end < len(photo())}
    for end in ends:
        with pytest.raises(ContentMismatch):
            inspected(name, content[:end])


def test_an_image_of_the_largest_size_is_taken_and_no_larger_one():
    rules = replace(RULES, image_pixels=120 * 80, image_frames=3)
    assert inspected("a.png", image("PNG"), rules)
    assert inspected("a.gif", animation("GIF"), rules)
    with pytest.raises(ImageTooLarge):
        inspected("a.png", image("PNG"), replace(rules, image_pixels=120 * 80 - 1))
    with pytest.raises(ImageTooLarge):
        inspected("a.gif", animation("GIF"), replace(rules, image_frames=2))


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("a.mp4", box(b"ftyp", b"isomisom") + (99 * MB + 8).to_bytes(4, "big") + b"mdat", b""),
        ("a.webm", EBML, b""),
        ("a.txt", b"some words", b"\n"),
        ("a.eml", b"From: a\nTo: b\nSubject: c\n\n", b"\n"),
        ("a.wav", b"RIFF\xff\xff\xff\xffWAVE", b""),
    ],
)
def test_memory_is_flat_whatever_the_size(name, begin, end, tmp_path):
    filling = b"x" * MB
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(begin)
        for _ in range(99):
            file.write(filling)
        file.write(end)
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            inspect(file, name, path.stat().st_size, RULES)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 4 * MB


@pytest.mark.parametrize("name", ["million.zip", "many.zip", "huge.png", "bomb.zip"])
def test_a_bomb_costs_nothing(name):
    (hostile,) = (each for each in HOSTILE if each.filename == name)
    content = hostile.make()
    tracemalloc.start()
    try:
        started = time.perf_counter()
        with pytest.raises(FileRefused):
            inspect(io.BytesIO(content), name, len(content), RULES)
        peak, seconds = tracemalloc.get_traced_memory()[1], time.perf_counter() - started
    finally:
        tracemalloc.stop()
    assert peak < 8 * MB
    assert seconds < 20  # generous: tracing is slow, and so may this machine be


# --- What a setting lets in ------------------------------------------------------------

ANYTHING = policy.from_settings(
    {**settings.ATTACHMENTS, "categories": {"any": {"types": ["*"], "max_mb": 5}}}
)


def test_of_unknown_formats_a_setting_lets_in_what_is_no_program_and_no_page():
    assert inspected("a.cad", b"some drawing", ANYTHING) == "application/octet-stream"
    assert inspected("a.cad", zipped({"a.txt": b"a"}), ANYTHING) == "application/octet-stream"
    java = zipped({"META-INF/MANIFEST.MF": b"Main-Class: A", "A.class": b"\xca\xfe\xba\xbe"})
    for content in (PROGRAM, ELF, PAGE, b"#!/bin/sh\nrm -rf ~\n", java):
        with pytest.raises(FileTypeNotAllowed):
            inspected("a.cad", content, ANYTHING)


@pytest.mark.parametrize("name", ["a.exe", "a.svg", "a.html.cad", "a.php", "a.com"])
def test_no_setting_opens_the_deny_list(name):
    with pytest.raises(FileTypeNotAllowed):
        inspected(name, b"words", ANYTHING)


def test_known_formats_are_still_looked_into_where_anything_is_taken():
    with pytest.raises(ContentMismatch):
        inspected("a.png", b"words", ANYTHING)


# --- Whatever comes --------------------------------------------------------------------

MADE = {name: make() for name, make in GOOD.items() if name != "words.zip"}


@limits(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(FORMATS)), st.binary(min_size=1, max_size=400))
@example("zip", b"PK\5\6" + bytes(18))
def test_random_bytes_are_judged_or_refused_never_more(extension, content):
    _judge(f"a.{extension}", content)


@limits(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(MADE)), st.data())
def test_damaged_files_are_judged_or_refused_never_more(name, data):
    content = bytearray(MADE[name])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        match data.draw(st.sampled_from(["set", "cut", "double", "large"])):
            case "set" if content:
                content[at] = data.draw(st.integers(0, 255))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 50))]
            case "double":
                content[at:at] = content[at : at + 40]
            case "large":
                content[at : at + 4] = b"\xff\xff\xff\xff"
    _judge(name, bytes(content))


def _judge(name, content):
    if not content:
        return
    with suppress(FileRefused):
        inspect(io.BytesIO(content), names.clean(name), len(content), RULES)
