"""The customers' pages. Each is a shell; what it shows comes over the API and the socket."""

from django.urls import path

from servicedesk.portal import views

app_name = "portal"
urlpatterns = [
    path("", views.tickets, name="tickets"),
    path("new/", views.new, name="new"),
    path("tickets/<id:pk>/", views.ticket, name="ticket"),
    path("sign-in/", views.SignInView.as_view(), name="sign_in"),
    path("sign-out/", views.SignOutView.as_view(), name="sign_out"),
]
