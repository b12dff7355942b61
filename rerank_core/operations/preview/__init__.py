"""Topics tried against the current window, before they are applied: nothing is claimed, written or, unless asked, scored."""
