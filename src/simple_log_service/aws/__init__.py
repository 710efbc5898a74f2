"""The AWS home at run time: two Lambda functions behind API Gateway, over the DynamoDB store; ``stream`` is a third."""
