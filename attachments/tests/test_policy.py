"""What is taken by name and size alone, and what the settings may say."""

import pytest
from django.conf import settings

from attachments import policy
from attachments.formats import ADVICE, CONTENT_TYPES, DENIED
from attachments.policy import MB
from attachments.refusals import FileEmpty, FileRefused, FileTooLarge, FileTypeNotAllowed

pytestmark = pytest.mark.once

RULES = policy.from_settings(settings.ATTACHMENTS)
LIMITS = {
    "image": (10, "png jpg jpeg gif webp"),
    "document": (25, "pdf docx xlsx pptx odt ods odp rtf"),
    "text": (5, "txt md csv log json yaml xml"),
    "archive": (50, "zip gz tar 7z"),
    "mail": (25, "eml"),
    "audio": (25, "mp3 wav ogg m4a"),
    "video": (100, "mp4 webm mov"),
}


def with_categories(**categories):
    return {**settings.ATTACHMENTS, "categories": categories}


def test_the_limits_are_those_of_the_contract():
    assert {each.name: (each.max_bytes, each.extensions) for each in RULES.categories} == {
        name: (most * MB, frozenset(extensions.split()))
        for name, (most, extensions) in LIMITS.items()
    }
    assert (RULES.files_per_request, RULES.files_per_ticket) == (20, 50)
    assert RULES.daily_bytes == 1024 * MB
    assert list(policy.problems(settings.ATTACHMENTS)) == []


@pytest.mark.parametrize(("name", "most"), [(name, most) for name, (most, _) in LIMITS.items()])
def test_a_file_may_be_as_large_as_its_category_allows_and_no_larger(name, most):
    file = f"a.{LIMITS[name][1].split()[0]}"
    assert RULES.admit(file, most * MB).name == name
    with pytest.raises(FileTooLarge, match=f"{most} MB"):
        RULES.admit(file, most * MB + 1)


@pytest.mark.parametrize("size", [0, -1])
def test_a_file_without_content_is_refused(size):
    with pytest.raises(FileEmpty):
        RULES.admit("a.txt", size)


@pytest.mark.parametrize("extension", sorted(DENIED))
def test_a_denied_extension_counts_wherever_it_stands(extension):
    for name in (f"a.{extension}", f"a.{extension.upper()}", f"a.{extension}.png"):
        with pytest.raises(FileTypeNotAllowed):
            RULES.admit(name, 1)


@pytest.mark.parametrize("name", ["example.com.png", "my.app.log", "a.reg.txt", "v1.2.run.csv"])
def test_what_is_denied_only_at_the_end_is_part_of_ordinary_names(name):
    assert RULES.admit(name, 1)


def test_who_could_send_it_otherwise_hears_how():
    for extension, advice in ADVICE.items():
        with pytest.raises(FileTypeNotAllowed) as refused:
            RULES.admit(f"a.{extension}", 1)
        assert refused.value.detail == advice


def test_other_formats_hear_what_is_taken():
    for name in ("a", "a.cad"):
        with pytest.raises(FileTypeNotAllowed, match=r"docx.*png.*zip"):
            RULES.admit(name, 1)


def test_everything_against_a_file_is_said_at_once():
    assert [each.code for each in RULES.refusals("a.png", 11 * MB)] == ["file_too_large"]
    assert [each.code for each in RULES.refusals("a.exe", 0)] == [
        "file_type_not_allowed",
        "file_empty",
    ]
    assert RULES.refusals("a.png", 1) == []


def test_a_category_that_names_a_format_goes_before_one_that_takes_any():
    rules = policy.from_settings(
        with_categories(
            any={"types": ["*"], "max_mb": 1},
            picture={"types": ["png"], "max_mb": 2, "daily_mb": 3, "files_per_ticket": 4},
        )
    )
    assert rules.admit("a.png", 2 * MB).name == "picture"
    assert rules.admit("a.cad", MB).name == "any"
    assert (rules.category("picture").daily_bytes, rules.category("any").daily_bytes) == (
        3 * MB,
        None,
    )
    assert rules.category("picture").files_per_ticket == 4
    for name in ("a", "a.exe", "a.php.png", "a.svg.cad"):
        with pytest.raises(FileRefused):
            rules.admit(name, 1)


@pytest.mark.parametrize(
    ("categories", "problem"),
    [
        ({"a": {"types": ["svg"], "max_mb": 1}}, "cannot be allowed"),
        ({"a": {"types": ["bin"], "max_mb": 1}}, "cannot be allowed"),
        ({"a": {"types": ["cad"], "max_mb": 1}}, "can check"),
        ({"a": {"types": ["png"], "max_mb": 0}}, "above 0"),
        ({"a": {"types": ["png"], "max_mb": 1}, "b": {"types": ["png"], "max_mb": 1}}, "already"),
    ],
)
def test_a_setting_that_cannot_be_is_named(categories, problem):
    (said,) = policy.problems(with_categories(**categories))
    assert problem in said


def test_the_content_type_is_that_of_the_last_extension():
    assert policy.content_type_of("a.tar.gz") == CONTENT_TYPES["gz"]
    assert policy.content_type_of("a.PNG") == "image/png"
    assert policy.content_type_of("a") == policy.content_type_of("a.cad")
