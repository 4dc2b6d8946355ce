"""The shipped assignment against simpler ones, on the incidents of a real desk. docs/simulation.md.

source → workload (what arrives, and who is there) → assumptions (how long it takes) → engine
with a policy → measuring → study → table, figure. Pure but for reading the file; the score is
tickets.assignment.scoring itself.
"""
