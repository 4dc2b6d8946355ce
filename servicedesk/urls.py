"""The whole HTTP surface. API paths work with and without the trailing slash."""

from typing import Any

from django.contrib import admin
from django.urls import include, path, register_converter
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from agents.api import views as agents
from attachments.api.contents import ContentViewSet
from attachments.api.files import FileViewSet
from attachments.api.uploads import JudgementViewSet, UploadViewSet
from realtime.views import live_schema
from servicedesk import health
from servicedesk.converters import IdConverter
from tickets.api.bulk import BulkViewSet
from tickets.api.canned_replies import CannedReplyViewSet
from tickets.api.conversation import EventViewSet, MessageViewSet, ParticipantViewSet
from tickets.api.desk import CategoryViewSet, NotificationViewSet
from tickets.api.export import ExportViewSet
from tickets.api.merging import MergeViewSet
from tickets.api.rebalance import RebalanceView
from tickets.api.saved_views import SavedViewViewSet
from tickets.api.sla_setup import CalendarViewSet, PolicyViewSet, RuleViewSet
from tickets.api.tickets import TicketViewSet
from tickets.api.work import WorkViewSet

register_converter(IdConverter, "id")

Agents, Users = agents.AgentViewSet.as_view, agents.UserViewSet.as_view
Teams, Skills = agents.TeamViewSet.as_view, agents.SkillViewSet.as_view
Tickets, Work = TicketViewSet.as_view, WorkViewSet.as_view
Messages, Events, Participants = (
    MessageViewSet.as_view,
    EventViewSet.as_view,
    ParticipantViewSet.as_view,
)
CannedReplies, Views = CannedReplyViewSet.as_view, SavedViewViewSet.as_view
Categories, Notifications = CategoryViewSet.as_view, NotificationViewSet.as_view
Calendars, Policies, Rules = CalendarViewSet.as_view, PolicyViewSet.as_view, RuleViewSet.as_view
Files, Contents = FileViewSet.as_view, ContentViewSet.as_view
LIST_AND_CREATE: dict[str, Any] = {"get": "list", "post": "create"}
READ_AND_CHANGE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update"}
READ_CHANGE_AND_DELETE: dict[str, Any] = {**READ_AND_CHANGE, "delete": "destroy"}
# No metadata: what OPTIONS would answer has no page to be rendered on.
OPEN: dict[str, Any] = {
    "authentication_classes": [],
    "permission_classes": [AllowAny],
    "metadata_class": None,
}

urlpatterns = [
    path("", include("servicedesk.portal.urls")),
    path("admin/", admin.site.urls),
    # Exempt, so that a POST hears 405 and not of a missing token: they take none.
    path("health/live", csrf_exempt(health.live)),
    path("health/ready", csrf_exempt(health.ready)),
    # Signing in
    path("api/auth/token", agents.TokenView.as_view()),
    path("api/auth/token/refresh", agents.TokenRefreshView.as_view()),
    path("api/auth/logout", agents.LogoutView.as_view()),
    path("api/auth/me", agents.MeView.as_view()),
    # Tickets
    path("api/tickets/", Tickets(LIST_AND_CREATE)),
    path("api/tickets/stats", Tickets({"get": "stats"})),
    path("api/tickets/similar", Tickets({"get": "similar"})),
    path("api/tickets/export", ExportViewSet.as_view({"get": "export"})),
    path("api/tickets/bulk", BulkViewSet.as_view({"post": "create"})),
    path("api/tickets/workflow/transitions", Work({"get": "workflow"})),
    path("api/tickets/<id:pk>/", Tickets(READ_AND_CHANGE)),
    path("api/tickets/<id:pk>/status", Work({"put": "status"})),
    path("api/tickets/<id:pk>/priority", Work({"put": "priority"})),
    path("api/tickets/<id:pk>/assign", Work({"put": "assign"})),
    path("api/tickets/<id:pk>/claim", Work({"post": "claim"})),
    path("api/tickets/<id:pk>/escalate", Work({"post": "escalate"})),
    path("api/tickets/<id:pk>/merge", MergeViewSet.as_view({"post": "create"})),
    path("api/tickets/<id:pk>/transitions", Work({"get": "transitions"})),
    path("api/tickets/<id:pk>/recommendations", Work({"get": "recommendations"})),
    path("api/tickets/<id:pk>/assignment", Work({"get": "assignment"})),
    path("api/tickets/<id:pk>/sla", Work({"get": "sla"})),
    path("api/tickets/<id:pk>/events", Events({"get": "list"})),
    path("api/tickets/<id:pk>/rating", Work({"post": "rating"})),
    path("api/tickets/<id:pk>/messages", Messages(LIST_AND_CREATE)),
    path("api/tickets/<id:pk>/participants", Participants({"post": "create"})),
    path("api/tickets/<id:pk>/participants/<id:user>", Participants({"delete": "destroy"})),
    path("api/categories/", Categories(LIST_AND_CREATE)),
    path("api/canned-replies/", CannedReplies(LIST_AND_CREATE)),
    path("api/canned-replies/<id:pk>/", CannedReplies(READ_CHANGE_AND_DELETE)),
    path("api/views/", Views(LIST_AND_CREATE)),
    path("api/views/<id:pk>/", Views(READ_CHANGE_AND_DELETE)),
    path("api/notifications/", Notifications({"get": "list"})),
    path("api/notifications/read", Notifications({"post": "read"})),
    # Files
    path("api/files/upload", UploadViewSet.as_view({"post": "create"})),
    path("api/files/validate", JudgementViewSet.as_view({"post": "create"})),
    path("api/files/ticket/<id:ticket>", Files({"get": "of_ticket"})),
    path("api/files/<uuid:pk>", Files({"get": "retrieve", "delete": "destroy"})),
    path("api/files/<uuid:pk>/download", Contents({"get": "download"})),
    path("api/files/<uuid:pk>/thumbnail", Contents({"get": "thumbnail"})),
    path("api/files/<uuid:pk>/preview", Contents({"get": "preview"})),
    # What is promised, and what happens where it is not kept
    path("api/calendars/", Calendars(LIST_AND_CREATE)),
    path("api/calendars/<id:pk>/", Calendars(READ_CHANGE_AND_DELETE)),
    path("api/calendars/<id:pk>/holidays", Calendars({"post": "holidays"})),
    path("api/sla-policies/", Policies(LIST_AND_CREATE)),
    path("api/sla-policies/<id:pk>/", Policies(READ_CHANGE_AND_DELETE)),
    path("api/escalation-rules/", Rules(LIST_AND_CREATE)),
    path("api/escalation-rules/<id:pk>/", Rules(READ_CHANGE_AND_DELETE)),
    # People
    path("api/agents/", Agents({"get": "list"})),
    path("api/agents/workload", Agents({"get": "workload"})),
    path("api/agents/rebalance", RebalanceView.as_view()),
    path("api/agents/me/availability", Agents({"put": "availability"})),
    path("api/agents/<id:pk>/", Agents(READ_AND_CHANGE)),
    path("api/teams/", Teams(LIST_AND_CREATE)),
    path("api/teams/<id:pk>", Teams({"patch": "partial_update"})),
    path("api/skills/", Skills(LIST_AND_CREATE)),
    path("api/users/", Users(LIST_AND_CREATE)),
    path("api/users/<id:pk>", Users(READ_AND_CHANGE)),
    # The contract, for machines and for people
    path("api/schema/", SpectacularAPIView.as_view(**OPEN), name="schema"),
    path("api/schema/live/", csrf_exempt(live_schema), name="live_schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema", **OPEN), name="docs"),
]
