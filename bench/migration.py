"""Draft a migration: what has to be done to the newest one's tables to make those of tables.py.

    .venv/bin/python bench/migration.py "Why the tables change"

Writes src/mailveil/adapters/database/migrations/versions/NNNN.py, to be read and mended: whatever moves data has to be
written by hand. Until the first release, ``--first`` writes 0001 anew. Then run tests/adapters/database/test_schema.py.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext

from mailveil.adapters.database import schema
from mailveil.adapters.database.engine import Database, database_url
from mailveil.adapters.database.tables import metadata

HEAD = '''"""{summary}

Revision {revision}, after {before}.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it."""
    {body}
'''


def render_item(kind: str, item: Any, context: object) -> str | Literal[False]:
    """Write our own types as the plain ones that they are stored as: a migration must not change with the program."""
    del context
    if kind != "type" or not isinstance(item, sa.types.TypeDecorator):
        return False
    text = plain(item)
    for dialect, variant in item._variant_mapping.items():
        text += f'.with_variant({plain(variant)}, "{dialect}")'
    return text


def plain(item: Any) -> str:
    """Return a type of our own as SQLAlchemy's."""
    stored = item.impl_instance
    arguments = [str(stored.length)] if stored.length else []
    arguments += [f'collation="{stored.collation}"'] if stored.collation else []
    return f"sa.{type(stored).__name__}({', '.join(arguments)})"


def draft(connection: sa.Connection) -> str:
    """Return what an upgrade would have to do."""
    options = {"render_item": render_item, "render_as_batch": True, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts={**options, "target_metadata": metadata})
    steps = produce_migrations(context, metadata).upgrade_ops
    assert steps is not None
    return render_python_code(steps, render_as_batch=True, render_item=render_item)


async def main() -> int:
    """Write the draft; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("summary")
    parser.add_argument("--first", action="store_true", help="write 0001 anew")
    arguments = parser.parse_args()
    known = () if arguments.first else schema.revisions()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(database_url("", Path(folder)))
        try:
            if known:
                await schema.upgrade(database)
            async with database.read() as connection:
                body = await connection.run_sync(draft)
        finally:
            await database.close()
    if body.strip() == "pass":
        print("the tables are as the newest migration makes them")
        return 1
    revision = f"{len(known) + 1:04}"
    body = "\n".join(line for line in body.splitlines() if not line.strip().startswith("# ###"))
    text = HEAD.format(
        summary=arguments.summary.rstrip(".") + ".",
        revision=revision,
        before=known[-1] if known else "nothing",
        down=f'"{known[-1]}"' if known else None,
        body=body.strip(),
    )
    path = Path(schema.script_directory().dir) / "versions" / f"{revision}.py"
    path.write_text(text)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(path)], check=False)
    print(path)
    return 0


sys.exit(asyncio.run(main()))
