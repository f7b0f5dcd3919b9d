"""The command line: `commands` lists what it has, one module a group of commands."""
