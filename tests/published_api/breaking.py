"""What a client of one release would lose with another definition of the API. Each loss is one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.published_api.definition import COMBINED, METHODS, resolved

Definition = Mapping[str, Any]


def losses(before: Definition, after: Definition) -> list[str]:
    """Routes, parameters, statuses, fields and values that are gone, or that are now asked for."""
    return list(_paths(before, after))


def _paths(before: Definition, after: Definition) -> Iterator[str]:
    for path, item in before["paths"].items():
        if path not in after["paths"]:
            yield f"{path}: the path is taken away"
            continue
        for method in METHODS:
            if method in item:
                at = f"{method.upper()} {path}"
                if method not in after["paths"][path]:
                    yield f"{at}: the method is taken away"
                else:
                    yield from _Comparison(before, after).operation(at, item[method], after["paths"][path][method])


class _Comparison:
    """Of two definitions; a `$ref` is looked up in its own."""

    def __init__(self, before: Definition, after: Definition) -> None:
        self.before, self.after = before, after

    def operation(self, at: str, old: Definition, new: Definition) -> Iterator[str]:
        yield from self._parameters(at, old, new)
        yield from self._body(at, old, new)
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                yield f"{at}: the status {status} is taken away"
                continue
            contents = self._content(answer, new["responses"][status])
            for kind, (shown, now) in contents.items():
                if now is None:
                    yield f"{at}: {status} is no longer answered as {kind}"
                else:
                    yield from self._answered(f"{at}: {status}", shown["schema"], now["schema"])

    def _content(self, old: Definition, new: Definition) -> dict[str, tuple[Any, Any]]:
        olds, news = resolved(self.before, old).get("content", {}), resolved(self.after, new).get("content", {})
        return {kind: (olds[kind], news.get(kind)) for kind in olds}

    def _parameters(self, at: str, old: Definition, new: Definition) -> Iterator[str]:
        olds, news = (
            {(p["in"], p["name"]): p for p in (resolved(whole, given) for given in operation.get("parameters", ()))}
            for whole, operation in ((self.before, old), (self.after, new))
        )
        for key, parameter in olds.items():
            name = f"{at}: parameter {key[1]}"
            if key not in news:
                yield f"{name} is taken away"
            else:
                yield from self._asked(name, parameter["schema"], news[key]["schema"])
        for key, parameter in news.items():
            if parameter.get("required") and not olds.get(key, {}).get("required"):
                yield f"{at}: parameter {key[1]} is made required"

    def _body(self, at: str, old: Definition, new: Definition) -> Iterator[str]:
        olds, news = old.get("requestBody", {}), new.get("requestBody", {})
        if news.get("required") and not olds.get("required"):
            yield f"{at}: the body is made required"
        for kind, (asked, now) in self._content(olds, news).items():
            if now is None:
                yield f"{at}: a body is no longer taken as {kind}"
            else:
                yield from self._asked(f"{at}: body", asked["schema"], now["schema"])

    def _answered(self, at: str, old: Definition, new: Definition) -> Iterator[str]:
        old, new = resolved(self.before, old), resolved(self.after, new)
        if (was := old.get("type")) != (now := new.get("type")):
            yield f"{at} is no longer of type {was} but {now}"
        if new.get("nullable") and not old.get("nullable"):
            yield f"{at} may now be null"
        for name, shown in old.get("properties", {}).items():
            if name not in new.get("properties", {}):
                yield f"{at}.{name} is taken away"
                continue
            if name in old.get("required", ()) and name not in new.get("required", ()):
                yield f"{at}.{name} may now be absent"
            yield from self._answered(f"{at}.{name}", shown, new["properties"][name])
        if "items" in old and "items" in new:
            yield from self._answered(f"{at}[]", old["items"], new["items"])

    def _asked(self, at: str, old: Definition, new: Definition) -> Iterator[str]:
        old, new = resolved(self.before, old), resolved(self.after, new)
        yield from self._narrowed(at, old, new)
        for name in new.get("required", ()):
            if name not in old.get("required", ()):
                yield f"{at}.{name} is made required"
        for name, taken in old.get("properties", {}).items():
            if name in new.get("properties", {}):
                yield from self._asked(f"{at}.{name}", taken, new["properties"][name])
            elif new.get("additionalProperties") is False:
                yield f"{at}.{name} is taken away"
        for nested in ("items", "additionalProperties"):
            if isinstance(old.get(nested), Mapping) and isinstance(new.get(nested), Mapping):
                yield from self._asked(f"{at}[]", old[nested], new[nested])
        for combined in COMBINED:
            yield from self._alternatives(at, combined, old.get(combined, []), new.get(combined, []))

    def _alternatives(self, at: str, combined: str, olds: list[Any], news: list[Any]) -> Iterator[str]:
        if combined != "allOf" and len(news) < len(olds):
            yield f"{at}: an alternative of {combined} is taken away"
        for number, (one, other) in enumerate(zip(olds, news, strict=False), 1):
            yield from self._asked(f"{at}({combined} {number})", one, other)

    @staticmethod
    def _narrowed(at: str, old: Definition, new: Definition) -> Iterator[str]:
        if (was := old.get("type")) != (now := new.get("type")) and now is not None:
            yield f"{at} is no longer of type {was} but {now}"
        if old.get("nullable") and not new.get("nullable"):
            yield f"{at} may no longer be null"
        if "enum" in new:
            gone = [value for value in old.get("enum", ()) if value not in new["enum"]]
            yield from (f"{at} no longer takes the value {value}" for value in gone)
            if "enum" not in old:
                yield f"{at} takes only certain values now"
