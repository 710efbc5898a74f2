"""The DynamoDB store: what the AWS home keeps its records in."""
