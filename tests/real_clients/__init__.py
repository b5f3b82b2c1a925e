"""Tests with the real Claude Code and the real Codex, on stub model servers: `make
real-clients`.
"""
