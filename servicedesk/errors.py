"""The base of every refusal. Imports nothing of ours, so that every app may raise it."""

from typing import Any, ClassVar


class DomainError(Exception):
    """A rule said no.

    Each rule defines its own subclass beside itself. `code` and `status` are part of the
    HTTP contract (an RFC 9457 problem); `extra` becomes further members of the problem.
    """

    code: ClassVar[str] = "conflict"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The request conflicts with the state of the desk"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def members(self) -> dict[str, Any]:
        """The further members of the problem. Asked for only where somebody reads them."""
        return self.extra


class FieldError(DomainError):
    """One field of the input breaks a rule that only the domain knows."""

    code = "validation_failed"
    status = 400
    title = "The request is not valid"

    def __init__(self, field: str, detail: str, code: str = "invalid") -> None:
        error = {"pointer": f"/{field}", "code": code, "detail": detail}
        super().__init__(detail, errors=[error])


class NotAllowed(DomainError):
    """The caller sees the thing but may not do this to it."""

    code = "permission_denied"
    status = 403
    title = "You may not do this"
