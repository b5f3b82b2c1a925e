"""Types of memory, encoders of their texts, the stores that hold them, and the threads and workflows of agents."""

import os

# onnxruntime tells its maker of its use unless it is told not to before it is loaded. Whatever loads it here imports
# this package first; the engine's process inherits the word.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
