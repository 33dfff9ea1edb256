from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class HeraldSiteConfig(AppConfig):
    name = "heraldsite"
    verbose_name = "herald"


class HeraldAdminConfig(AdminConfig):
    default = False
    default_site = "heraldsite.admin_site.HeraldAdminSite"
