"""What a deleted stack leaves behind is named; deleting itself is tested on the embedded AWS."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from dropsort.deployment import destroy


class Tags:
    """CloudFormation's tags of a stack, in two pages; or no such API."""

    def __init__(self, forbids: bool = False) -> None:
        self.forbids = forbids

    def __call__(self, service: str) -> Any:
        assert service == "resourcegroupstaggingapi"
        return self

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_resources"
        return self

    def paginate(self, TagFilters: list[dict[str, Any]]) -> Any:
        assert TagFilters == [{"Key": "aws:cloudformation:stack-name", "Values": ["dropsort"]}]
        if self.forbids:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetResources")
        return [
            {"ResourceTagMappingList": [{"ResourceARN": "arn:aws:sagemaker:eu-west-1:1:model/m"}]},
            {"ResourceTagMappingList": [{"ResourceARN": "arn:aws:s3:::pictures"}]},
        ]


def test_leftovers_are_named_where_tags_may_be_read() -> None:
    assert destroy.leftovers(Tags(), "dropsort") == [  # type: ignore[arg-type]  # one client of all
        "arn:aws:s3:::pictures",
        "arn:aws:sagemaker:eu-west-1:1:model/m",
    ]
    assert destroy.leftovers(Tags(forbids=True), "dropsort") == []  # type: ignore[arg-type]
