"""The command line: verbs, options and how a process ends."""
