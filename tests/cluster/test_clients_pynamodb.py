"""PynamoDB works unmodified: models, conditions, updates, indexes, batches, paging, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import unique, wait_until

pytest.importorskip("pynamodb", reason="pynamodb is in the dev extra")

from pynamodb.attributes import (
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.exceptions import DoesNotExist, PutError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, LocalSecondaryIndex
from pynamodb.models import Model


class ByAuthor(GlobalSecondaryIndex):
    """Posts of an author by number of views."""

    class Meta:
        index_name = "by_author"
        projection = AllProjection()
        billing_mode = "PAY_PER_REQUEST"

    author = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class ByViews(LocalSecondaryIndex):
    """Posts of a forum by number of views."""

    class Meta:
        index_name = "by_views"
        projection = AllProjection()

    forum = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class Post(Model):
    """A forum post."""

    class Meta:
        table_name = "replaced by the fixture"
        region = "us-east-1"
        billing_mode = "PAY_PER_REQUEST"
        aws_access_key_id = "test"
        aws_secret_access_key = "test"
        max_retry_attempts = 0

    forum = UnicodeAttribute(hash_key=True)
    subject = UnicodeAttribute(range_key=True)
    author = UnicodeAttribute(null=True)
    views = NumberAttribute(default=0)
    tags = UnicodeSetAttribute(null=True)
    details: MapAttribute[str, Any] = MapAttribute(null=True)
    history: ListAttribute[Any] = ListAttribute(null=True)
    raw = JSONAttribute(null=True)
    written = UTCDateTimeAttribute(null=True)
    by_author = ByAuthor()
    by_views = ByViews()


@pytest.fixture(scope="module")
def post(embedded_endpoint: str) -> Iterator[type[Post]]:
    """The model on a table of its own."""
    Post.Meta.host = embedded_endpoint  # type: ignore[attr-defined]
    Post.Meta.table_name = unique("pynamodb")
    Post.create_table(wait=True)
    yield Post
    Post.delete_table()


def test_save_get_delete(post: type[Post]) -> None:
    saved = post(
        "dogs",
        "walks",
        author="ann",
        views=3,
        tags={"a", "b"},
        details={"mood": "good", "n": 1},
        history=[1, "two"],
        raw={"deep": [1, None]},
    )
    saved.save()
    found = post.get("dogs", "walks", consistent_read=True)
    assert found.attribute_values.keys() == saved.attribute_values.keys()
    assert (found.views, found.tags, found.history, found.raw) == (
        3,
        {"a", "b"},
        [1, "two"],
        {"deep": [1, None]},
    )
    assert found.details.as_dict() == {"mood": "good", "n": 1}
    found.delete()
    with pytest.raises(DoesNotExist):
        post.get("dogs", "walks", consistent_read=True)


def test_conditions(post: type[Post]) -> None:
    fresh = post("cats", "naps", views=1)
    fresh.save(condition=Post.forum.does_not_exist())
    with pytest.raises(PutError) as refused:
        post("cats", "naps", views=9).save(condition=Post.forum.does_not_exist())
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"
    fresh.update(actions=[Post.views.set(Post.views + 1), Post.tags.add({"x"})], condition=Post.views == 1)
    assert fresh.views == 2
    with pytest.raises(UpdateError):
        fresh.update(actions=[Post.views.set(0)], condition=Post.views == 1)


def test_queries_and_indexes(post: type[Post]) -> None:
    with post.batch_write() as batch:
        for number in range(40):
            batch.save(post("birds", f"s{number:02}", author=f"a{number % 2}", views=40 - number))
    found = [p.subject for p in post.query("birds", Post.subject.between("s10", "s12"), consistent_read=True)]
    assert found == ["s10", "s11", "s12"]
    few = [p.subject for p in post.query("birds", filter_condition=Post.views < 3, limit=5, page_size=7)]
    assert few == ["s38", "s39"]
    assert post.count("birds") == 40
    ordered = [int(p.views) for p in Post.by_views.query("birds", Post.views < 4)]
    assert ordered == [1, 2, 3]
    wait_until(lambda: Post.by_author.count("a1") == 20, "the global index")
    assert [int(p.views) for p in Post.by_author.query("a1", scan_index_forward=False, limit=2)] == [39, 37]


def test_batches_and_scan(post: type[Post]) -> None:
    keys = [("fish", f"s{number}") for number in range(30)]
    with post.batch_write() as batch:
        for forum, subject in keys:
            batch.save(post(forum, subject))
    assert len(list(post.batch_get([*keys, ("fish", "none")], consistent_read=True))) == 30
    scanned = post.scan(Post.forum == "fish", page_size=11, consistent_read=True)
    assert len(list(scanned)) == 30


def test_the_table_exists(post: type[Post]) -> None:
    assert post.exists()
    assert post.describe_table()["TableStatus"] == "ACTIVE"
