"""herald's own style sheets and scripts, served by herald itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]
from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Collected files under names that tell their content, also where one script imports another.

    So a browser may keep each for ever, and never runs a new script with an old one.
    """

    support_js_module_import_aggregation = True


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise that answers with whole files.

    WhiteNoise streams a file from a synchronous iterator; under ASGI Django reads that into memory with a warning.
    herald's files are small: they are read at once.
    """

    def add_files(self, root: str | Path, prefix: str | None = None) -> None:
        """Add a directory; one that `collectstatic` has not made yet is no fault where files are found by finders."""
        if self.autorefresh or Path(root).is_dir() or not self.use_finders:
            super().add_files(root, prefix)

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with found.file:
                content = found.file.read()
        headers = dict(found.headers)
        response = HttpResponse(content, status=int(found.status), headers=headers)
        if "Content-Type" not in headers:
            del response["Content-Type"]
        return response
