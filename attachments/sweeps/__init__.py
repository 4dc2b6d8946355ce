"""What happens to files by and by: scanning, previews, telling their tickets, tidying up."""

from attachments.sweeps.previews import render_previews
from attachments.sweeps.purging import purge_attachments
from attachments.sweeps.scanning import scan_attachments
from attachments.sweeps.telling import tell_of_files

__all__ = ["purge_attachments", "render_previews", "scan_attachments", "tell_of_files"]
