"""The demo: one module a phase, each with `section(folder, seed, impl) -> lab.report.Section`."""
