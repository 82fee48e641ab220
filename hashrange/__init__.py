"""hashrange: a distributed, DynamoDB-compatible datastore."""

__version__ = "0.1.0"
