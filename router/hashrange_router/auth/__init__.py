"""Signature verification."""
