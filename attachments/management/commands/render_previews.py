from attachments import sweeps
from servicedesk.sweep_command import SweepCommand


class Command(SweepCommand):
    help = "Draw the previews that are due."
    sweep = staticmethod(sweeps.render_previews)
