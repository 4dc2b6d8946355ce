"""Answers that can be built a second time."""

from collections.abc import Callable
from typing import Any

from rest_framework.response import Response


class Answer(Response):
    """A response made by a function, so that it can be made again after the receivers ran.

    Under an Idempotency-Key the effect commits only after the view has answered; what the
    receivers do then (assigning the new ticket) must still show in the answer.
    One that is not `is_kept` is not remembered under the key.
    """

    def __init__(
        self, build: Callable[[], Any], status: int = 200, *, is_kept: bool = True
    ) -> None:
        self.build = build
        self.is_kept = is_kept
        data = build()
        super().__init__(data, status, headers=self.headers_of(data))

    def headers_of(self, data: Any) -> dict[str, str]:
        return {}

    def rebuilt(self) -> "Answer":
        return type(self)(self.build, self.status_code)
