"""Why a file has no preview: words that the child says and the parent turns into sentences."""

from collections.abc import Mapping

# The parent believes no sentence of the child, which may be in a stranger's hands.
SENTENCES: Mapping[str, str] = {
    "broken": "The file cannot be read.",
    "locked": "The file is protected by a password.",
    "memory": "Drawing the file needs too much memory.",
    "too_large": "There is too much in the file to draw it.",
}


class Undrawable(Exception):
    """The file has no preview; `word` is one of SENTENCES."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word
