"""Adapters to AWS: the DynamoDB table, the SQS queue, and the store master that is deployed with the code."""
