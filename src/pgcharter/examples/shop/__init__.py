"""The shop: a marketplace with several tenants, written to the guide `cloudlab`."""
