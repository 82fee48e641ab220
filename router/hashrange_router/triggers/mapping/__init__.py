"""Event source mappings: what carries the records of a stream to a function.

    filters.py    which records a mapping wants (pure)

The rules are those of the AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB".
"""
