"""Mutation testing: change the source in one place at a time and see whether a test notices.

``python -m tools.mutation lua`` changes the script that decides in Redis, ``python -m tools.mutation python
--module PATH`` a Python module. The work tree is never touched: every worker changes a copy of its own.
"""
