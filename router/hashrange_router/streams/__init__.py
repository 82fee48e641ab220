"""The DynamoDB Streams API, and reading streams for the trigger pool."""
