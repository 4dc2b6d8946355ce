from attachments.models.blob import Blob


class Quarantined(Blob):
    """A content in which the scanner found something; what the console lists as quarantine."""

    class Meta:
        proxy = True
        ordering = ["-scanned_at", "-id"]
        verbose_name = "content in quarantine"
        verbose_name_plural = "quarantine"
