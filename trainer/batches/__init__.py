"""Plan → rows: what is asked of a plan, a plan whose replay rises, a look at the first batch, torch's DataLoader."""
