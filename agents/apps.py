from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "People and teams"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from agents import sessions, sign_in
        from servicedesk import sweeps

        sweeps.register("forget_old_sessions", sessions.forget_old_sessions)
        sweeps.register("forget_old_failures", sign_in.forget_old_failures)
