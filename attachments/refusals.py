"""Every reason why a file is not taken, or not given out; the codes are part of the contract."""

from typing import Any

from servicedesk.errors import DomainError


class FileRefused(DomainError):
    """A file that is not taken. `detail` is a sentence for the person who chose it."""

    def with_extra(self, **extra: Any) -> "FileRefused":
        """The same refusal, saying more."""
        return type(self)(self.detail, **self.extra, **extra)


class InvalidFilename(FileRefused):
    code = "invalid_filename"
    status = 400
    title = "This is no name for a file"


class FileEmpty(FileRefused):
    code = "file_empty"
    status = 400
    title = "The file is empty"


class FileTooLarge(FileRefused):
    code = "file_too_large"
    status = 413
    title = "The file is too large"


class FileTypeNotAllowed(FileRefused):
    code = "file_type_not_allowed"
    status = 415
    title = "Files of this type are not taken"


class ContentMismatch(FileRefused):
    """The bytes are not what the name says, or not whole."""

    code = "content_mismatch"
    status = 415
    title = "The content is not what the name says"


class ImageTooLarge(FileRefused):
    code = "image_too_large"
    status = 413
    title = "The image has too many pixels or frames"


class ArchiveTooLarge(FileRefused):
    code = "archive_too_large"
    status = 413
    title = "The archive holds too much"


class ArchiveUnsafe(FileRefused):
    code = "archive_unsafe"
    status = 422
    title = "The archive is not safe to unpack"


class QuotaExceeded(FileRefused):
    code = "quota_exceeded"
    status = 413
    title = "You have uploaded enough for today"


class TooManyFiles(FileRefused):
    code = "too_many_files"
    status = 413
    title = "Too many files"


class ScanPending(DomainError):
    code = "scan_pending"
    status = 403
    title = "The file has not been scanned yet"


class ScanSkipped(DomainError):
    """Where only what is clean is given out, and this was not looked at (it is too large)."""

    code = "scan_skipped"
    status = 403
    title = "The file could not be scanned"


class FileInfected(DomainError):
    code = "file_infected"
    status = 403
    title = "The file is in quarantine"


class PreviewUnavailable(DomainError):
    code = "preview_unavailable"
    status = 404
    title = "There is no preview of this file"


class StorageUnavailable(DomainError):
    """The place where files are kept does not answer; another try may well succeed."""

    code = "storage_unavailable"
    status = 503
    title = "Files cannot be reached right now"

    def __init__(self) -> None:
        super().__init__("The storage of files does not answer; try again.", retry_after=5)
