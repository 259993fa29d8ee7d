"""The clockwork of a matrix flow's stepper: one array of numbers a member, statistics first. Names of its places."""

from __future__ import annotations

DONE, BLEW_UP, TOO_MANY, TOO_SMALL = 0, 1, 2, 3  # how it ended
STATUS, EVALUATIONS, STEPS, STABLE_STEPS, RADIUS, SWITCH, WHEN = range(7)  # what is handed out
STABLE, H, RHO, AGE, RUN, LOOK, PATIENCE, SPENT, SINCE, REJECTED, ERROR, H_OLD, SIZE, SLOPE = range(
    7, 21
)  # what the stepper remembers
CLOCKWORK = 21
