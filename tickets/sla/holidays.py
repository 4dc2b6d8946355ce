"""Public holidays by country, as the `holidays` package knows them. Pure."""

from collections.abc import Collection
from datetime import date
from functools import lru_cache

import holidays
from holidays.registry import COUNTRIES

from servicedesk.errors import FieldError

FIRST_YEAR, LAST_YEAR = 1970, 2100
SMALL_WORDS = {"And", "Of", "The"}


@lru_cache(maxsize=1)
def countries() -> dict[str, str]:
    """ISO 3166-1 codes with their countries' names, in the order of the names."""
    known = holidays.list_supported_countries(include_aliases=False)
    named = ((codes[1], _title(key)) for key, codes in COUNTRIES.items() if codes[1] in known)
    return dict(sorted(named, key=lambda entry: entry[1]))


def _title(key: str) -> str:
    """`bosnia_and_herzegovina` as people write it."""
    words = key.replace("_", " ").title().split(" ")
    return " ".join(word.lower() if word in SMALL_WORDS else word for word in words)


def public_holidays(
    country: str, *, subdivision: str = "", years: Collection[int]
) -> dict[date, str]:
    """Dates with their names, in order; names in English where the package has them.

    Days off in lieu of a holiday at a weekend are among them. `country` is an ISO 3166-1 code of
    two letters, `subdivision` (none: what all of the country has) one of the codes or names that
    the package lists for it. Raises FieldError for `country`, `subdivision` and `years`.
    """
    code = country.upper()
    # As others are written: the capital of "ß" is the code of South Sudan.
    if not country.isascii() or code not in countries():
        raise FieldError("country", "There is no such country; write a code such as DE or US.")
    entity = holidays.country_holidays(code)
    if subdivision and subdivision not in _subdivisions(entity):
        raise FieldError("subdivision", _known_subdivisions(code, entity))
    first, last = max(FIRST_YEAR, entity.start_year), min(LAST_YEAR, entity.end_year)
    if not all(first <= year <= last for year in years):
        raise FieldError("years", f"Holidays of {code} are known for {first} to {last}.")
    found = holidays.country_holidays(
        code, subdiv=subdivision or None, years=set(years), language=_language(entity)
    )
    return dict(sorted(found.items()))


def _subdivisions(entity: holidays.HolidayBase) -> set[str]:
    return {*entity.subdivisions, *getattr(entity, "subdivisions_aliases", {})}


def _known_subdivisions(code: str, entity: holidays.HolidayBase) -> str:
    if not entity.subdivisions:
        return f"{code} has no subdivisions."
    return f"{code} has {', '.join(entity.subdivisions)}."


def _language(entity: holidays.HolidayBase) -> str | None:
    """Named, since the package would otherwise take that of the machine."""
    english = (one for one in entity.supported_languages if one.startswith("en"))
    return next(english, entity.default_language)
