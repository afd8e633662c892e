"""The table: the only package that knows DynamoDB."""
