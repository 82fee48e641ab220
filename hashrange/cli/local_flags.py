"""Understands the command line of Amazon's DynamoDB Local, so that scripts and compose files work unchanged.

    java -Djava.library.path=./DynamoDBLocal_lib -jar DynamoDBLocal.jar -sharedDb -port 8000

becomes, with `java` replaced by `hashrange` (or by an image whose entry point is hashrange),

    hashrange serve --port 8000

Pure: a list of arguments in, a list of arguments out. Everything that is not of that form passes through
untouched, and mistakes (`-port` without a number) are left for the ordinary parser to report.
"""

from __future__ import annotations

_WITH_VALUE = {"-port": "--port", "-dbPath": "--data-dir", "-cors": "--cors"}
_SWITCHES = {
    "-inMemory": "--in-memory",
    "-delayTransientStatuses": "--delay-transient-statuses",
    "-help": "--help",
    # One endpoint always serves one region and any credentials from one set of tables: nothing to switch.
    "-sharedDb": None,
    # Nothing is ever sent anywhere.
    "-disableTelemetry": None,
    # Compaction is continuous.
    "-optimizeDbBeforeStartup": None,
}
_JVM_PREFIXES = ("-D", "-X")
COMMAND = "serve"


def translate(arguments: list[str]) -> list[str]:
    """Arguments of this program for arguments that may be those of DynamoDB Local."""
    if not arguments or not _looks_local(arguments):
        return arguments
    rest = arguments[1:] if arguments[0] == COMMAND else list(arguments)
    if "-version" in rest:
        return ["version"]
    translated = [COMMAND]
    position = 0
    while position < len(rest):
        argument = rest[position]
        position += 1
        if argument == "-jar":
            position += 1  # the name of the archive
        elif argument in _WITH_VALUE:
            translated.append(_WITH_VALUE[argument])
        elif argument in _SWITCHES:
            switch = _SWITCHES[argument]
            if switch is not None:
                translated.append(switch)
        elif not argument.startswith(_JVM_PREFIXES):
            translated.append(argument)
    return translated


def _looks_local(arguments: list[str]) -> bool:
    """Whether this is a `serve` (said or implied) with at least one flag of DynamoDB Local."""
    if arguments[0] != COMMAND and not _is_local_flag(arguments[0]):
        return False
    return any(_is_local_flag(argument) for argument in arguments)


def _is_local_flag(argument: str) -> bool:
    return (
        argument in _WITH_VALUE
        or argument in _SWITCHES
        or argument in ("-jar", "-version")
        or (argument.startswith(_JVM_PREFIXES) and len(argument) > 2)
    )
