"""An old gateway as records: one class for both products, over its main database and its log database, if any."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from config.foundation.money import DEFAULT_QUOTA_PER_UNIT
from migrations_center.sources import rows, schema
from migrations_center.sources.address import SourceAddress
from migrations_center.sources.database import Database
from migrations_center.sources.errors import SourceOfAnotherProduct, SourceRowsMissing
from migrations_center.sources.records import OldChannel, OldCode, OldKey, OldSubscription, OldUser
from migrations_center.sources.values import as_int, as_text

Record = TypeVar("Record")


@dataclass(frozen=True)
class Snapshot:
    """Everything but the log rows, of one moment of the source. Counts and sums are asked of the database separately."""

    product: str
    users: list[OldUser]
    keys: list[OldKey]
    channels: list[OldChannel]
    codes: list[OldCode]
    subscriptions: list[OldSubscription]
    options: dict[str, str] = field(repr=False)
    # Rows of every table that is there, also of those that are not carried.
    counts: dict[str, int]
    # Sums by SQL, to hold against the sums over the records: {"users.quota": n, ...}
    sums: dict[str, int]
    access_token_count: int
    installed: dict[str, str]
    missing: list[schema.MissingColumn]

    @cached_property
    def users_by_id(self) -> dict[int, OldUser]:
        return {user.id: user for user in self.users}

    @cached_property
    def keys_by_id(self) -> dict[int, OldKey]:
        return {key.id: key for key in self.keys}


class OldGateway:
    """Opens a source and reads it. Use as a context manager; read-only throughout."""

    def __init__(self, main: SourceAddress, logs: SourceAddress | None = None, product: str = "") -> None:
        self._addresses = (main, logs)
        self._wanted = product
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        main, logs = self._addresses
        try:
            self.main = self._stack.enter_context(Database(main))
            self.product = schema.detect(self.main, self._wanted)
            self.log_databases: list[Database] = [self.main] if "logs" in self.main.tables else []
            if logs is not None:
                extra = self._stack.enter_context(Database(logs))
                if not {"id", "user_id", "created_at", "type", "quota"} <= extra.columns("logs"):
                    raise SourceOfAnotherProduct("The log database has no table of log rows.")
                self.log_databases.append(extra)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_server(self) -> bool:
        return any(address is not None and not address.is_file for address in self._addresses)

    @property
    def file_digest(self) -> str:
        return self.main.file_digest

    def verify_unchanged(self) -> None:
        for database in {id(found): found for found in [self.main, *self.log_databases]}.values():
            database.verify_unchanged()

    def read(self) -> Snapshot:
        """All tables but the logs; raises SourceRowsMissing when a table gives fewer rows than it says it has."""
        counts = {table: self.main.count(table) for table in sorted(self.main.tables) if not table.startswith("sqlite_")}
        counts["logs"] = sum(database.count("logs") for database in self.log_databases)
        row = rows.READERS[self.product]
        missing = [
            found
            for table in schema.COLUMNS[self.product]
            if table != "logs" and table in self.main.tables
            for found in schema.missing_columns(self.main, self.product, table)
        ]
        return Snapshot(
            product=self.product,
            users=self._read("users", row.user, counts),
            keys=self._read("tokens", row.key, counts),
            channels=self._read("channels", row.channel, counts),
            codes=self._read("redemptions", row.code, counts),
            subscriptions=self._read("user_subscriptions", rows.subscription, counts) if self.product == schema.NEW_API else [],
            options=self._options(),
            counts=counts,
            sums=self._sums(),
            access_token_count=self._access_tokens(),
            installed=self._installed(),
            missing=missing,
        )

    def _read(self, table: str, make: Callable[[dict[str, Any]], Record], counts: dict[str, int]) -> list[Record]:
        if table not in self.main.tables:
            return []
        found = [make(row) for part in self._rows(table) for row in part]
        if len(found) != counts[table]:
            raise SourceRowsMissing(f"{table}: {len(found)} of {counts[table]} rows could be read.")
        return found

    def _rows(self, table: str) -> Iterator[list[dict[str, Any]]]:
        """Rows in id order with every column the product knows; a column that is not there gets its typed default."""
        wanted = schema.COLUMNS[self.product][table]
        there = self.main.table(table)
        defaults = {name: default for name, default in wanted.items() if name not in there.c}
        statement = sa.select(*(there.c[name] for name in wanted if name in there.c)).order_by(there.c["id"])
        for part in self.main.stream(statement):
            yield [{**defaults, **row} for row in part] if defaults else part

    def _options(self) -> dict[str, str]:
        table = self.main.table("options")
        found = self.main.all(sa.select(table.c["key"], table.c["value"]))
        return {as_text(row["key"]): as_text(row["value"]) for row in found}

    def _sums(self) -> dict[str, int]:
        wanted = [("users", "quota"), ("users", "aff_quota"), ("redemptions", "quota")]
        sums = {}
        for table, column in wanted:
            there = self.main.columns(table)
            if column in there:
                name = self.main.table(table).c[column]
                sums[f"{table}.{column}"] = as_int(self.main.scalar(sa.select(sa.func.sum(name))))
        return sums

    def _access_tokens(self) -> int:
        """How many people have a management token. The tokens themselves are never read."""
        if "access_token" not in self.main.columns("users"):
            return 0
        column = self.main.table("users").c["access_token"]
        return as_int(self.main.scalar(sa.select(sa.func.count()).where(column.is_not(None), sa.func.rtrim(column) != "")))

    def _installed(self) -> dict[str, str]:
        if not {"version", "initialized_at"} <= self.main.columns("setups"):
            return {}
        table = self.main.table("setups")
        found = self.main.all(sa.select(table.c["version"], table.c["initialized_at"]).order_by(table.c["id"]).limit(1))
        return {name: as_text(value) for name, value in found[0].items()} if found else {}


def quota_per_unit(options: dict[str, str]) -> tuple[str, bool]:
    """Units per dollar as decimal text, and whether the source says so itself (else: the product's default)."""
    text = options.get("QuotaPerUnit", "").strip()
    try:
        if text and float(text) > 0:
            return text, True
    except ValueError:
        pass
    return str(DEFAULT_QUOTA_PER_UNIT), False
