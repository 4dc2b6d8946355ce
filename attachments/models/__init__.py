from attachments.models.attachment import Attachment
from attachments.models.blob import Blob, LooseBytes, Preview
from attachments.models.quarantine import Quarantined
from attachments.models.quota import DailyUse

__all__ = ["Attachment", "Blob", "DailyUse", "LooseBytes", "Preview", "Quarantined"]
