"""HTTP alone, for a WSGI server beside the sockets."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "servicedesk.settings.production")
application = get_wsgi_application()
