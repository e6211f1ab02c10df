"""The command line: its verbs, what they print and their exit codes."""
