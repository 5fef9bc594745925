"""The only place with SQL: the tables, transactions, and for each noun the statements on it."""
