"""Readers of foreign databases: bytes to records, read-only, without a model of ours."""
