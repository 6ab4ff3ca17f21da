REINDEX TABLE app.orders;
REINDEX (VERBOSE) INDEX orders_status_idx;
REINDEX SCHEMA app;
