"""Errors that a user can mend: one line that names the thing, its value and the remedy."""


class UserError(Exception):
    """Ends a command with its one-line message and exit code 1, without a stack trace (unless --debug)."""

    exit_code = 1


class ConfigError(UserError):
    """A configuration that cannot be run as written; found before anything starts. Exit code 2."""

    exit_code = 2
