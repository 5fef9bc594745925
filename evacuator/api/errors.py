"""Errors that only HTTP has: a request that cannot be read, or may not be made. The rest is in ``evacuator.errors``."""

from evacuator.errors import EvacuatorError, Invalid, NotFound


class NotInThisVersion(NotFound):
    """The address exists, but not at the microversion of the request."""

    message = "The resource could not be found."


class MalformedBody(Invalid):
    """The body is not JSON, or not of the form that any action has."""

    message = "Malformed request body"


class NoSuchAction(Invalid):
    """A server has no action of this name, or not at this microversion."""

    message = "There is no such action: {action}"


class OtherProject(Invalid):
    """The project in the URL is not the caller's."""

    message = "Malformed request URL: URL's project_id '{url}' doesn't match Context's project_id '{own}'"


class VersionMalformed(Invalid):
    """A version header says something that is no version."""

    message = "API Version String {version} is of invalid format. Must be of format MajorNum.MinorNum."


class VersionNotSupported(EvacuatorError):
    """A well-formed version outside of what is served."""

    message = "Version {version} is not supported by the API. Minimum is {minimum} and maximum is {maximum}."


class Unauthenticated(EvacuatorError):
    """Nobody knows who asks; ``challenge`` goes into WWW-Authenticate."""

    message = "The request you have made requires authentication."


class Forbidden(EvacuatorError):
    """The caller may not do this."""

    message = "{reason}"


class PolicyForbids(Forbidden):
    """A policy rule says no."""

    message = "Policy doesn't allow {rule} to be performed."


class UnsupportedContentType(EvacuatorError):
    """The body is of a type that is not read here."""

    message = "Unsupported Content-Type"


class BodyTooLarge(EvacuatorError):
    """The body is longer than what is accepted."""

    message = "Request body is too large: at most {limit} bytes are accepted."
