from servicedesk.sweep_command import SweepCommand
from tickets import sweeps


class Command(SweepCommand):
    help = "Offer waiting tickets to the agents who are free now."
    sweep = staticmethod(sweeps.assign_tickets)
