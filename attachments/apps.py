from django.apps import AppConfig


class AttachmentsConfig(AppConfig):
    name = "attachments"
    verbose_name = "Files"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from attachments import checks, on_tickets, sweeps  # noqa: F401  (checks registers itself)
        from servicedesk.sweeps import FILES, SCANS, register
        from tickets import files

        files.provide(on_tickets)
        register("scan_attachments", sweeps.scan_attachments, lane=SCANS)
        register("render_previews", sweeps.render_previews, lane=FILES)
        register("tell_of_files", sweeps.tell_of_files)
        register("purge_attachments", sweeps.purge_attachments, lane=FILES)
