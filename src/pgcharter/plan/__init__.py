"""From one Catalog to another: what changes, in what order, in which statements, with which locks. Pure: no server, no file."""
