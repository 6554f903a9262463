"""What every test has: AWS's variables set to nothing real, before a client could be made."""

import os

os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    POWERTOOLS_METRICS_NAMESPACE="RetailPulse",
    POWERTOOLS_SERVICE_NAME="test",
)
