"""The router: HTTP front, authentication, the DynamoDB API and routing."""
