"""A stand-in for DynamoDB and SQS: answers each call after a set time, and counts calls, capacity units and requests.

It is for benchmarks: it knows the calls that this project makes and no other, keeps everything in memory, and answers
as AWS does where that matters to the caller. `tests/benchmarks` compares it with moto.
"""
