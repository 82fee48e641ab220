"""The JavaScript SDK (document client) works unmodified. Installs it with npm: runs with --network only."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance.support import unique

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js with npm is not on the PATH"),
]

PROGRAM = r"""
import {
  DynamoDBClient, CreateTableCommand, DeleteTableCommand, waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  DynamoDBDocumentClient, PutCommand, GetCommand, UpdateCommand, QueryCommand, BatchWriteCommand,
  paginateScan,
} from "@aws-sdk/lib-dynamodb";

const [endpoint, TableName] = process.argv.slice(2);
const client = new DynamoDBClient({
  endpoint, region: "us-east-1", maxAttempts: 1,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});
const documents = DynamoDBDocumentClient.from(client);
await client.send(new CreateTableCommand({
  TableName, BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: [
    { AttributeName: "p", AttributeType: "S" }, { AttributeName: "r", AttributeType: "N" },
  ],
  KeySchema: [{ AttributeName: "p", KeyType: "HASH" }, { AttributeName: "r", KeyType: "RANGE" }],
}));
await waitUntilTableExists({ client, maxWaitTime: 30 }, { TableName });
const item = {
  p: "x", r: 1, list: [1, "two", null, true], map: { deep: { n: 1.5 } }, set: new Set(["a", "b"]),
  bytes: new Uint8Array([0, 255]),
};
await documents.send(new PutCommand({ TableName, Item: item }));
const got = await documents.send(new GetCommand({ TableName, Key: { p: "x", r: 1 }, ConsistentRead: true }));
const updated = await documents.send(new UpdateCommand({
  TableName, Key: { p: "x", r: 1 }, UpdateExpression: "SET #n = :n ADD hits :one",
  ExpressionAttributeNames: { "#n": "name" }, ExpressionAttributeValues: { ":n": "neu", ":one": 1 },
  ReturnValues: "UPDATED_NEW",
}));
await documents.send(new BatchWriteCommand({
  RequestItems: { [TableName]: [2, 3, 4].map((r) => ({ PutRequest: { Item: { p: "x", r } } })) },
}));
const query = await documents.send(new QueryCommand({
  TableName,
  KeyConditionExpression: "p = :p AND r >= :r",
  ExpressionAttributeValues: { ":p": "x", ":r": 3 },
}));
let scanned = 0;
const scan = paginateScan({ client: documents, pageSize: 1 }, { TableName });
for await (const page of scan) scanned += page.Count;
let refused = "";
try {
  await documents.send(new PutCommand({
    TableName, Item: { p: "x", r: 1 }, ConditionExpression: "attribute_not_exists(p)",
  }));
} catch (error) { refused = error.name; }
await client.send(new DeleteTableCommand({ TableName }));
console.log(JSON.stringify({
  list: got.Item.list, deep: got.Item.map.deep.n, set: [...got.Item.set].sort(), bytes: [...got.Item.bytes],
  updated: updated.Attributes, query: query.Items.map((i) => i.r), scanned, refused,
}));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDK installed and the program in it."""
    made = tmp_path_factory.mktemp("node")
    (made / "package.json").write_text('{"name": "sample", "private": true, "type": "module"}')
    (made / "program.mjs").write_text(PROGRAM)
    packages = ["@aws-sdk/lib-dynamodb", "@aws-sdk/client-dynamodb"]
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", *packages], cwd=made, check=True, timeout=300
    )
    return made


def test_a_session(folder: Path, embedded_endpoint: str) -> None:
    done = subprocess.run(
        ["node", "program.mjs", embedded_endpoint, unique("node")],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "list": [1, "two", None, True],
        "deep": 1.5,
        "set": ["a", "b"],
        "bytes": [0, 255],
        "updated": {"name": "neu", "hits": 1},
        "query": [3, 4],
        "scanned": 4,
        "refused": "ConditionalCheckFailedException",
    }
