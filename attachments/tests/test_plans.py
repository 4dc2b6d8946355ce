"""What is asked of files all the time is answered by index, however many tickets there are."""

import pytest
from django.db import connection
from django.utils import timezone

from attachments.models import Attachment, Blob
from tickets.models import Ticket

pytestmark = pytest.mark.postgres


@pytest.fixture
def full_desk(charlie) -> Attachment:
    """3,000 tickets, each with a file; the newest file."""
    at = timezone.now()
    tickets = Ticket.objects.bulk_create(
        Ticket(subject="x", requester=charlie, created_at=at) for _ in range(3000)
    )
    blob = Blob.objects.create(
        sha256="a" * 64, size=1, key="aa/" + "a" * 32, scan_status=Blob.Scan.CLEAN
    )
    files = Attachment.objects.bulk_create(
        Attachment(
            ticket=ticket,
            attached_at=at,
            blob=blob,
            uploaded_by=charlie,
            filename="a.txt",
            size=1,
            sha256=blob.sha256,
            content_type="text/plain",
            category="text",
        )
        for ticket in tickets
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tickets_ticket; ANALYZE attachments_attachment")
    return files[-1]


@pytest.mark.parametrize("person", ["charlie", "bob", "sam"])
def test_whether_somebody_sees_a_file_is_asked_of_its_ticket_alone(full_desk, person, request):
    seen = Attachment.objects.visible_to(request.getfixturevalue(person))
    for files in (seen.filter(pk=full_desk.pk), seen.filter(ticket=full_desk.ticket_id)):
        assert list(files) == [full_desk]
        plan = files.explain()
        assert "Seq Scan on tickets_ticket" not in plan
        assert "Seq Scan on attachments_attachment" not in plan


def test_all_files_of_a_ticket_are_found_by_index_also_the_removed_ones(full_desk):
    plan = Attachment.objects.filter(ticket=full_desk.ticket_id).explain()
    assert "attachments_of_ticket" in plan
