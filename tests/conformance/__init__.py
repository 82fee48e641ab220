"""Black-box tests: what a client of the DynamoDB API sees, through real boto3 and raw sockets."""
