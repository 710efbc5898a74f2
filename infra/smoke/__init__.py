"""The smoke test: one command that asks a deployed stack whether it is what its documentation says.

``python -m infra.smoke --env dev`` reads the stack's outputs, asks the endpoint as callers would, and describes the
resources behind it. It leaves records of services named ``smoke-test-…`` alone, which expire like any other.
"""
