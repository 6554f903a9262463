"""The fixed names of the local stack."""

STACK_NAME = "retail-pulse-local"
REGION = "us-east-1"
CLIENT = "local"
API_KEY = "local-dev-key"
