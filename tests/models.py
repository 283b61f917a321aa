"""What botocore and moto work out from their data, shared by all sessions and clients of a process.

Tests make a session of their own each, and each would read the API models, a fifth of a second for its first client of a service, and
work out names of events and rules of endpoints from them, another twentieth.
"""

from __future__ import annotations

import inspect
import sys
from functools import cache
from importlib import import_module
from typing import Any

from botocore import hooks, httpsession, useragent
from botocore.endpoint_provider import EndpointProvider, RuleSet
from botocore.loaders import Loader


def share_models() -> None:
    """Let all sessions of botocore share what they read of its data, and what follows from that alone."""
    _share_files()
    _share_names()
    _share_rules()
    _share_certificates()
    useragent.sanitize_user_agent_string_component = cache(useragent.sanitize_user_agent_string_component)


def _share_files() -> None:
    read: dict[tuple[str, ...], dict[Any, Any]] = {}
    initialise = Loader.__init__

    def shared(self: Any, *arguments: Any, **options: Any) -> None:
        initialise(self, *arguments, **options)
        self._cache = read.setdefault(tuple(self.search_paths), {})

    Loader.__init__ = shared


def _share_names() -> None:
    names: dict[str, str] = {}
    initialise, accepts_kwargs = hooks.EventAliaser.__init__, hooks.accepts_kwargs

    def shared(self: Any, *arguments: Any, **options: Any) -> None:
        initialise(self, *arguments, **options)
        if self._event_aliases == hooks.EVENT_ALIASES:
            self._alias_name_cache = names

    def accepts(function: Any) -> Any:
        code = getattr(function, "__code__", None)
        return code.co_flags & inspect.CO_VARKEYWORDS if code else accepts_kwargs(function)

    hooks.EventAliaser.__init__, hooks.accepts_kwargs = shared, accepts


def _share_rules() -> None:
    known: dict[tuple[int, int], tuple[RuleSet, Any, Any]] = {}

    def shared(self: Any, ruleset_data: Any, partition_data: Any, excluded_params: Any = None) -> None:
        key = id(ruleset_data), id(partition_data)
        if key not in known:  # with what it was made of, whose identity must not become another's
            made = RuleSet(**ruleset_data, partitions=partition_data)
            known[key] = (made, ruleset_data, partition_data)
        self.ruleset, self._excluded_params = known[key][0], excluded_params or frozenset()

    EndpointProvider.__init__ = shared


def _share_certificates() -> None:
    """No test has a certificate of its own, for which botocore would change the context."""
    context = cache(httpsession.create_urllib3_context)
    httpsession.URLLib3Session._get_ssl_context = lambda _: context()


def quicken_moto() -> None:
    """Have moto, where it is imported, prepare no responses for `requests` and read its addresses once, not for each request."""
    if core := sys.modules.get("moto.core.models"):
        core.RESPONSES_METHODS.clear()  # no test has a client of `requests` with `mock_aws`: 1,300 objects each time
        addresses = import_module("moto.s3.urls")
        s3: Any = import_module("moto.s3.models")
        s3.S3Backend._url_module = property(lambda _: addresses)  # its own reloads the module
