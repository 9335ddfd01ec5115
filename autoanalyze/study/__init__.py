"""What is done with a finished run: metrics, reading, drawing."""
