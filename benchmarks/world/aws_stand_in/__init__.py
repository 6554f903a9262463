"""A stand-in for DynamoDB and SQS. It answers after a fixed time and counts calls, capacity units and billed requests.

It is for benchmarks: it supports only the calls that this project makes, and keeps everything in memory.
`tests/benchmarks` compares its answers with moto's.
"""
