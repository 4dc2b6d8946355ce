"""A ServiceNow incident export, brought in with its history.

source → reading → incidents → replay are pure: bytes, rows, whole incidents, and what each
of them would have been here. writing brings batches of them into the database, running drives
it all, verifying counts the file again and compares.
"""
