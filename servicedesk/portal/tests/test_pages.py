"""Who gets which page of the portal. What is on the pages is shown in the browser."""

import re

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import User
from tickets.models import Ticket
from tickets.services import open_ticket

PASSWORD = "a-password-for-alice"
PAGES = ("/", "/new/")
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|javascript:", re.IGNORECASE)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ticket_of(alice: User) -> Ticket:
    return open_ticket(requester=alice, actor=alice, subject="No VPN", at=timezone.now())


def sign_in(client: Client, name: str, password: str, after: str = ""):
    return client.post("/sign-in/", {"username": name, "password": password, "next": after})


@pytest.mark.parametrize("path", [*PAGES, "/tickets/1/", "/tickets/1/?all"])
def test_who_is_not_signed_in_is_asked_to_and_comes_back(path, db):
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=/")


@pytest.mark.parametrize("path", PAGES)
def test_a_customer_gets_the_page(path, alice):
    answer = signed_in(alice).get(path)
    assert answer.status_code == 200
    assert f'data-user="{alice.pk}"' in answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_agents_and_supervisors_are_shown_to_the_console(path, bob, sam):
    for user in (bob, sam):
        assert signed_in(user).get(path)["Location"] == "/admin/"


def test_a_ticket_is_a_page_for_those_who_may_see_it(alice, charlie, bob):
    ticket = ticket_of(alice)
    path = f"/tickets/{ticket.pk}/"
    assert signed_in(alice).get(path).status_code == 200
    assert signed_in(bob).get(path)["Location"] == f"/admin/tickets/ticket/{ticket.pk}/change/"
    for strange in (path, "/tickets/999999/"):
        answer = signed_in(charlie).get(strange)
        assert answer.status_code == 404
        assert "There is no such ticket here" in answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_only_read(path, alice):
    client = signed_in(alice)
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_signing_in_and_out(alice):
    alice.set_password(PASSWORD)
    alice.save()
    client = Client()
    assert sign_in(client, alice.username.upper(), PASSWORD, "/new/")["Location"] == "/new/"
    assert client.get("/sign-in/")["Location"] == "/"
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


@pytest.mark.parametrize(
    "after", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_one_comes_back_to_the_desk_only(after, alice):
    alice.set_password(PASSWORD)
    alice.save()
    assert sign_in(Client(), alice.username, PASSWORD, after)["Location"] == "/"


def test_wrong_names_wrong_passwords_and_closed_accounts_hear_the_same(alice, charlie):
    charlie.set_password(PASSWORD)
    charlie.is_active = False
    charlie.save()
    for name, password in (("nobody", "x"), (alice.username, "x"), (charlie.username, PASSWORD)):
        answer = sign_in(Client(), name, password)
        assert answer.status_code == 200
        assert "The name or the password is wrong." in answer.content.decode()


def test_the_door_counts_what_the_api_counts(alice):
    alice.set_password(PASSWORD)
    alice.save()
    for _ in range(5):
        sign_in(Client(), alice.username, "wrong")
    assert "Too many" in sign_in(Client(), alice.username, PASSWORD).content.decode()
    body = {"username": alice.username, "password": PASSWORD}
    answer = Client().post("/api/auth/token", body, content_type="application/json")
    assert answer.status_code == 429


def test_signing_in_takes_a_token_of_the_page(alice):
    client = Client(enforce_csrf_checks=True)
    assert sign_in(client, alice.username, PASSWORD).status_code == 403


def test_a_hostile_name_is_text(alice):
    alice.name = "<script>alert(1)</script>"
    alice.save()
    content = signed_in(alice).get("/").content.decode()
    assert "&lt;script&gt;alert(1)" in content
    assert "<script>alert" not in content


def test_no_page_has_scripts_or_styles_of_its_own(alice):
    client = signed_in(alice)
    ticket = ticket_of(alice)
    for path in (*PAGES, f"/tickets/{ticket.pk}/", "/tickets/999999/"):
        assert not INLINE.search(client.get(path).content.decode()), path
    assert not INLINE.search(Client().get("/sign-in/").content.decode())
