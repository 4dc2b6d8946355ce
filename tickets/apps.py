from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TicketsConfig(AppConfig):
    name = "tickets"
    verbose_name = "Tickets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from servicedesk import sweeps
        from tickets import database, services, signals
        from tickets import sweeps as own
        from tickets.assignment import checks  # noqa: F401  (registers its checks)

        signals.connect()
        post_migrate.connect(database.install, sender=self)
        sweeps.register("announce_events", own.announce_events)
        # Before what goes by the clocks.
        sweeps.register("recompute_clocks", own.recompute_clocks)
        sweeps.register("escalate_tickets", own.escalate_tickets)
        # Before the queue, which then finds somebody for what was handed back.
        sweeps.register("hand_back_stranded", services.hand_back_stranded)
        sweeps.register("assign_tickets", own.assign_tickets)
        sweeps.register("close_resolved_tickets", own.close_resolved_tickets)
        sweeps.register("send_notifications", own.send_notifications)
