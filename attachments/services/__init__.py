"""Every change there is of files. Locks: the ticket, then its uploader's use, then contents in the
order of their hashes, then files."""

from attachments.services.attaching import attach, move
from attachments.services.judging import Judgement, judge
from attachments.services.removing import remove
from attachments.services.uploading import Outcome, Refusal, let_go, store, take

__all__ = [
    "Judgement",
    "Outcome",
    "Refusal",
    "attach",
    "judge",
    "let_go",
    "move",
    "remove",
    "store",
    "take",
]
