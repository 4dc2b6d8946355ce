"""What agents know, learnt from the imported tickets they resolved."""

from bisect import bisect_right
from collections.abc import Collection, Mapping

from django.db.models import Count

from agents.models import AgentSkill, Skill
from tickets.importing import names
from tickets.lifecycle import Status
from tickets.models import Category, CategoryExperience, Ticket

# From how many resolved tickets of a category on somebody has level 1, 2, 3, 4 and 5 in the
# skill of its name: one shows that they have seen it, 150 that others ask them.
RESOLVED_FOR_LEVEL = (1, 5, 15, 50, 150)
DONE = (Status.RESOLVED, Status.CLOSED)


def level_of(resolved: int) -> int:
    """The level, 1-5, that so many resolved tickets show; 0 for none."""
    return bisect_right(RESOLVED_FOR_LEVEL, resolved)


def learn(pairs: Collection[tuple[int, int]]) -> int:
    """Raise the skills of these (agent, category) to what all imported tickets show by now.

    Counted anew, so that any number of runs end at the same levels. What a supervisor has set
    higher stays. Answers how many skills were made.
    """
    if not pairs:
        return 0
    titles = dict(
        Category.objects.filter(pk__in={category for _, category in pairs}).values_list(
            "pk", "name"
        )
    )
    skills, made = names.find_or_make(Skill, titles.values())
    counts = {
        pair: resolved
        for pair, resolved in _resolved({agent for agent, _ in pairs}).items()
        if pair in pairs
    }
    _raise_to(
        {
            (agent, skills[titles[category]]): level_of(resolved)
            for (agent, category), resolved in counts.items()
        }
    )
    _remember(counts)
    return made


def _remember(counts: Mapping[tuple[int, int], int]) -> None:
    """The agents' experience with the categories is at least what they have resolved of them."""
    have = {
        (agent, category): resolved
        for agent, category, resolved in CategoryExperience.objects.filter(
            agent__in={agent for agent, _ in counts}
        ).values_list("agent", "category", "resolved")
    }
    CategoryExperience.objects.bulk_create(
        [
            CategoryExperience(agent_id=agent, category_id=category, resolved=resolved)
            for (agent, category), resolved in sorted(counts.items())
            if resolved > have.get((agent, category), 0)
        ],
        update_conflicts=True,
        unique_fields=["category", "agent"],
        update_fields=["resolved"],
    )


def _resolved(agents: Collection[int]) -> dict[tuple[int, int], int]:
    rows = (
        Ticket.objects.filter(assignee__in=agents, status__in=DONE, external_id__isnull=False)
        .exclude(category=None)
        .order_by()
        .values_list("assignee", "category")
        .annotate(resolved=Count("pk"))
    )
    return {(agent, category): resolved for agent, category, resolved in rows}


def _raise_to(levels: dict[tuple[int, int], int]) -> None:
    agents = {agent for agent, _ in levels}
    have = {
        (agent, skill): level
        for agent, skill, level in AgentSkill.objects.filter(agent__in=agents).values_list(
            "agent", "skill", "level"
        )
    }
    AgentSkill.objects.bulk_create(
        [
            AgentSkill(agent_id=agent, skill_id=skill, level=level)
            for (agent, skill), level in sorted(levels.items())
            if level > have.get((agent, skill), 0)
        ],
        update_conflicts=True,
        unique_fields=["agent", "skill"],
        update_fields=["level"],
    )
