from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('tickets', '0004_conversation_order')]

    operations = [
        migrations.AddIndex(
            model_name='ticket',
            index=models.Index(condition=models.Q(('sla_standing__in', ['paused', 'met', 'breached'])), fields=['sla_standing', '-updated_at', '-id'], name='tickets_by_standing'),
        ),
    ]
