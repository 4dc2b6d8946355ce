"""`Idempotency-Key`: a POST that is sent again is answered again, and not done again.

The key, the effect and the stored answer are one transaction: whatever dies in between, either
all three are there or none. Only successes are kept, so a mended body may use the same key.
Where a request is many changes, each is a transaction with its note under the key (`Steps`): no
lock outlives a change, and sent again the rest is done.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.request import Request
from rest_framework.response import Response

from servicedesk.api.renderers import dumps
from servicedesk.api.responses import Answer
from servicedesk.errors import DomainError, FieldError
from servicedesk.models import IdempotencyKey
from servicedesk.sweeps import SweepResult

HEADER = "Idempotency-Key"
KEPT_HEADERS = ("ETag", "Location")
# How long an answer may stay provisional before it is served as it is (its server died).
FINISHING = timedelta(seconds=30)


class KeyReused(DomainError):
    code = "idempotency_key_reused"
    status = 422
    title = "This Idempotency-Key was used for another request"


class StillRunning(DomainError):
    code = "idempotency_in_progress"
    status = 409
    title = "The first request with this Idempotency-Key is still running"


def answer_once(
    handler: Callable[..., Response],
    check_replay: Callable[..., None],
    request: Request,
    *args: Any,
    **kwargs: Any,
) -> Response:
    """Run the handler of a POST once per (user, key). `check_replay` raises where an answer that
    is there must not be given again."""
    key = _key(request)
    fingerprint = _fingerprint(request)
    user_id = request.user.pk
    assert user_id is not None
    with transaction.atomic():
        _hold(user_id, key)
        if kept := _kept(user_id, key):
            check_replay(request, **kwargs)
            return _replay(kept, fingerprint)
        response = handler(request, *args, **kwargs)
        if response.status_code >= 300 or not getattr(response, "is_kept", True):
            return response
        row = IdempotencyKey(user_id=user_id, key=key, fingerprint=fingerprint)
        row.is_final = not isinstance(response, Answer)
        _store(row, response)
    if isinstance(response, Answer):
        # The receivers have run after the commit; now the answer shows what they did.
        response = response.rebuilt()
        row.is_final = True
        _store(row, response)
    return response


class Steps:
    """The steps of one request: under a key each is done once, whoever else sends the same."""

    def __init__(self, request: Request) -> None:
        assert request.user.pk is not None
        self.user_id, self.is_keyed = request.user.pk, HEADER in request.headers
        if self.is_keyed:
            self.key, self.fingerprint = _key(request), _fingerprint(request)

    def take(self, name: str, do: Callable[[], Any]) -> Any:
        """What `do` answers (JSON), or what it answered before. Where it raises, it is not done.

        Raises KeyReused, and StillRunning where another has done the rest meanwhile.
        """
        if not self.is_keyed:
            return do()
        with transaction.atomic():
            row = self._row()
            if row.is_final:
                raise StillRunning("Send this again for its answer.", retry_after=1)
            row.body = done = row.body or {}
            if name not in done:
                done[name] = do()
                row.save(update_fields=["body"])
            return done[name]

    def _row(self) -> IdempotencyKey:
        """What is noted under the key, locked before anything else is."""
        new = IdempotencyKey(user_id=self.user_id, key=self.key, fingerprint=self.fingerprint)
        new.status = 200
        rows = IdempotencyKey.objects.select_for_update().filter(user_id=new.user_id, key=new.key)
        if (row := rows.first()) is None:
            IdempotencyKey.objects.bulk_create([new], ignore_conflicts=True)
            row = rows.get()
        if row.fingerprint != self.fingerprint:
            raise KeyReused("Use a new key for a new request.")
        return row

    def finish(self, response: Response) -> None:
        with transaction.atomic():
            row = self._row()
            row.is_final = True
            _store(row, response)


def answer_in_steps(
    handler: Callable[..., Response],
    check_replay: Callable[..., None],
    request: Request,
    *args: Any,
    **kwargs: Any,
) -> Response:
    """The same for a handler that takes `Steps`. It runs again until its answer is kept."""
    steps = Steps(request)
    kept = _kept(steps.user_id, steps.key)
    if kept and (kept.is_final or kept.fingerprint != steps.fingerprint):
        check_replay(request, **kwargs)
        return _replay(kept, steps.fingerprint)
    response = handler(request, *args, **kwargs)
    if response.status_code < 300 and getattr(response, "is_kept", True):
        steps.finish(response)
    return response


def forget_old_keys(*, batch: int = 1000) -> SweepResult:
    """The sweep that drops keys past their lifetime."""
    oldest = timezone.now() - settings.IDEMPOTENCY_KEY_LIFETIME
    old = IdempotencyKey.objects.filter(created_at__lt=oldest).order_by("created_at")
    ids = list(old.values_list("pk", flat=True)[:batch])
    IdempotencyKey.objects.filter(pk__in=ids).delete()
    return SweepResult(handled=len(ids))


def _key(request: Request) -> str:
    key = request.headers[HEADER].strip()
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise FieldError(HEADER, "A key has 1 to 255 printable characters.")
    return key


def _fingerprint_of(part: Any) -> Any:
    """What makes a part of a body that is not JSON, as a file is, the same one."""
    return part.fingerprint


def _fingerprint(request: Request) -> str:
    """Keyed, since a body may hold a password. Of the role too: what an agent was answered is not
    for the customer that they have become."""
    body = orjson.dumps(request.data, default=_fingerprint_of, option=orjson.OPT_SORT_KEYS)
    user = request.user
    role = [getattr(user, name, False) for name in ("is_supervisor", "is_desk_staff")]
    line = f"{role} {request.method} {request.path_info.rstrip('/')}\n".encode()
    return salted_hmac("idempotency", line + body, algorithm="sha256").hexdigest()


def _hold(user_id: int, key: str) -> None:
    """Raise StillRunning while another transaction works under this key.

    PostgreSQL tells at once, by an advisory lock that ends with the transaction. SQLite has
    one writer at a time: the second waits for the first and then finds its answer.
    """
    if connection.vendor != "postgresql":
        return
    digest = hashlib.sha256(f"{user_id}:{key}".encode()).digest()
    number = int.from_bytes(digest[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise StillRunning("Wait for its answer, then send this again.", retry_after=1)


def _kept(user_id: int, key: str) -> IdempotencyKey | None:
    row = IdempotencyKey.objects.filter(user_id=user_id, key=key).first()
    if row and row.created_at < timezone.now() - settings.IDEMPOTENCY_KEY_LIFETIME:
        row.delete()
        return None
    return row


def _store(row: IdempotencyKey, response: Response) -> None:
    row.status = response.status_code
    row.body = orjson.loads(dumps(response.data)) if response.data is not None else None
    row.headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    row.save()


def _replay(row: IdempotencyKey, fingerprint: str) -> Response:
    if row.fingerprint != fingerprint:
        raise KeyReused("Use a new key for a new request.")
    if not row.is_final and row.created_at > timezone.now() - FINISHING:
        raise StillRunning("Wait for its answer, then send this again.", retry_after=1)
    return Response(row.body, row.status, headers={**row.headers, "Idempotency-Replayed": "true"})
