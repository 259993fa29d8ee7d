"""Project and peers side by side, in one run, at matched true error. Not shipped; `python -m benchmarks.<name>`."""
