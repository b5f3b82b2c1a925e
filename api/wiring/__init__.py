"""Opens the resources that the settings name, assembles the services, and closes everything in reverse."""

from api.wiring.services import open_services

__all__ = ["open_services"]
