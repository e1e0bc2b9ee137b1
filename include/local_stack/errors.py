"""What ends the local stack with a message instead of a traceback.

StackError                exit 1
├── InputError            exit 2: recordings, labels, options or ports are not what they should be
├── ComponentDied         a service ended by itself; carries the end of its log
├── TaskFailed            a task of a DAG failed; carries the end of its log
└── Stopped               Ctrl-C, a signal, or `make stop`; exit 130
"""


class StackError(Exception):
    """The stack cannot go on; the message says what came and what to do."""

    exit_code = 1


class InputError(StackError):
    """Something that the caller gave is wrong."""

    exit_code = 2


class ComponentDied(StackError):
    """A service ended by itself."""


class TaskFailed(StackError):
    """A task of a DAG failed."""


class Stopped(StackError):
    """Somebody asked the stack to stop."""

    exit_code = 130
