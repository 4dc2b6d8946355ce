"""Files in the console: the list, the quarantine, and what the storage is used for."""

from attachments.admin.files import AttachmentAdmin
from attachments.admin.quarantine import QuarantineAdmin

__all__ = ["AttachmentAdmin", "QuarantineAdmin"]
