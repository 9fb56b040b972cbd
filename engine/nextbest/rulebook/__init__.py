"""Rulebook: YAML files, checked and compiled into immutable tables."""
