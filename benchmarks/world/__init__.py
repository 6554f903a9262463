"""What surrounds the functions while they are measured: a stand-in for AWS, image servers, prices."""
