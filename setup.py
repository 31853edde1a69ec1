from setuptools import setup

setup()  # for tools that require this file; the settings are in pyproject.toml
