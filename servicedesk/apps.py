from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class DeskAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "servicedesk.admin.DeskAdminSite"


class ServicedeskConfig(AppConfig):
    default = True
    name = "servicedesk"
    verbose_name = "The desk itself"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from servicedesk import sweeps
        from servicedesk.api.idempotency import forget_old_keys

        sweeps.register("forget_old_keys", forget_old_keys)
