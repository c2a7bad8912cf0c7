"""Given code of the course: read by learners, edited by its maintainers."""
