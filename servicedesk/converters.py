"""Ids in paths. What is no id matches no path, and so is a 404."""


class IdConverter:
    """A positive whole number that fits the database's keys."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)
