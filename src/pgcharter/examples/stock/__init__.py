"""The stock example: users, orders and stock data, written to the guide `creampie`."""
