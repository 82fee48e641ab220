"""The JavaScript client (`@amazon-dax-sdk/lib-dax`), unmodified, over dax:// and daxs://. With --network only.

It is installed with npm, unless HASHRANGE_TEST_NODE_MODULES names a folder that has it in its node_modules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.conformance.support import table
from tests.dax.server import DaxServer

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js with npm is not on the PATH"),
]

PROGRAM = r"""
import { createRequire } from "node:module";
const require = createRequire(process.argv[2] + "/");
const { DaxDocument } = require("@amazon-dax-sdk/lib-dax");

const [endpoint, TableName] = process.argv.slice(3);
const dax = new DaxDocument({
  endpoints: [endpoint], region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});
const name = async (call) => { try { await call; return "accepted"; } catch (error) { return error.code; } };
const found = {};
const item = {
  p: "x", r: 1, list: [1, "two", null, true, [2.5]], map: { deep: { n: 1.5 } }, set: new Set(["a", "b"]),
  numbers: new Set([1, 2.5]), bytes: Buffer.from([0, 255]), text: "水", large: 123456789012,
};
await dax.put({ TableName, Item: item });
for (const turn of ["first", "second"]) {
  const got = (await dax.get({ TableName, Key: { p: "x", r: 1 } })).Item;
  found[turn] = { ...got, set: [...got.set].sort(), numbers: [...got.numbers].sort(), bytes: [...got.bytes] };
}
found.projected = (await dax.get({
  TableName, Key: { p: "x", r: 1 }, ProjectionExpression: "#l[1], #l[4], #m.deep.n",
  ExpressionAttributeNames: { "#l": "list", "#m": "map" },
})).Item;
found.missing = (await dax.get({ TableName, Key: { p: "none", r: 1 } })).Item ?? null;
found.updated = (await dax.update({
  TableName, Key: { p: "x", r: 1 }, UpdateExpression: "SET #n = :n ADD hits :one",
  ExpressionAttributeNames: { "#n": "name" }, ExpressionAttributeValues: { ":n": "neu", ":one": 1 },
  ReturnValues: "UPDATED_NEW",
})).Attributes;
await dax.batchWrite({
  RequestItems: { [TableName]: [2, 3, 4].map((r) => ({ PutRequest: { Item: { p: "x", r } } })) },
});
const batch = await dax.batchGet({ RequestItems: { [TableName]: { Keys: [2, 3, 9].map((r) => ({ p: "x", r })) } } });
found.batch = batch.Responses[TableName].map((each) => each.r).sort();
const query = await dax.query({
  TableName, KeyConditionExpression: "p = :p AND r >= :r", ExpressionAttributeValues: { ":p": "x", ":r": 3 },
});
found.query = query.Items.map((each) => each.r);
found.pages = [];
let start;
do {
  const page = await dax.scan({ TableName, Limit: 3, ExclusiveStartKey: start });
  found.pages.push(page.Count);
  start = page.LastEvaluatedKey;
} while (start);
await dax.transactWrite({
  TransactItems: [
    { Put: { TableName, Item: { p: "t", r: -1.5, v: "one" } } },
    { Delete: { TableName, Key: { p: "x", r: 4 } } },
    { Update: { TableName, Key: { p: "x", r: 3 }, UpdateExpression: "SET v = :v",
                ExpressionAttributeValues: { ":v": "changed" } } },
  ],
});
const both = await dax.transactGet({
  TransactItems: [{ Get: { TableName, Key: { p: "t", r: -1.5 } } }, { Get: { TableName, Key: { p: "x", r: 4 } } }],
});
found.transaction = both.Responses.map((each) => each.Item?.v ?? null);
const deleted = await dax.delete({ TableName, Key: { p: "x", r: 3 }, ReturnValues: "ALL_OLD" });
found.deleted = deleted.Attributes;
const refused = { TableName, Item: { p: "x", r: 1 }, ConditionExpression: "attribute_not_exists(p)" };
found.errors = [
  await name(dax.put(refused)),
  await name(dax.get({ TableName: "there-is-none", Key: { p: "x" } })),
  await name(dax.transactWrite({ TransactItems: [{ Put: refused }] })),
  await name(dax.update({ TableName, Key: { p: "x", r: 1 }, UpdateExpression: "REMOVE p" })),
];
console.log(JSON.stringify(found));
process.exit(0);
"""
ITEM = {
    "p": "x", "r": 1, "list": [1, "two", None, True, [2.5]], "map": {"deep": {"n": 1.5}}, "set": ["a", "b"],
    "numbers": [1, 2.5], "bytes": [0, 255], "text": "水", "large": 123456789012,
}  # fmt: skip
EXPECTED = {
    "first": ITEM,
    "second": ITEM,
    "projected": {"list": ["two", [2.5]], "map": {"deep": {"n": 1.5}}},
    "missing": None,
    "updated": {"name": "neu", "hits": 1},
    "batch": [2, 3],
    "query": [3, 4],
    "pages": [3, 1],
    "transaction": ["one", None],
    "deleted": {"p": "x", "r": 3, "v": "changed"},
    "errors": [
        "ConditionalCheckFailedException",
        "ResourceNotFoundException",
        "TransactionCanceledException",
        "ValidationException",
    ],
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client in its node_modules."""
    ready = os.environ.get("HASHRANGE_TEST_NODE_MODULES")
    if ready:
        return Path(ready)
    made = tmp_path_factory.mktemp("javascript")
    (made / "package.json").write_text('{"name": "sample", "private": true}')
    packages = ["@amazon-dax-sdk/lib-dax", "@amazon-dax-sdk/client-dax", "@aws-sdk/lib-dynamodb"]
    command = ["npm", "install", "--no-audit", "--no-fund", *packages, "@aws-sdk/client-dynamodb"]
    subprocess.run(command, cwd=made, check=True, timeout=300)
    return made


def session(modules: Path, folder: Path, url: str, name: str, **environment: str) -> Any:
    """What the program has found."""
    (folder / "program.mjs").write_text(PROGRAM)
    done = subprocess.run(
        ["node", str(folder / "program.mjs"), str(modules), url, name],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_operation(dax: DaxServer, direct: Any, modules: Path, tmp_path: Path) -> None:
    with table(direct, "p/r:N") as name:
        assert session(modules, tmp_path, dax.url, name) == EXPECTED


def test_every_operation_through_tls(dax: DaxServer, direct: Any, modules: Path, tmp_path: Path) -> None:
    dax.control.create_cluster(
        ClusterName="secured-js",
        NodeType="dax.r5.large",
        ReplicationFactor=1,
        IamRoleArn="arn:aws:iam::000000000000:role/dax",
        ClusterEndpointEncryptionType="TLS",
    )
    try:
        url = dax.wait_available("secured-js")["ClusterDiscoveryEndpoint"]["URL"]
        with urlopen(f"{dax.endpoint}/dax/ca.pem", timeout=10) as answer:
            (tmp_path / "ca.pem").write_bytes(answer.read())
        with table(direct, "p/r:N") as name:
            found = session(modules, tmp_path, url, name, NODE_EXTRA_CA_CERTS=str(tmp_path / "ca.pem"))
            assert found == EXPECTED
    finally:
        dax.control.delete_cluster(ClusterName="secured-js")
