"""The console and the portal in a real browser, against a desk that really runs."""
