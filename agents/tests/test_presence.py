"""Presence as the API of the agents shows it, whoever it comes from."""

import pytest
from django.utils import timezone

from agents import presence
from agents.models import Role
from agents.services import create_user, update_agent


@pytest.fixture
def source(monkeypatch):
    """Tells the agents app what it is given, and notes what it was asked."""

    class Source(dict[int, str]):
        asked: list[list[int]] = []

        def __call__(self, ids):
            self.asked.append(list(ids))
            return self

    monkeypatch.setattr(presence, "_sources", [])
    told = Source()
    told.asked = []
    presence.register(told)
    return told


def test_everybody_is_offline_where_nobody_knows_better(as_user, bob, dana, monkeypatch):
    monkeypatch.setattr(presence, "_sources", [])
    rows = as_user(bob).get("/api/agents/").json()["results"]
    assert {row["presence"] for row in rows} == {"offline"}
    assert as_user(bob).get(f"/api/agents/{dana.pk}/").json()["presence"] == "offline"


def test_who_has_registered_is_asked_and_the_last_one_counts(source):
    source[1] = "away"
    assert presence.states([1, 2]) == {1: "away", 2: "offline"}
    presence.register(lambda ids: dict.fromkeys(ids, "online"))
    assert presence.states([1, 2]) == {1: "online", 2: "online"}
    assert presence.states([]) == {}


def test_presence_is_shown_beside_availability_and_not_mixed_with_it(as_user, bob, dana, source):
    source.update({bob.pk: "away", dana.pk: "online"})
    rows = as_user(bob).get("/api/agents/").json()["results"]
    shown = {row["id"]: (row["presence"], row["availability"]) for row in rows}
    assert shown == {bob.pk: ("away", "available"), dana.pk: ("online", "offline")}
    for agent in (bob, dana):
        body = as_user(bob).get(f"/api/agents/{agent.pk}/").json()
        assert (body["presence"], body["availability"]) == shown[agent.pk]


@pytest.mark.parametrize("presence_of_bob", presence.STATES)
def test_every_answer_that_shows_an_agent_shows_presence(as_user, bob, source, presence_of_bob):
    source[bob.pk] = presence_of_bob
    client = as_user(bob)
    answers = [
        client.patch(f"/api/agents/{bob.pk}/", {"availability": "away"}),
        client.put("/api/agents/me/availability", {"availability": "available"}),
    ]
    rows = [answer.json() for answer in answers]
    rows += client.get("/api/agents/workload").json()["agents"]
    assert [row["presence"] for row in rows] == [presence_of_bob] * 3


def test_a_page_asks_once_for_those_it_shows(as_user, bob, team, source):
    for number in range(8):
        user = create_user(username=f"agent{number}", role=Role.AGENT)
        update_agent(agent=user.agent, at=timezone.now(), teams=[team])
    rows = as_user(bob).get("/api/agents/?page_size=5").json()["results"]
    assert source.asked == [[row["id"] for row in rows]]
    as_user(bob).get("/api/agents/workload")
    assert [len(asked) for asked in source.asked] == [5, 9]


def test_nobody_chooses_their_presence_over_http(as_user, sam, bob, source):
    response = as_user(sam).patch(f"/api/agents/{bob.pk}/", {"presence": "online"})
    assert response.status_code == 400
    assert as_user(sam).get(f"/api/agents/{bob.pk}/").json()["presence"] == "offline"


def test_a_customer_does_not_see_who_is_there(as_user, alice, bob, source):
    for path in ("/api/agents/", f"/api/agents/{bob.pk}/"):
        assert as_user(alice).get(path).status_code == 403
    assert source.asked == []
