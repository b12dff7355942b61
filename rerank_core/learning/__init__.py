"""Learning: readers' events become examples, and examples a scorer that a person may choose."""
