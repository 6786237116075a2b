"""The command line: verbs, options and how a process ends. What the verbs do lies elsewhere."""
