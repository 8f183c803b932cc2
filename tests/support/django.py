"""Django's settings, which a process can make once: they are the same for every test."""

import django
from django.conf import settings


def configure():
    """Settings with which examples/django_app.py and models in memory both work."""
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
            LOGGING_CONFIG=None,
            ROOT_URLCONF="django_app",
            SECRET_KEY="only for these tests",
        )
        django.setup()
