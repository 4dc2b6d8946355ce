"""Signing in, and the people of the desk."""

from typing import Any

from django.contrib.auth import logout
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from agents import services, sessions
from agents.api import serializers as shapes
from agents.api.callers import caller_of
from agents.api.permissions import IsStaff, IsSupervisor, ReadOrSupervise
from agents.models import AgentProfile, Session, Skill, Team, User
from agents.sign_in import check_credentials
from agents.workload import teams_load
from servicedesk.api.addresses import client_address
from servicedesk.api.views import DeskAPIView, DeskViewSet, read_body, rendered
from servicedesk.errors import NotAllowed

PEOPLE = User.objects.select_related("agent").prefetch_related("agent__teams")


class TokenView(DeskAPIView):
    permission_classes = (AllowAny,)
    authentication_classes = ()
    remembers_answers = False  # tokens are not stored

    @extend_schema(
        request=shapes.SignInSerializer, responses=shapes.SignedInSerializer, auth=[], tags=["auth"]
    )
    def post(self, request: Request) -> Response:
        """Sign in by username or e-mail."""
        body = read_body(shapes.SignInSerializer, request)
        now, address = timezone.now(), client_address(request)
        user = check_credentials(
            name=body["username"], password=body["password"], address=address, at=now
        )
        agent = request.headers.get("User-Agent", "")
        pair = sessions.start(user=user, at=now, address=address, user_agent=agent)
        shown = rendered(shapes.UserSerializer, PEOPLE.get(pk=user.pk))
        return Response({"access": pair.access, "refresh": pair.refresh, "user": shown})


class TokenRefreshView(DeskAPIView):
    permission_classes = (AllowAny,)
    authentication_classes = ()
    remembers_answers = False

    @extend_schema(
        request=shapes.RefreshSerializer,
        responses=shapes.TokenPairSerializer,
        auth=[],
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """The next pair of tokens. A refresh token is good once; reuse ends the session."""
        body = read_body(shapes.RefreshSerializer, request)
        pair = sessions.refresh(token=body["refresh"], at=timezone.now())
        return Response({"access": pair.access, "refresh": pair.refresh})


class LogoutView(DeskAPIView):
    remembers_answers = False

    @extend_schema(
        request=shapes.SignOutSerializer,
        responses={204: OpenApiResponse(description="Signed out.")},
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        """End the session of this token, or all sessions of its user."""
        body = read_body(shapes.SignOutSerializer, request)
        now = timezone.now()
        if body["everywhere"]:
            sessions.sign_out_everywhere(user=caller_of(request), at=now)
        elif isinstance(request.auth, Session):
            sessions.revoke(session_id=request.auth.pk, at=now)
        else:
            logout(request._request)
        return Response(status=204)


class MeView(DeskAPIView):
    @extend_schema(responses=shapes.UserSerializer, tags=["auth"])
    def get(self, request: Request) -> Response:
        """Who is calling."""
        return Response(rendered(shapes.UserSerializer, PEOPLE.get(pk=caller_of(request).pk)))


@extend_schema_view(list=extend_schema(responses=shapes.UserSerializer(many=True)))
@extend_schema(tags=["people"])
class UserViewSet(DeskViewSet):
    queryset = PEOPLE
    permission_classes = (IsSupervisor,)
    serializer_class = shapes.UserSerializer

    def list(self, request: Request) -> Response:
        """All users, newest first."""
        return self.page_of(self.get_queryset())

    @extend_schema(request=shapes.NewUserSerializer, responses={201: shapes.UserSerializer})
    def create(self, request: Request) -> Response:
        """A new user; without a password one who cannot sign in yet."""
        user = services.create_user(**read_body(shapes.NewUserSerializer, request))
        return Response(rendered(shapes.UserSerializer, PEOPLE.get(pk=user.pk)), 201)

    @extend_schema(responses=shapes.UserSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """One user."""
        return Response(rendered(shapes.UserSerializer, get_object_or_404(PEOPLE, pk=pk)))

    @extend_schema(request=shapes.UserChangesSerializer, responses=shapes.UserSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change a user. A new password or role, or deactivation, signs them out everywhere."""
        user = get_object_or_404(User, pk=pk)
        body = read_body(shapes.UserChangesSerializer, request)
        services.update_user(user=user, at=timezone.now(), actor=caller_of(request), **body)
        return Response(rendered(shapes.UserSerializer, PEOPLE.get(pk=pk)))


@extend_schema(tags=["people"])
class AgentViewSet(DeskViewSet):
    queryset = AgentProfile.objects.in_service()
    permission_classes = (IsStaff,)
    serializer_class = shapes.AgentSerializer
    ordering = "pk"

    def list(self, request: Request) -> Response:
        """Everybody who works on tickets."""
        return self.page_of(self.get_queryset())

    @extend_schema(responses=shapes.AgentSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """One agent, by the id of their user."""
        return Response(self._shown(pk))

    @extend_schema(request=shapes.AgentChangesSerializer, responses=shapes.AgentSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change an agent (supervisors); an agent may change their own availability only."""
        agent = get_object_or_404(self.get_queryset(), pk=pk)
        user = caller_of(request)
        is_own_availability = user.pk == pk and set(request.data) <= {"availability"}
        if not user.is_supervisor and not is_own_availability:
            raise NotAllowed("Only supervisors change agents; you may change your availability.")
        body = read_body(shapes.AgentChangesSerializer, request)
        services.update_agent(agent=agent, at=timezone.now(), actor=user, **body)
        return Response(self._shown(pk))

    @extend_schema(request=shapes.AvailabilitySerializer, responses=shapes.AgentSerializer)
    def availability(self, request: Request) -> Response:
        """Come and go; leaving, hand back what the customer has not heard of yet."""
        body = read_body(shapes.AvailabilitySerializer, request)
        caller = caller_of(request)
        services.set_availability(user=caller, at=timezone.now(), **body)
        return Response(self._shown(caller.pk))

    @extend_schema(responses=shapes.WorkloadSerializer)
    def workload(self, request: Request) -> Response:
        """Load and capacity of every active agent and of every team."""
        agents = list(self.get_queryset().filter(user__is_active=True))
        report = {"agents": agents, "teams": teams_load(agents)}
        return Response(rendered(shapes.WorkloadSerializer, report))

    def _shown(self, pk: int) -> Any:
        return rendered(shapes.AgentSerializer, get_object_or_404(self.get_queryset(), pk=pk))


class NamedViewSet(DeskViewSet):
    """A short list that everybody reads and supervisors add to."""

    permission_classes = (IsAuthenticated, ReadOrSupervise)
    serializer_class = shapes.NamedSerializer
    ordering = "name"

    def list(self, request: Request) -> Response:
        return self.page_of(self.get_queryset())


@extend_schema_view(
    list=extend_schema(summary="All teams"),
    create=extend_schema(
        summary="A new team",
        request=shapes.NewTeamSerializer,
        responses={201: shapes.TeamSerializer},
    ),
    partial_update=extend_schema(
        summary="Rename a team, or give it a lead",
        request=shapes.TeamChangesSerializer,
        responses=shapes.TeamSerializer,
    ),
)
@extend_schema(tags=["people"])
class TeamViewSet(NamedViewSet):
    queryset: QuerySet[Team] = Team.objects.select_related("lead")
    serializer_class = shapes.TeamSerializer

    def create(self, request: Request) -> Response:
        team = services.create_team(**read_body(shapes.NewTeamSerializer, request))
        return Response(rendered(shapes.TeamSerializer, team), 201)

    def partial_update(self, request: Request, pk: int) -> Response:
        team = get_object_or_404(Team, pk=pk)
        body = read_body(shapes.TeamChangesSerializer, request)
        services.update_team(team=team, **body)
        return Response(rendered(shapes.TeamSerializer, self.get_queryset().get(pk=pk)))


@extend_schema_view(
    list=extend_schema(summary="All skills"),
    create=extend_schema(
        summary="A new skill",
        request=shapes.NewNamedSerializer,
        responses={201: shapes.NamedSerializer},
    ),
)
@extend_schema(tags=["people"])
class SkillViewSet(NamedViewSet):
    queryset: QuerySet[Skill] = Skill.objects.all()

    def create(self, request: Request) -> Response:
        skill = services.create_named(Skill, **read_body(shapes.NewNamedSerializer, request))
        return Response(rendered(shapes.NamedSerializer, skill), 201)
