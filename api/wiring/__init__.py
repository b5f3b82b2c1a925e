"""Opens the resources that the settings name, builds the services on them, and closes them in reverse order."""

from api.wiring.services import open_services

__all__ = ["open_services"]
