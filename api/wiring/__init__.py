"""The one place where things are opened. What is opened here is closed here, in reverse.

`resources` opens what the settings name, `screening`, `living` and `services` put it together.
"""

from api.wiring.services import open_services

__all__ = ["open_services"]
