"""What the functions meet while they are measured: a stand-in for AWS, image servers, prices."""
