"""``/openapi.json``: this API, for programs that read it. It is for everybody."""

from typing import ClassVar

import falcon

from evacuator.api.collaborators import Collaborators
from evacuator.api.http import Request, Resource
from evacuator.api.negotiation import check_supported, read_version
from evacuator.api.openapi import document
from evacuator.errors import Invalid


class OpenApi(Resource):
    """``/openapi.json``: of the microversion in ``?microversion=``, or else in the header, or else the oldest."""

    answers_everybody: ClassVar[bool] = True

    def __init__(self, _parts: Collaborators) -> None:
        """It needs nothing."""

    def on_get(self, request: Request, response: falcon.Response) -> None:
        """Show it."""
        given = request.params
        version = request.behaviour.version
        if "microversion" in given:
            asked = given["microversion"]
            if not isinstance(asked, str):
                raise Invalid(reason="One microversion has one document.")
            version = check_supported(read_version(asked))
        response.media = document(version)
