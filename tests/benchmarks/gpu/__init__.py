"""Everything that a GPU is asked, in one run of at most eight minutes; see README.md."""
