"""Programs that ask herald over real HTTP, by a token."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Any

from tests.end_to_end.conftest import Site


def answer_of(site: Site, path: str, secret: str = "", body: Any = None) -> tuple[int, str, dict[str, str]]:
    """Return status, text and headers of the answer; a body is sent by POST as JSON."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {secret}"} if secret else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(site.web + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode(), dict(refused.headers)


def token(site: Site, name: str, *options: str) -> str:
    done = site.manage("tokens", "add", name, "--user", "anna", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def graph(site: Site, secret: str, query: str, **variables: Any) -> Any:
    status, text, _ = answer_of(site, "/graph_ql", secret, {"query": query, "variables": variables})
    assert status == 200, text
    return json.loads(text)


ADD = 'mutation($message: String) { addLog(input: {message: $message, systemId: "api"}) { log { id } } }'


def test_a_program_writes_and_reads_by_tokens(site: Site):
    made = site.manage(
        "createsuperuser", "--noinput", "--email", "", "--username", "anna", DJANGO_SUPERUSER_PASSWORD="x"
    )
    assert made.returncode == 0, made.stderr
    reader, writer = token(site, "reader"), token(site, "writer", "--write")
    site.start_web()

    assert "scope write" in graph(site, reader, ADD, message="no")["errors"][0]["message"]
    threads = [
        threading.Thread(target=lambda at=at: [graph(site, writer, ADD, message=f"{at}-{n}") for n in range(5)])
        for at in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = graph(site, reader, '{ logs(query: "system:api", first: 100) { nodes { message } } }')
    assert sorted(row["message"] for row in found["data"]["logs"]["nodes"]) == sorted(
        f"{at}-{n}" for at in range(6) for n in range(5)
    )
    status, text, _ = answer_of(site, "/angular/list?system_id=api&num_records=3", reader)
    assert (status, len(json.loads(text))) == (200, 3)
    assert "last used " in (listed := site.manage("tokens", "list").stdout)
    assert "from 127.0.0.1" in listed

    site.manage("tokens", "revoke", "reader")
    status, text, headers = answer_of(site, "/angular/options", reader)
    assert (status, text) == (401, "This token is not valid: it is unknown, expired or revoked.\n")
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert answer_of(site, "/status", writer)[0] == 403
    assert answer_of(site, "/angular/options")[0] == 403
