"""A back end for castellan, as anybody may write one: secrets in memory, which raises what castellan's own raise."""

from castellan.common import exception
from castellan.common.objects.passphrase import Passphrase

#: Secret -> what is in it, or what is raised when somebody asks for it.
SECRETS = {}
#: (user, project, token) of everybody who asked.
ASKED = []


class Cabinet:
    """What ``[key_manager] backend`` names by its path."""

    def __init__(self, configuration):
        self.conf = configuration

    def get(self, context, managed_object_id, metadata_only=False):
        ASKED.append((context.user_id, context.project_id, context.auth_token))
        found = SECRETS.get(managed_object_id)
        if found is None:
            raise exception.ManagedObjectNotFoundError(uuid=managed_object_id)
        if isinstance(found, Exception):
            raise found
        return found if hasattr(found, "get_encoded") else Passphrase(found)
