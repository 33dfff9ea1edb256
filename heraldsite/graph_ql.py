"""The address /graph_ql: one request from its text to its answer, within bounds and without telling how herald fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from graphene_django.views import GraphQLView, HttpError
from graphql import ExecutionResult, GraphQLError, OperationType, execute, get_operation_ast, validate

from heraldsite import bounds
from heraldsite.schema import schema
from logs.schema.asking import Asking, Deadline

logger = logging.getLogger(__name__)

BODY_MAX = 1_048_576
ERRORS_MAX = 20
FAILED = "herald failed here. Its own log says why."


class GraphQL(GraphQLView):
    """graphene-django's view, with herald's bounds; a browser gets a page to try queries on, in DEVELOPMENT alone."""

    def __init__(self, **options: Any) -> None:
        super().__init__(schema=schema, **options)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "GET" and "query" not in request.GET and settings.GRAPH_QL_PAGE and _wants_a_page(request):
            return render(request, "logs/graph_ql.html")
        answer: HttpResponse = super().dispatch(request, *args, **kwargs)
        patch_cache_control(answer, no_store=True)
        return answer

    def get_context(self, request: HttpRequest) -> Asking:
        return Asking(request, Deadline(settings.SEARCH_DEADLINE))

    def parse_body(self, request: HttpRequest) -> Mapping[str, Any]:
        """Return what the body says; whatever is wrong with it is the client's mistake."""
        too_long = _bad(f"The request is longer than {BODY_MAX:,} bytes.")
        try:
            if len(request.body) > BODY_MAX:
                raise too_long
            data: Mapping[str, Any] = super().parse_body(request)
        except RequestDataTooBig:
            raise too_long from None
        except UnicodeDecodeError:
            raise _bad("The request is not UTF-8.") from None
        except RecursionError:
            raise _bad("The request is nested too deep.") from None
        return data

    @staticmethod
    def get_graphql_params(
        request: HttpRequest, data: Mapping[str, Any]
    ) -> tuple[str | None, dict[str, Any] | None, str | None, None]:
        query, variables, name, _ = GraphQLView.get_graphql_params(request, data)
        if not isinstance(query, str | None):
            raise _bad("`query` must be a text.")
        if not isinstance(variables or {}, dict):
            raise _bad("`variables` must be an object.")
        if not isinstance(name, str | None):
            raise _bad("`operationName` must be a text.")
        return query, variables or None, name or None, None

    def execute_graphql_request(
        self,
        request: HttpRequest,
        data: Mapping[str, Any],
        query: str | None,
        variables: dict[str, Any] | None,
        operation_name: str | None,
        show_graphiql: bool = False,
    ) -> ExecutionResult:
        if not query:
            raise _bad("There is no `query`.")
        try:
            document = bounds.read(query)
        except GraphQLError as error:
            return ExecutionResult(data=None, errors=[error])
        wrong = validate(self.schema.graphql_schema, document, max_errors=ERRORS_MAX)
        if wrong:
            return ExecutionResult(data=None, errors=wrong)
        operation = get_operation_ast(document, operation_name)
        if operation is not None and operation.operation is not OperationType.QUERY and request.method != "POST":
            raise HttpError(_only_by_post(), "What changes something is sent by POST.")
        asking = self.get_context(request)
        result = execute(
            self.schema.graphql_schema,
            document,
            context_value=asking,
            variable_values=variables,
            operation_name=operation_name,
        )
        assert isinstance(result, ExecutionResult)  # noqa: S101 (no resolver of ours is asynchronous)
        return ExecutionResult(result.data, [*(result.errors or ()), *asking.remarks] or None)

    @staticmethod
    def format_error(error: Exception) -> Mapping[str, Any]:
        """Return what is told of an error: what the client can mend, in full; a fault of herald's, to herald's log."""
        if not isinstance(error, GraphQLError):
            return {"message": str(error)}
        cause = error.original_error
        if cause is None or isinstance(cause, GraphQLError):
            return dict(error.formatted)
        logger.error("A field of /graph_ql failed: %s", error.path, exc_info=cause)
        return dict(error.formatted) | {"message": FAILED}

    def json_encode(self, request: HttpRequest, d: Any, pretty: bool = False) -> str:
        return json.dumps(d, indent=2 if request.GET.get("pretty") else None, ensure_ascii=False)


def _wants_a_page(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "") and "raw" not in request.GET


def _bad(sentence: str) -> HttpError:
    return HttpError(HttpResponseBadRequest(), sentence)


def _only_by_post() -> HttpResponse:
    return HttpResponse(status=405, headers={"Allow": "POST"})
