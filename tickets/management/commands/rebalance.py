import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from agents.models import Team
from tickets import services
from tickets.assignment.balancing import Move, Proposal


class Command(BaseCommand):
    help = "Say which unanswered tickets should change hands, and with --apply do it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--team", help="only this team, by name")
        parser.add_argument("--apply", action="store_true", help="make the moves")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        started, now = time.perf_counter(), timezone.now()
        team = self.team_named(options["team"]) if options["team"] else None
        skipped = failed = 0
        proposal: Proposal
        if options["apply"]:
            done = services.rebalance(team=team, actor=None, at=now)
            proposal, skipped, failed = done, done.skipped, done.failed
        else:
            proposal = services.propose_moves(team=team, at=now)
        seconds = round(time.perf_counter() - started, 3)
        if options["json"]:
            report = {
                "handled": len(proposal.moves) if options["apply"] else 0,
                "skipped": skipped,
                "failed": failed,
                "seconds": seconds,
                "applied": options["apply"],
                "moves": [described(move) for move in proposal.moves],
                "before": asdict(proposal.before),
                "after": asdict(proposal.after),
            }
            self.stdout.write(orjson.dumps(report).decode())
            return
        for move in proposal.moves:
            self.stdout.write(
                f"{move.ticket.number}  {move.giver.name} -> {move.taker.name}  "
                f"gain {move.gain:.2f}  {move.why}"
            )
        word, before, after = "moved" if options["apply"] else "would move", *spreads(proposal)
        self.stdout.write(f"{len(proposal.moves)} {word}; before: {before}; after: {after}")
        if skipped or failed:
            self.stdout.write(f"{skipped} skipped, {failed} failed")

    def team_named(self, name: str) -> Team:
        team = Team.objects.filter(name__iexact=name).first()
        if team is None:
            raise CommandError(f"There is no team {name!r}.")
        return team


def spreads(proposal: Proposal) -> tuple[str, ...]:
    return tuple(
        f"busiest {spread.max:.0%}, Gini {spread.gini:.2f}"
        for spread in (proposal.before, proposal.after)
    )


def described(move: Move) -> dict[str, Any]:
    return {
        "ticket": move.ticket.pk,
        "from": {"id": move.giver.id, "name": move.giver.name},
        "to": {"id": move.taker.id, "name": move.taker.name},
        "gain": move.gain,
        "why": move.why,
    }
