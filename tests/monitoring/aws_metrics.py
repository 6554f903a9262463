"""AWS's metrics that alarms and the dashboard use, with their dimensions, from its documentation."""

from collections.abc import Mapping

Name = tuple[str, str]
Dimensions = frozenset[str]


def _names(namespace: str, names: str, *dimensions: str) -> dict[Name, Dimensions]:
    return {(namespace, name): frozenset(dimensions) for name in names.split()}


AWS_METRICS: Mapping[Name, Dimensions] = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    **_names("AWS/ApiGateway", "4xx 5xx Count IntegrationLatency Latency DataProcessed", "ApiId"),
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html; the name of a function covers its
    # versions and aliases.
    **_names(
        "AWS/Lambda",
        "ConcurrentExecutions Duration Errors Invocations RecursiveInvocationsDropped Throttles",
        "FunctionName",
    ),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    **_names(
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesDelayed ApproximateNumberOfMessagesNotVisible "
        "ApproximateNumberOfMessagesVisible NumberOfEmptyReceives NumberOfMessagesReceived NumberOfMessagesSent",
        "QueueName",
    ),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    **_names(
        "AWS/DynamoDB",
        "ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ReadThrottleEvents WriteThrottleEvents",
        "TableName",
    ),
    **_names("AWS/DynamoDB", "SuccessfulRequestLatency SystemErrors", "TableName", "Operation"),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html
    **_names("AWS/Logs", "IncomingBytes", "LogGroupName"),
}
# What the value of a dimension has to refer to.
RESOURCES = {
    "ApiId": "AWS::Serverless::HttpApi",
    "FunctionName": "AWS::Serverless::Function",
    "QueueName": "AWS::SQS::Queue",
    "TableName": "AWS::DynamoDB::Table",
    "LogGroupName": "AWS::Logs::LogGroup",
}
