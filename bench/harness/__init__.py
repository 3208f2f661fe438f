"""The parts of bench/run: servers, measurements, the list of what is measured, and the report."""
