from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    verbose_name = "Live"

    def ready(self) -> None:
        from agents import presence as seam
        from realtime import presence, signals

        signals.connect()
        seam.register(presence.current_states)
