"""The commands of `python -m lab`: each module has EXAMPLE, add_arguments and run."""
