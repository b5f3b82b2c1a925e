"""Teaches the reader's models: `statements` what texts state and do, `answers` what answers a
question.
"""
