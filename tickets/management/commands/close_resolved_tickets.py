from servicedesk.sweep_command import SweepCommand
from tickets import sweeps


class Command(SweepCommand):
    help = "Close the tickets that were resolved long enough ago."
    sweep = staticmethod(sweeps.close_resolved_tickets)
