"""The context object of an invocation."""

import time


class Context:
    """The context that Lambda passes to a handler; the function's timeout is `seconds` from now."""

    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def __init__(self, function_name: str = "local", memory_limit_in_mb: int = 512, seconds: float = 120) -> None:
        self.function_name = function_name
        self.memory_limit_in_mb = memory_limit_in_mb
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function_name}"
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the timeout, in milliseconds."""
        return max(0, int((self._end - time.monotonic()) * 1000))
