from servicedesk.sweep_command import SweepCommand
from tickets import sweeps


class Command(SweepCommand):
    help = "Send the notification mails that are due."
    sweep = staticmethod(sweeps.send_notifications)
