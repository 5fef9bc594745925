"""How each database means to carry out a statement, and what of that takes longer as tables grow."""

import re

#: Tables with a row for each host, instance or evacuation there ever was.
GROWING = frozenset(
    {
        "services",
        "compute_nodes",
        "instances",
        "migrations",
        "allocations",
        "instance_actions",
        "instance_actions_events",
    }
)

#: Names of tables in EXISTS, which MariaDB chooses to read from the front where nearly every row would do: any compute
#: that was heard without a gap is a witness of another's silence.
END_AT_THE_FIRST = frozenset({"services_1"})

#: A page of a list, and what lies beside it.
PAGE_AND_MORE = 1200


def grows(connection, statement):
    """Return what is wrong with the plan of a statement: nothing, where it stays as fast when the tables grow."""
    if statement.sql == "COMMIT" or (statement.sql.startswith("INSERT") and "SELECT" not in statement.sql):
        return []
    tables = _tables(statement.sql)
    look = {"sqlite": _sqlite, "mysql": _mariadb, "mariadb": _mariadb, "postgresql": _postgresql}
    return list(look[connection.dialect.name](connection, statement, tables))


def _tables(sql):
    """Return the growing tables of a statement by the name that it gives them."""
    named = re.findall(r"(?:FROM|JOIN|UPDATE|INTO|,)\s+(\w+)(?:\s+AS\s+(\w+))?", sql)
    return {alias or table: table for table, alias in named if table in GROWING}


def _ends_early(sql):
    return "LIMIT" in sql


def _sqlite(connection, statement, tables):
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters)
    for detail in (row.detail for row in rows.all()):
        scanned = re.match(r"SCAN (\w+)(.*)", detail)
        if scanned and scanned[1] in tables and not ("INDEX" in scanned[2] and _ends_early(statement.sql)):
            yield detail


def _mariadb(connection, statement, tables):
    rows = connection.exec_driver_sql(f"EXPLAIN {statement.sql}", statement.parameters).mappings().all()
    for row in rows:
        if row["table"] not in tables or row["table"] in END_AT_THE_FIRST:
            continue
        whole = row["type"] == "ALL" or (row["type"] == "index" and not _ends_early(statement.sql))
        sorts = "filesort" in (row["Extra"] or "") and _rows(row["rows"]) > PAGE_AND_MORE
        if whole or sorts:
            yield f"{row['table']}: {row['type']} by {row['key']}, {row['rows']} rows, {row['Extra']}"


def _rows(told):
    """Read "7", or "7 (0%)" where a filter of keys is used too."""
    return int(str(told or 0).split()[0])


def _postgresql(connection, statement, tables):
    # Small tables are read whole whatever indexes they have; what is still read whole now has none that helps.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    ((plan,),) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement.sql}", statement.parameters).all()
    yield from _postgresql_nodes(plan[0]["Plan"], statement, tables)


def _postgresql_nodes(node, statement, tables):
    kind, table = node["Node Type"], node.get("Alias")
    whole = kind == "Seq Scan" or (
        kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node and not _ends_early(statement.sql)
    )
    if (table in tables and whole) or (kind == "Sort" and node["Plan Rows"] > PAGE_AND_MORE):
        yield f"{table}: {kind} {node.get('Index Name', '')} {node['Plan Rows']} rows {node.get('Filter', '')}"
    for child in node.get("Plans", []):
        yield from _postgresql_nodes(child, statement, tables)
