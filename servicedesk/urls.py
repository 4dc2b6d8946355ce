"""The whole HTTP surface. API paths work with and without the trailing slash."""

from django.contrib import admin
from django.urls import path, register_converter
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.permissions import AllowAny

from agents.api import views as agents
from servicedesk import health
from servicedesk.converters import IdConverter
from tickets.api import views as tickets

register_converter(IdConverter, "id")

Agents, Users = agents.AgentViewSet.as_view, agents.UserViewSet.as_view
Tickets, Messages = tickets.TicketViewSet.as_view, tickets.MessageViewSet.as_view
Participants, Notifications = (
    tickets.ParticipantViewSet.as_view,
    tickets.NotificationViewSet.as_view,
)
LIST_AND_CREATE = {"get": "list", "post": "create"}
READ_AND_CHANGE = {"get": "retrieve", "patch": "partial_update"}
OPEN = {"authentication_classes": [], "permission_classes": [AllowAny]}

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/"), name="home"),
    path("admin/", admin.site.urls),
    path("health/live", health.live),
    path("health/ready", health.ready),
    # Signing in
    path("api/auth/token", agents.TokenView.as_view()),
    path("api/auth/token/refresh", agents.TokenRefreshView.as_view()),
    path("api/auth/logout", agents.LogoutView.as_view()),
    path("api/auth/me", agents.MeView.as_view()),
    # Tickets
    path("api/tickets/", Tickets(LIST_AND_CREATE)),
    path("api/tickets/stats", Tickets({"get": "stats"})),
    path("api/tickets/similar", Tickets({"get": "similar"})),
    path("api/tickets/workflow/transitions", Tickets({"get": "workflow"})),
    path("api/tickets/<id:pk>/", Tickets(READ_AND_CHANGE)),
    path("api/tickets/<id:pk>/status", Tickets({"put": "status"})),
    path("api/tickets/<id:pk>/priority", Tickets({"put": "priority"})),
    path("api/tickets/<id:pk>/assign", Tickets({"put": "assign"})),
    path("api/tickets/<id:pk>/claim", Tickets({"post": "claim"})),
    path("api/tickets/<id:pk>/escalate", Tickets({"post": "escalate"})),
    path("api/tickets/<id:pk>/transitions", Tickets({"get": "transitions"})),
    path("api/tickets/<id:pk>/recommendations", Tickets({"get": "recommendations"})),
    path("api/tickets/<id:pk>/assignment", Tickets({"get": "assignment"})),
    path("api/tickets/<id:pk>/events", Tickets({"get": "events"})),
    path("api/tickets/<id:pk>/rating", Tickets({"post": "rating"})),
    path("api/tickets/<id:pk>/messages", Messages(LIST_AND_CREATE)),
    path("api/tickets/<id:pk>/participants", Participants({"post": "create"})),
    path("api/tickets/<id:pk>/participants/<id:user>", Participants({"delete": "destroy"})),
    path("api/categories/", tickets.CategoryViewSet.as_view(LIST_AND_CREATE)),
    path("api/notifications/", Notifications({"get": "list"})),
    path("api/notifications/read", Notifications({"post": "read"})),
    # People
    path("api/agents/", Agents({"get": "list"})),
    path("api/agents/workload", Agents({"get": "workload"})),
    path("api/agents/me/availability", Agents({"put": "availability"})),
    path("api/agents/<id:pk>/", Agents(READ_AND_CHANGE)),
    path("api/teams/", agents.TeamViewSet.as_view(LIST_AND_CREATE)),
    path("api/skills/", agents.SkillViewSet.as_view(LIST_AND_CREATE)),
    path("api/users/", Users(LIST_AND_CREATE)),
    path("api/users/<id:pk>", Users(READ_AND_CHANGE)),
    # The contract, for machines and for people
    path("api/schema/", SpectacularAPIView.as_view(**OPEN), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema", **OPEN), name="docs"),
]
