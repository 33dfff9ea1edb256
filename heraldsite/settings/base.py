"""What all stages share. Each variable of the environment is read here and nowhere else.

Every variable is called `HERALD_…` and is described in `deploy/env.example`.
"""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from heraldsite.settings.variables import Variables
from heraldsite.stage import DEVELOPMENT, STAGES, Stage

# Lets classes such as ModelAdmin[Log] say at run time what they say to mypy.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent.parent
env = Variables(os.environ)


def stage_of_this_process() -> Stage:
    """Return the stage whose settings module is being loaded."""
    name = os.environ.get("DJANGO_SETTINGS_MODULE", "").rpartition(".")[2].upper()
    return STAGES.get(name, DEVELOPMENT)


def make_directory(path: Path) -> None:
    """Make a directory that only herald's user and group may enter; refuse in words where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise ImproperlyConfigured(f"{path} cannot be made ({error.strerror}): see HERALD_DATA_DIR") from None


def private_file(path: Path, fresh: str) -> str:
    """Return the text of `path`; when it is not there yet, `fresh`, kept for the next time (mode 0600)."""
    make_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(fresh)
    kept = path.read_text().strip()
    if not kept:
        raise ImproperlyConfigured(f"{path} is empty: delete it (a new secret is made) or put a secret into it")
    return kept


STAGE = stage_of_this_process()
DATA_DIR = Path(env.str("HERALD_DATA_DIR", default=str(BASE_DIR / "var"))).resolve() / STAGE.name.lower()
HOST_NAME = socket.gethostname()

# --- Addresses -----------------------------------------------------------------------------------
BRIDGE_HOST = env.str("HERALD_BRIDGE_HOST", default="127.0.0.1")
BRIDGE_PORT = env.int("HERALD_BRIDGE_PORT", default=STAGE.bridge_port, most=65_535)
# A record port that strangers reach is refused unless the operator says by this that it is meant.
BRIDGE_PUBLIC = env.bool("HERALD_BRIDGE_PUBLIC", default=False)
# Whether records are taken only from who shows a credential in the hello of herald's own protocol.
BRIDGE_CREDENTIALS_REQUIRED = (
    env.choice("HERALD_BRIDGE_CREDENTIALS", default="optional", among=("OPTIONAL", "REQUIRED")) == "REQUIRED"
)
# What this bridge calls itself where rows go on to others, and how far it is trusted: 0 to 100, more is more.
BRIDGE_NAME = env.str("HERALD_BRIDGE_NAME", default=f"{HOST_NAME}{STAGE.suffix}")
BRIDGE_LEVEL = env.int("HERALD_BRIDGE_LEVEL", default=50, least=0, most=100)
# The port on this machine that `run_bridge -b` hands rows on to, as the old bridge did.
FORWARD_PORT = env.int("HERALD_FORWARD_PORT", default=STAGE.forward_port, most=65_535)
# The second record port, which speaks TLS; 0 means that there is none.
BRIDGE_TLS_HOST = env.str("HERALD_BRIDGE_TLS_HOST", default="127.0.0.1")
BRIDGE_TLS_PORT = env.int("HERALD_BRIDGE_TLS_PORT", default=0, most=65_535)
BRIDGE_TLS_CERTIFICATE = env.str("HERALD_BRIDGE_TLS_CERTIFICATE", default="")
BRIDGE_TLS_KEY = env.str("HERALD_BRIDGE_TLS_KEY", default="")
BRIDGE_TLS_CLIENT_CA = env.str("HERALD_BRIDGE_TLS_CLIENT_CA", default="")
WEB_HOST = env.str("HERALD_WEB_HOST", default="127.0.0.1")
WEB_PORT = env.int("HERALD_WEB_PORT", default=STAGE.web_port, most=65_535)

# --- Bounds --------------------------------------------------------------------------------------
# The codecs' budgets of time and memory are meant for frames of 1 MiB; a longer one would break them.
FRAME_MAX = env.int("HERALD_FRAME_MAX", default=1_048_576, least=1_024, most=1_048_576)
TEXT_MAX = env.int("HERALD_TEXT_MAX", default=262_144, least=1_000, most=1_048_576)
BATCH_ROWS = env.int("HERALD_BATCH_ROWS", default=2_000)
BATCH_AGE = timedelta(milliseconds=env.int("HERALD_BATCH_AGE_MS", default=50))
QUEUE_BYTES = env.int("HERALD_QUEUE_BYTES", default=33_554_432)
CLIENTS_MAX = env.int("HERALD_CLIENTS_MAX", default=1_000)
FRAME_DEADLINE = timedelta(seconds=env.int("HERALD_FRAME_DEADLINE_SECONDS", default=10))
DRAIN = timedelta(seconds=env.int("HERALD_DRAIN_SECONDS", default=8))
SYSTEMS_MAX = env.int("HERALD_SYSTEMS_MAX", default=10_000)
RETENTION = timedelta(days=env.int("HERALD_RETENTION_DAYS", default=30, least=1, most=36_500))
# How much longer a row stays that somebody who follows the log, such as a destination, has not read yet.
READERS_WAIT = timedelta(days=env.int("HERALD_READERS_WAIT_DAYS", default=7, most=36_500))
# The oldest rows go first when the log takes more: in all (0: no such limit), and of the room there is for SQLite's file.
SIZE_MAX_GB = env.float("HERALD_SIZE_MAX_GB", default=0.0, most=1_000_000)
DISK_USE_MAX_PERCENT = env.float("HERALD_DISK_USE_MAX_PERCENT", default=80.0, most=100)
# Rows leave as soon as every destination has them.
RELAY_ONLY = env.bool("HERALD_RELAY_ONLY", default=False)
DISK_FREE_MIN_PERCENT = env.float("HERALD_DISK_FREE_MIN_PERCENT", default=5.0, most=99)
# How long a search may look before it shows what it has found so far.
SEARCH_DEADLINE = timedelta(milliseconds=env.int("HERALD_SEARCH_DEADLINE_MS", default=3_000))
# How many patterns the Errors page remembers.
PATTERNS_MAX = env.int("HERALD_PATTERNS_MAX", default=20_000, least=100, most=1_000_000)
# Where people's own code lies, so that its frames stand out in tracebacks; nothing: everywhere but in libraries.
OWN_ROOTS = tuple(env.list("HERALD_OWN_ROOTS", default=[]))
LIVE_INTERVAL = timedelta(milliseconds=env.int("HERALD_LIVE_INTERVAL_MS", default=200, least=10))

# --- Databases -----------------------------------------------------------------------------------
SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # NORMAL keeps a database intact through a crash of herald; a power cut may cost the newest batches.
    # A writer moves the write-ahead log into the file itself only when it has 8,000 pages (32 MiB): the bridge does
    # it beside its work, where no batch waits for the disk.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; "
    "PRAGMA wal_autocheckpoint=8000;",
}


def database(url: str) -> dict[str, Any]:
    """Return Django's entry for one database; SQLite and PostgreSQL are the engines herald knows."""
    entry: dict[str, Any] = environ.Env.db_url_config(url)
    if entry.get("ENGINE") == "django.db.backends.sqlite3":
        entry["OPTIONS"] = SQLITE_OPTIONS | entry.get("OPTIONS", {})
        if entry["NAME"] != ":memory:":
            make_directory(Path(entry["NAME"]).parent)
    elif entry.get("ENGINE") == "django.db.backends.postgresql":
        entry["CONN_HEALTH_CHECKS"] = True
    else:
        raise ImproperlyConfigured("HERALD_DATABASE_URL must begin with sqlite:/// or postgres://")
    return entry


def sqlite_url(name: str) -> str:
    """Return the URL of a file in the data directory, whatever characters that has in its path."""
    return f"sqlite:///{quote(str(DATA_DIR / name))}"


DATABASES = {
    "default": database(env.str("HERALD_DATABASE_URL", default=sqlite_url(f"herald{STAGE.suffix}.sqlite3"))),
    # The task queue's traffic would wait for the bridge's batches, and they for it: it has a file of its own.
    "queue": database(sqlite_url(f"queue{STAGE.suffix}.sqlite3")),
}
DATABASE_ROUTERS = ["heraldsite.routers.QueueRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

Q_CLUSTER = {
    "name": "herald",
    "orm": "queue",
    "timeout": 90,
    "retry": 120,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
}

# --- The site ------------------------------------------------------------------------------------
DEBUG = False
SECRET_KEY = env.str("HERALD_SECRET_KEY", default="") or private_file(
    DATA_DIR / "secret_key", secrets.token_urlsafe(50)
)
ALLOWED_HOSTS = env.list("HERALD_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", HOST_NAME])
CSRF_TRUSTED_ORIGINS = env.list("HERALD_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "heraldsite.apps.HeraldSiteConfig",
    "logs",
    "bridge",
    "neelix",
    "heraldsite.apps.HeraldAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_q",
    "axes",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "heraldsite.static.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "heraldsite.tokens.TokenLogin",
    "heraldsite.access.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "heraldsite.urls"
ASGI_APPLICATION = "heraldsite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "heraldsite.context.site",
            ],
        },
    }
]

GRAPH_QL_PAGE = False

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "heraldsite.static.HashedFiles"},
}

# --- Who may come in -----------------------------------------------------------------------------
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"

# --- What a browser may do with a page --------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = f"herald{STAGE.suffix}_session"
CSRF_COOKIE_NAME = f"herald{STAGE.suffix}_csrf"
CSRF_COOKIE_SAMESITE = "Lax"

# --- What herald's own processes say (to standard error; supervisord keeps it) -----------------------
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {
        "handlers": ["stderr"],
        "level": env.choice(
            "HERALD_LOG_LEVEL", default="INFO", among=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        ),
    },
    "loggers": {
        "daphne.http_protocol": {"level": "WARNING"},
        # Whatever else is to be said: `manage.py up` waits for the line "Listening on …".
        "daphne.server": {"level": "INFO"},
        "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
