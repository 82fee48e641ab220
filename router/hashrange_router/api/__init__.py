"""The DynamoDB API: validation and operations."""
