"""The pages, and under `building` what makes a site of them."""
