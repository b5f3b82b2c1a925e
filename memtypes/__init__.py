"""What a memory is, how its text is encoded, where it is stored; threads and workflows of
agents.
"""

import os

# Onnxruntime sends usage data to its maker unless this variable is set before it is loaded. All
# code that loads it imports this package first; the engine's process inherits the variable.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
