"""The pure core: values in, values out; it does no I/O and imports nothing of ours."""
