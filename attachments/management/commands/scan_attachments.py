from attachments.sweeps import scan_attachments
from servicedesk.sweep_command import SweepCommand


class Command(SweepCommand):
    help = "Let the scanner look at the files that are due."
    sweep = staticmethod(scan_attachments)
