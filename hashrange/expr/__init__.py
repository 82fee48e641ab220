"""DynamoDB expressions: tokens, parser, programs and their evaluation. Pure functions, no I/O."""
