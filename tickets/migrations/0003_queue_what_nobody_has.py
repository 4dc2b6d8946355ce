from django.db import migrations, models


def queue_what_nobody_has(apps, schema_editor):
    """The tickets of a desk that is older than `queued_at` have waited since they were opened."""
    tickets = apps.get_model("tickets", "Ticket").objects.using(schema_editor.connection.alias)
    waiting = tickets.filter(assignee=None, status__in=["new", "open"])
    waiting.update(queued_at=models.F("created_at"))


class Migration(migrations.Migration):

    dependencies = [("tickets", "0002_service_levels")]

    operations = [migrations.RunPython(queue_what_nobody_has, migrations.RunPython.noop)]
