"""The `dropsort` command: one module for each command, which reads its options, calls another package and prints."""
