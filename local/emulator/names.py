"""The fixed names of the local stack."""

STACK_NAME = "retail-pulse-local"
REGION = "us-east-1"
CLIENT = "local"
API_KEY = "local-dev-key"
# The access key and the secret that AWS SDKs must have: the root of the local account.
AWS_KEY = "local"
