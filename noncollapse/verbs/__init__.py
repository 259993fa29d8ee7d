"""One module a verb: `add_arguments(parser)` and `run(args)`, which returns the exit code. Imports what it needs inside
`run`, so that asking for help costs nothing."""
