"""Metrics as plain functions of arrays, and statistics that stream and merge."""
